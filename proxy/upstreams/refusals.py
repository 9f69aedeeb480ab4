"""What an upstream says when it refuses, in whichever shape it says so. Pure.

Read are OpenAI's own shape, a list of it (Gemini), the fields at the top (vLLM, Mistral), ``detail`` (FastAPI),
``errors`` (Cloudflare), ``base_resp`` (MiniMax), problem documents (RFC 9457) and plain texts. None of it has been
cleaned: whoever tells it on hides what is secret first, and cuts then.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

from proxy.upstreams import lenient_json
from proxy.values.vendor import Refusal

#: a server that wants longer peace than this is taken at its word for so long
MAX_PAUSE_SECONDS: Final = 86_400.0

_MESSAGES: Final = ("message", "msg", "error_message", "error_msg", "Message", "error_description", "status_msg")
_CODES: Final = ("code", "error_code", "type", "status", "reason")
_STATUSES: Final = ("status", "status_code", "http_status", "code", "error_code")
#: a refusal within a 200 need not be in the field of an error; an answer has one of these
_ANSWERS: Final = frozenset({"choices", "usage", "data", "output", "content", "result"})
#: what the words of a code say where no number does; the first that fits counts
_STATUS_OF_WORDS: Final = (
    ("rate_limit", 429),
    ("ratelimit", 429),
    ("too_many_requests", 429),
    ("quota", 429),
    ("resource_exhausted", 429),
    ("throttl", 429),
    ("overloaded", 503),
    ("unavailable", 503),
    ("unauthenticated", 401),
    ("invalid_api_key", 401),
    ("authentication", 401),
    ("permission", 403),
    ("not_found", 404),
    ("content_filter", 400),
    ("context_length", 400),
    ("exceed_context", 400),
    ("invalid", 400),
    ("bad_request", 400),
    ("badrequest", 400),
    ("unsupported", 400),
)
_DELAY: Final = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s")


def read_refusal(raw: bytes) -> Refusal:
    """A refusal's body, as far as it says anything."""
    try:
        body = lenient_json.read(raw)
    except lenient_json.Unreadable:
        return Refusal(_plain_words(raw))
    return _read(body) if isinstance(body, dict | list | str) else Refusal()


def find_refusal(answer: Any) -> Refusal | None:
    """The refusal in what came with status 200, or None if it is none."""
    if isinstance(answer, list):
        return next((found for item in answer if (found := find_refusal(item)) is not None), None)
    if not isinstance(answer, dict):
        return None
    if answer.get("error"):
        return _read(answer)
    base = answer.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        return _read(base)
    if answer.keys() & _ANSWERS and any(answer.get(name) for name in _ANSWERS):
        return None
    if answer.get("object") == "error" or answer.get("type") == "error":
        return _read(answer)
    if any(answer.get(name) for name in ("detail", "errors", *_MESSAGES)):
        return _read(answer)
    return None


def read_pause(header: Callable[[str], str | None], now_ms: int) -> float | None:
    """Seconds that ``retry-after`` asks for, given whole, with a fraction or as a date; ``retry-after-ms`` is OpenAI's.

    ``header`` gives one by its lower-case name, ``now_ms`` is the present moment in ms since the epoch.
    """
    return _read_pause(header("retry-after"), header("retry-after-ms"), now_ms)


def _read_pause(header: str | None, header_ms: str | None, now_ms: int) -> float | None:
    if header_ms is not None and (pause := _seconds(header_ms)) is not None:
        return min(pause / 1000, MAX_PAUSE_SECONDS)
    if header is None:
        return None
    if (pause := _seconds(header)) is not None:
        return min(pause, MAX_PAUSE_SECONDS)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, moment.timestamp() - now_ms / 1000), MAX_PAUSE_SECONDS)


def _seconds(text: str) -> float | None:
    text = text.strip()
    return float(text) if re.fullmatch(r"\d{1,9}(?:\.\d{0,9})?", text, re.ASCII) else None


