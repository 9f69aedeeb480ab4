"""Which model answers a call: each kind of route a small module of pure functions."""
