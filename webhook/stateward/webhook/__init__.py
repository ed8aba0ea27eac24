"""The service: the admission route, health, metrics, and the server that runs them."""
