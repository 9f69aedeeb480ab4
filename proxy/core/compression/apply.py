"""A request with shorter texts: what a policy's methods may touch of it, and in which order they do.

Touched are plain texts of users, and by what loses nothing those of assistants. Instructions (system, developer) are
only ever replaced as a whole, by the words that a person has approved for just them. Never touched: results and
arguments of tools, examples, what the caller has marked to be cached and all that stands before it; and by what loses
something, a message's last paragraph, which asks, and texts of less than four hundred characters, as examples that
stand in messages of their own mostly are.

What becomes of a message hangs on that message alone. So it is sent in the same words in every turn of a conversation,
and the prefix that a provider caches stays one: reading that costs a tenth of what other words would.

Whatever a method does, the protected spans of a text survive it in their order, or the text is sent as it was.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple

from proxy.core import exact_json
from proxy.core.compression import filler, lossless, prune
from proxy.core.compression.marks import first_after_marks
from proxy.core.compression.original import replace_texts
from proxy.core.compression.passages import GAP
from proxy.core.compression.perplexity import ScoredToken, prune_by_perplexity
from proxy.core.compression.protect import find_words, survives
from proxy.core.compression.saved import count_shortened
from proxy.values.request import Operation, Request
from tenants.choices import Compression
from tenants.route_snapshots import ApprovedPrompt, CompressionSnapshot
from tenants.snapshots import OrgSnapshot

#: a longer text is sent as it is: every other call would wait meanwhile
MOST_CHARACTERS: Final = 1_000_000
#: shorter ones have nothing to spare
FEWEST_CHARACTERS: Final = 40
#: what loses something leaves shorter texts alone: they have little to spare, and many are examples, whose words are
#: all meant. Which turns are examples no conversation says; how long one is it says itself, and in every turn the same
FEWEST_TO_LOSE: Final = 400
#: so often what loses nothing is done again, until nothing more changes
_MOST_ROUNDS: Final = 4

#: whose texts become shorter, and whose are replaced as a whole
_SPEAKERS: Final = frozenset({"user", "assistant"})
_INSTRUCTING: Final = frozenset({"system", "developer"})

Act = Callable[[str], str]
#: what loses nothing, by method
_SAFE: Final[Mapping[str, Act]] = {
    Compression.LOSSLESS.value: lossless.tidy,
    Compression.FILLER.value: filler.drop_filler,
}
#: texts from which passages were left out, by the whole text
Extracted = Mapping[str, str]


class _Steps(NamedTuple):
    """What is done to a text: what loses nothing, then what loses something."""

    safe: tuple[Act, ...]
    lossy: tuple[Act, ...]


def shorten(request: Request, policy: CompressionSnapshot, extracted: Extracted | None = None) -> Request:
    """The request as it is sent. ``shortened`` has each text that became another; none where nothing was to be had.

    ``extracted``: users' texts without the passages that they do not need, where the policy wants that and somebody had
    the time. As far as nothing is lost, shortening twice changes nothing more.
    """
    if request.operation is not Operation.CHAT:
        return request
    messages: list[dict[str, Any]] = request.body["messages"]
    steps = _read_policy(policy, extracted or {})
    changes: list[tuple[str, str]] = []
    sent = list(messages)
    for place in range(first_after_marks(messages), len(messages)):
        message = messages[place]
        role = message.get("role")
        if role not in _SPEAKERS:
            continue
        before = message.get("content")
        content = _shorten_content(before, steps if role == "user" else steps._replace(lossy=()), changes)
        if content is not before:
            sent[place] = message | {"content": content}
    return _put(request, sent, changes, _SPEAKERS)


def is_lossless(policy: CompressionSnapshot) -> bool:
    """Whether none of a policy's methods loses anything, or puts other words in the place of those that are there."""
    return _find_steps(policy.methods) is not None


def shorten_and_count(
    request: Request, policy: CompressionSnapshot, org: OrgSnapshot, extracted: Extracted | None = None
) -> Request:
    """As ``shorten``, with instructions in the words that were approved for them, where the policy wants that, and the
    tokens that it has saved."""
    if Compression.SYSTEM_PROMPT in policy.methods and org.system_prompts:
        request = put_approved(request, org.system_prompts)
    return count_shortened(shorten(request, policy, extracted), org)


def put_approved(request: Request, approved: Mapping[str, ApprovedPrompt]) -> Request:
    """The request with each system prompt, as a whole, in the words that somebody has approved for just it;
    ``compression`` names the version. What the caller has marked to be cached stays, and all that stands before it."""
    if request.operation is not Operation.CHAT:
        return request
    messages: list[dict[str, Any]] = request.body["messages"]
    changes: list[tuple[str, str]] = []
    sent, names = list(messages), list[str]()
    for place in range(first_after_marks(messages), len(messages)):
        message = messages[place]
        content = message.get("content")
        if message.get("role") not in _INSTRUCTING or not isinstance(content, str):
            continue
        found = approved.get(sha256(content.encode("utf-8", "surrogatepass")).hexdigest())
        if found is not None:
            sent[place] = message | {"content": found.text}
            changes.append((content, found.text))
            names.append(f"system prompt {found.name}")
    put = _put(request, sent, changes, _INSTRUCTING)
    return request if put is request else put._replace(compression=", ".join(dict.fromkeys(names)))


