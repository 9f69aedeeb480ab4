"""What became of a prompt that was sent shorter, word by word, where its organisation has let calls be kept."""

import difflib
import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import orjson

from proxy.edges.capture import place_of
from proxy.learning.consent import is_covered, list_consents
from proxy.learning.models import CapturedCall
from proxy.learning.sealing import Unreadable, unseal
from tenants.access import Actor
from tenants.choices import Permission

#: words and what stands between them: joined they are the text
_PIECES: Final = re.compile(r"\s+|\w+|[^\w\s]")
#: a longer text is not compared word by word: it would take seconds
MOST_PIECES: Final = 2_000

SAME: Final = "same"
LEFT_OUT: Final = "left out"
PUT_IN: Final = "put in"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a text: sent as it came, left out, or put in."""

    kind: str
    text: str


def find_shortened(actor: Actor, request_id: UUID) -> list[list[Part]]:
    """Each text of a call that was sent shorter, in parts; empty where nothing of the call was kept, or may be looked
    at by this person: who may see texts is who may say that they are kept."""
    if not actor.may(Permission.WRITE_SETTINGS):
        return []
    call = CapturedCall.objects.filter(org=actor.org, pk=request_id).first()
    if call is None or not is_covered(list_consents(actor.org), call.model, call.at):
        return []
    try:
        said = orjson.loads(unseal(actor.org, place_of(str(call.pk)), bytes(call.sealed)))
    except (Unreadable, orjson.JSONDecodeError):
        return []
    return [compare(before, after) for before, after in said.get("shortened", ())]


def compare(before: str, after: str) -> list[Part]:
    """The parts of two texts: those that are ``same`` or ``left out`` make the one, ``same`` or ``put in`` the
    other."""
    old, new = _PIECES.findall(before), _PIECES.findall(after)
    if max(len(old), len(new)) > MOST_PIECES:
        return _parts([(LEFT_OUT, before), (PUT_IN, after)])
    found: list[tuple[str, str]] = []
    for what, start, end, other_start, other_end in difflib.SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():
        if what == "equal":
            found.append((SAME, "".join(old[start:end])))
        else:
            found += [(LEFT_OUT, "".join(old[start:end])), (PUT_IN, "".join(new[other_start:other_end]))]
    return _parts(found)


def _parts(found: list[tuple[str, str]]) -> list[Part]:
    return [Part(kind, text) for kind, text in found if text]
