"""What is learned from calls, in the worker: the hot path never imports it, it reads the values that come out."""
