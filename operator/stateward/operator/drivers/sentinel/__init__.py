"""What Redis and Valkey have in common: one primary, replicas, and a Sentinel beside each member."""