def _read(body: Any) -> Refusal:
    found = list(_objects(body))
    if not found:
        return Refusal("; ".join(_texts(body)))
    message = next((words for item in found if (words := _message(item))), "")
    status = next((number for item in found if (number := _status(item))), 0)
    code = next((words for item in found if (words := _code(item))), "")
    param = next((item["param"] for item in found if isinstance(item.get("param"), str)), None)
    return Refusal(message, code, param, status or _status_of(code), _delay(found))


def _objects(body: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """The objects that tell of the error, the innermost first."""
    if depth > 4:
        return
    if isinstance(body, list):
        for item in body[:20]:
            yield from _objects(item, depth + 1)
    elif isinstance(body, dict):
        for name in ("error", "errors", "base_resp"):
            yield from _objects(body.get(name), depth + 1)
        yield body


def _message(item: dict[str, Any]) -> str:
    """The words of one object."""
    words = next((texts for name in _MESSAGES if (texts := _texts(item.get(name)))), [])
    if not words and not isinstance(item.get("error"), dict | list):
        words = _texts(item.get("error")) or _texts(item.get("errors"))
    words = words or _texts(item.get("detail")) or _texts(item.get("title"))
    metadata = item.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("raw"), str):
        # OpenRouter: «Provider returned error», and here what the provider said
        words = [*words, metadata["raw"]]
    return "; ".join(words)


def _texts(value: Any) -> list[str]:
    """A text, or of what FastAPI says of each field its place and its words."""
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, list):
        return [words for item in value[:20] for words in _texts(item)]
    if isinstance(value, dict) and value:
        place = value.get("loc")
        words = ""
        for name in _MESSAGES:
            if not words and isinstance(value.get(name), str):
                words = value[name]
        if not words:
            return _texts(value.get("detail")) or [str(value)]
        return [f"{'.'.join(map(str, place))}: {words}"] if isinstance(place, list) else [words]
    return []


def _code(item: dict[str, Any]) -> str:
    """The first of its codes that is a word. A number that is no status is a code too."""
    codes = [item.get(name) for name in _CODES]
    for code in codes:
        if isinstance(code, str) and code and code != "error" and not code.isdecimal():
            return code
    numbers = [str(code) for code in codes if isinstance(code, int | str) and not isinstance(code, bool)]
    for number in numbers:
        if number.isdecimal() and not _is_status(int(number[:9])):
            return number
    return ""


def _status(item: dict[str, Any]) -> int:
    for name in _STATUSES:
        value = item.get(name)
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) == 3:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and _is_status(value):
            return value
    return 0


def _is_status(number: int) -> bool:
    return 400 <= number < 600


def _status_of(code: str) -> int:
    folded = code.lower().replace(" ", "_").replace("-", "_")
    return next((status for word, status in _STATUS_OF_WORDS if word in folded), 0)


def _delay(found: list[dict[str, Any]]) -> float | None:
    """Google's RetryInfo."""
    for item in found:
        details = item.get("details")
        for detail in details if isinstance(details, list) else ():
            delay = detail.get("retryDelay") if isinstance(detail, dict) else None
            if isinstance(delay, str) and (match := _DELAY.fullmatch(delay)):
                return float(match[1])
    return None


def _plain_words(raw: bytes) -> str:
    """A text that is no JSON; of a page its title."""
    text = raw.decode("utf-8", "replace").strip()
    if text.startswith("<"):
        return _find_title(text.encode())
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")


def _find_title(page: bytes) -> str:
    """What a page calls itself. No regular expression: of a page that opens ten thousand titles and closes none it
    would take seconds, and everybody's calls with it."""
    letters = page.lower()
    opened = letters.find(b"<title")
    begins = letters.find(b">", opened) + 1 if opened >= 0 else 0
    ends = letters.find(b"</title", begins) if begins else -1
    return " ".join(page[begins:ends].decode().split()) if ends >= 0 else ""
