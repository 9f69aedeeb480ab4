"""Questions that are all but equal: every pair differs, and no guard lets one pass."""

from costhub.eval.near_misses import PAIRS, make_pairs, measure_near_misses
from costhub.eval.vectors import Vectors
from proxy.cache.guards import find_veto, read

FRANCE = ("What is the capital city of France?", "Which city is the capital of France?")


def test_five_hundred_pairs_and_a_veto_for_each() -> None:
    pairs = make_pairs()
    assert {kind: len(set(found)) for kind, found in pairs.items()} == dict.fromkeys(pairs, PAIRS)
    assert len(pairs) * PAIRS == 500
    assert all(one != other for found in pairs.values() for one, other in found)
    assert [pair for found in pairs.values() for pair in found if find_veto(read(pair[0]), read(pair[1])) is None] == []


def test_what_is_near_is_counted_and_what_passes_is_named() -> None:
    words = [("which birds fly in storms", "which birds rarely fly in storms"), ("bake bread", "moor a yacht"), FRANCE]
    (found,) = measure_near_misses(Vectors(None), {"words": words})
    assert (found.kind, found.pairs, found.near, found.served) == ("words", 3, 2, (FRANCE,))
