"""Engines as data: one folder each, one typed protocol."""
