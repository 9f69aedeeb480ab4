"""Encoders that have learned from a dataset too: MiniLM with an adapter of its own, under a student's classifier.

A worker with the extra ``costhub[learning]`` trains them; ``learner`` alone imports PyTorch. They are served as MiniLM
itself is, without it.
"""
