"""Endpoints on GPUs of one's own: hours that are paid for, whoever uses them, in the ledger beside the calls."""
