"""A mock upstream that bills: the truth with which the ledger is compared.

An OpenAI-compatible server in its own process that makes up its answers, keeps an fsynced bill of every token before
the token leaves it, and misbehaves on demand. ``behaviour.py`` lists what a test may ask of it, ``bill.py`` says what
is billed and when, ``client.py`` is how a test starts it and reads it.
"""

from tests.bank.answers import answer_text
from tests.bank.bill import BilledCall, authorization_hash
from tests.bank.client import ArrivedRequest, Bank, TokenTotals

__all__ = ["ArrivedRequest", "Bank", "BilledCall", "TokenTotals", "answer_text", "authorization_hash"]
