"""X.509 for Stateward: an authority, the leaves it issues, a folder that keeps them, a TLS context swapped live."""
