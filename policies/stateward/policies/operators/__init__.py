"""Operators of stateful services: who runs what, and what a new release of them does to what runs."""
