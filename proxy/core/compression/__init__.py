"""Shorter prompts: each method a module of pure functions from a text to a shorter one.

``lossless`` and ``filler`` keep everything that is said. ``extract`` keeps the passages or turns that a question
needs, ``prune`` drops words, ``perplexity`` drops what a language model would have guessed, ``system_prompt`` proposes
a shorter instruction that a person approves: these four lose something, and are used only where a tenant asks for it.
"""
