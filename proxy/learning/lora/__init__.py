"""Adapters of language models (LoRA): trained by a worker with the extra ``costhub[learning]``, served by llama.cpp.

``learner``, ``language_models`` and ``adapter_files`` import PyTorch, and nothing else imports these but ``tuning``.
"""