def list_texts(request: Request) -> list[str]:
    """The texts of users that may lose something."""
    if request.operation is not Operation.CHAT:
        return []
    messages = request.body["messages"]
    texts: list[str] = []
    for message in messages[first_after_marks(messages) :]:
        if message.get("role") == "user":
            content = message.get("content")
            parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
            found = (_text_of(part) for part in parts)
            texts += [text for text in found if text is not None and len(text) >= FEWEST_TO_LOSE]
    return texts


def _put(
    request: Request, messages: list[dict[str, Any]], changes: Sequence[tuple[str, str]], roles: Set[str]
) -> Request:
    """The request with messages in which texts have changed, also as its caller wrote it; as it was where none has, or
    where what the caller wrote does not have them as we have read them."""
    if not changes:
        return request
    original = request.original
    if original is not None:
        original = replace_texts(original, changes, roles)
        if original is None:
            return request
    body = request.body | {"messages": messages}
    size = len(exact_json.dumps(body))
    if original is not None:
        size = max(size, len(exact_json.dumps(original.body)))
    return request._replace(body=body, body_bytes=size, original=original, shortened=(*request.shortened, *changes))


def _find_safe(methods: tuple[str, ...]) -> tuple[Act, ...]:
    return tuple(_SAFE[method] for method in methods if method in _SAFE)


@lru_cache(maxsize=64)
def _find_steps(methods: tuple[str, ...]) -> _Steps | None:
    """The steps of methods of which none loses anything, which need nothing of a call; else None."""
    safe = _find_safe(methods)
    return _Steps(safe, ()) if len(safe) == len(methods) else None


def _read_policy(policy: CompressionSnapshot, extracted: Extracted) -> _Steps:
    if (steps := _find_steps(policy.methods)) is not None:
        # What is on by default.
        return steps
    keep = policy.keep_permille / 1000
    lossy: Mapping[str, Act] = {
        Compression.EXTRACT: lambda text: extracted.get(text, text),
        # In the caller's hands as well: the words were scored.
        Compression.PERPLEXITY: lambda text: extracted.get(text, text),
        Compression.PRUNE: lambda text: _prune_all_but_the_question(text, keep),
    }
    return _Steps(_find_safe(policy.methods), tuple(lossy[method] for method in policy.methods if method in lossy))


def _shorten_content(content: Any, steps: _Steps, changes: list[tuple[str, str]]) -> Any:
    """A message's content with shorter texts; the same object where none became shorter."""
    if isinstance(content, str):
        shorter = _shorten_text(content, steps)
        if shorter is not content:
            changes.append((content, shorter))
        return shorter
    if not isinstance(content, list):
        return content
    parts = list(content)
    for place, part in enumerate(content):
        text = _text_of(part)
        if text is not None and (shorter := _shorten_text(text, steps)) is not text:
            changes.append((text, shorter))
            parts[place] = part | {"text": shorter}
    return parts if any(one is not other for one, other in zip(parts, content, strict=True)) else content


def _shorten_text(text: str, steps: _Steps) -> str:
    if not FEWEST_CHARACTERS <= len(text) <= MOST_CHARACTERS:
        return text
    # Extraction has seen the whole text, and speaks of it.
    for act in steps.lossy if len(text) >= FEWEST_TO_LOSE else ():
        text = _only_if_shorter(text, act(text))
    for _ in range(_MOST_ROUNDS):
        before = text
        for act in steps.safe:
            if (acted := act(text)) is not text:
                text = _only_if_shorter(text, acted)
        if text is before:
            break
    return text


def _only_if_shorter(text: str, shorter: str) -> str:
    return shorter if len(shorter) < len(text) and shorter.strip() else text


def split_question(text: str) -> tuple[str, str] | None:
    """The text before its last paragraph, which asks, and that; None for a text of one paragraph, which only asks."""
    gaps = list(GAP.finditer(text.rstrip()))
    return (text[: gaps[-1].start()], text[gaps[-1].start() :]) if gaps else None


def prune_scored(text: str, scored: Sequence[ScoredToken], keep: float) -> str:
    """The text without its least surprising words, but for its last paragraph. ``scored``: the tokens before that.
    Raises ValueError where they are of another text."""
    found = split_question(text)
    if found is None:
        return text
    pruned = prune_by_perplexity(found[0], scored, keep) + found[1]
    return pruned if survives(text, pruned, find_words(text)) else text


def _prune_all_but_the_question(text: str, keep: float) -> str:
    found = split_question(text)
    if found is None:
        return text
    pruned = prune.prune_words(found[0], keep) + found[1]
    # What is a table, say, shows in the whole text only.
    return pruned if survives(text, pruned, find_words(text)) else text


def _text_of(part: Any) -> str | None:
    text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
    return text if isinstance(text, str) else None
