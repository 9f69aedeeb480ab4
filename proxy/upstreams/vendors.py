"""Which wire format an upstream speaks, by its kind."""

from collections.abc import Mapping
from typing import Final

from proxy.upstreams import anthropic, openai
from proxy.values.vendor import Vendor

_OF_KIND: Final[Mapping[str, Vendor]] = {"openai": openai, "openai_compatible": openai, "anthropic": anthropic}


def vendor_of(kind: str) -> Vendor:
    """The wire format of an upstream's kind."""
    return _OF_KIND[kind]
