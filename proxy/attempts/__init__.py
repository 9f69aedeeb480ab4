"""What is asked of upstreams for one call, and what becomes of their answers."""
