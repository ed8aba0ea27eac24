"""What is known of each engine, as data: `*.yaml` here, one file an engine."""
