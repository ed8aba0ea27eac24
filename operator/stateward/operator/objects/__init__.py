"""The objects that a service is made of: pure functions, spec to objects."""
