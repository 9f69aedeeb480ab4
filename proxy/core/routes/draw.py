"""Chance without chance: numbers from a digest, the same for the same call in every process."""

import hashlib


def draw_permille(route_id: str, purpose: str, stick: str) -> int:
    """A number from 0 to 999, evenly spread over ``stick``; those of different purposes know nothing of each other."""
    return draw(route_id, purpose, stick, 1000)


def is_drawn(permille: int, route_id: str, purpose: str, stick: str) -> bool:
    """Whether the number of ``draw_permille`` is among so many of a thousand."""
    return permille > 0 and draw(route_id, purpose, stick, 1000) < permille


def draw(route_id: str, purpose: str, stick: str, below: int) -> int:
    """A number from 0 to ``below`` - 1, evenly spread over ``stick``."""
    digest = hashlib.blake2b(f"{purpose}\0{route_id}\0{stick}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") * below >> 64
