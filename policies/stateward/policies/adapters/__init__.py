"""Adapters: how each kind of object is read as a Service. The kinds are data (`data/*.yaml`), the grammar is code."""
