"""What compression must leave as it is, found by its form.

*Blocks* are read by machines or by their layout: code, JSON, XML, CSV, tables; so are examples of what is wanted, each
a question with its answer. No method touches a byte of them.
*Words* are what an answer hangs on: numbers with their units, dates, identifiers, addresses, quotations, negations,
names. Methods that drop words keep each of these.
"""

import json
import re
from typing import Final, NamedTuple

from proxy.core.words import STOP_WORDS


class Span(NamedTuple):
    """A part of a text, by its characters."""

    start: int
    end: int


_FENCE: Final = re.compile(r"^(?P<fence>```+|~~~+).*?(?:^(?P=fence)[`~]*\s*$|\Z)", re.MULTILINE | re.DOTALL)
_TAG: Final = re.compile(r"<(?P<tag>[A-Za-z][\w:.-]{0,60})(?:\s[^<>]{0,500})?(?P<empty>/)?>")
_INLINE: Final = re.compile(r"`[^`\n]+`")
_INDENTS: Final = ("    ", "\t")
_INDENTED: Final = re.compile(r"(?:^(?: {4,}|\t)[^\n]*\n?)+", re.MULTILINE)
#: lines that no prose has: statements, assignments, braces at the end, calls, prompts of a shell, diffs, log lines
_CODE_LINE: Final = re.compile(
    r"^\s*(?:(?:def|class|import|from|return|if|elif|else|for|while|try|except|with|function|const|let|var|public|"
    r"private|static|void|int|fn|func|package|use|struct|enum|#include|SELECT|INSERT|UPDATE|DELETE|CREATE)\b.*"
    r"[:;{}()=,]\s*$|[\w.\[\]\"']+\s*(?:[-+*/|&]?=|:=)\s*\S.*|.*[;{}]\s*$|[})\]]+[;,]?\s*$|\$ \S.*|>>> .*|[-+]{3} \S.*|@@ .*"
    r"|[\w.]+\([^)]*\)\s*$|//.*|/\*.*|\*/.*|#!.*)$"
)
_TABLE_LINE: Final = re.compile(r"^\s*(?:\|.*\||[^\n]*\t[^\n]*|[-+|=: ]{5,})\s*$")
_CSV_LINE: Final = re.compile(r"^(?:[^,;\n]{0,60}[,;]){2,}[^,;\n]{0,60}$")
#: two in a row are examples: what is given, and what is to come of it
_ARROW_LINE: Final = re.compile(r"^\s*\S[^\n]{0,200}?\s(?:->|=>|→)\s\S")
#: a line that begins with what it is, such as "Review 2:"
_LABEL: Final = re.compile(
    r"\s*(?:[-*#>]+\s*)?(?:\*\*)?([^\W\d_][^:\n]{0,40}?)(?:\*\*)?\s*#?\d{0,3}\s*:(?:\*\*)?(?=\s|$)"
)
_ANSWERS: Final = (
    r"a|answer|output|label|sentiment|class|classification|category|translation|response|reply|result|target|completion"
    r"|summary|intent|solution|correct|corrected|rewritten|expected|assistant|ai|bot"
)
_IS_ANSWER: Final = re.compile(rf"(?:{_ANSWERS})(?:\s\w+)?", re.IGNORECASE)
_LONGEST_LABEL: Final = 100
#: speakers' letters are answers' too
_ASKED_BY: Final = {
    "a": ("q", "question"),
    "assistant": ("user", "human"),
    "ai": ("user", "human"),
    "bot": ("user", "human"),
}
_EXAMPLE: Final = re.compile(
    # Blanks have a bound: of an unbounded run each part would be tried.
    r"(?:for )?examples?[^\S\n]{0,8}(?:#?\d{1,3}[^\S\n]{0,8})?:|e\.g\.",
    re.IGNORECASE,
)
#: a text without any has no example; looking for one costs a fraction of looking through its lines
_MAY_HAVE_EXAMPLES: Final = re.compile(
    rf"^[^\w\n]{{0,20}}(?:(?:{_ANSWERS})\b[^:\n]{{0,40}}:|{_EXAMPLE.pattern})", re.IGNORECASE | re.MULTILINE
)
#: lines in a row that make a block of code or of a table
_LINES_OF_A_BLOCK: Final = 2

# Any other word is read to its end too, with the blanks behind it: nothing of these begins within one but a number, and
# trying them at each letter is what pruning would take most of its time for. Nothing is taken back that was read to a
# word's end.
_WORDS: Final = re.compile(
    r"(`[^`\n]+`"
    r"|https?://[^\s)>\]]+|\bwww\.\S+|(?<![\w.+-])[\w.+-]{1,80}+@[\w-]+(?:\.[\w-]+)+"
    r"|\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b|\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,}\b"
    r"|(?:[$€£¥#]\s?)?[-+±]?\d[\d.,:/_x×-]*\d(?:\s?%|\s?(?:[A-Za-zµ°Ω]{1,12}\b)(?:/[a-z]+)?)?|(?:[$€£¥#]\s?)?[-+±]?\d"
    r"(?:\s?%|\s?[A-Za-zµ°Ω]{1,12}\b)?"
    r"|\b(?:[Nn]ot|[Nn]o|[Nn]ever|[Nn]one|[Nn]or|[Nn]either|[Ww]ithout|[Cc]annot|[Nn]obody|[Nn]othing|[Uu]nless"
    r"|[Ee]xcept|[Oo]nly|[Hh]ardly|[Bb]arely|[Aa]void|NOT|NO|NEVER|ONLY|MUST)\b"
    r"|\b(?=[^\W_A-Z]*+['’_A-Z.(])"
    r"(?:\w++(?<=n)['’]t\b|\w[^\W_]*+_\w+|[a-z]++[A-Z]\w*|\w++\.\w++\([^)\n]{0,300}\)|\w++\(\))"
    r"|[\"“«][^\"“”«»\n]{1,300}[\"”»])"
    r"|[^\W\d]+[ ,;\n]*"
)
_NAME: Final = re.compile(
    r"\b[^\W\d_a-z][\w’'.-]*(?:\s+(?:(?:of|the|de|von|van|la|al|bin|du)\s+)?[^\W\d_a-z][\w’'.-]*)*"
)


def find_blocks(text: str) -> list[Span]:
    """Code, JSON, XML, CSV, tables and examples, in order, without overlaps."""
    stripped = text.strip()
    if _is_json(stripped):
        return [Span(0, len(text))]
    # Whether there can be any is seen in a fraction of the time in which a pattern finds none.
    spans: list[Span] = []
    if "```" in text or "~~~" in text:
        spans += [Span(*match.span()) for match in _FENCE.finditer(text)]
    spans += _find_markup(text)
    spans += [Span(*match.span()) for match in _INLINE.finditer(text)]
    if text.startswith(_INDENTS) or any(f"\n{indent}" in text for indent in _INDENTS):
        spans += [Span(*match.span()) for match in _INDENTED.finditer(text) if match[0].strip()]
    spans += _find_json(text)
    spans += _find_lines(text)
    if _MAY_HAVE_EXAMPLES.search(text):
        spans += _find_examples(text)
    return merge(spans)


def find_words(text: str, *, names: bool = True) -> list[Span]:
    """Blocks, and the words that an answer hangs on, in order, without overlaps."""
    spans = find_blocks(text)
    spans += [Span(*match.span()) for match in _WORDS.finditer(text) if match.lastindex]
    if names:
        spans += [_name(match) for match in _NAME.finditer(text)]
    return merge(spans)


def _name(match: re.Match[str]) -> Span:
    """The name without a word of grammar before it, which has its capital from the sentence's start."""
    first, _, rest = match[0].partition(" ")
    is_grammar = first.casefold() in STOP_WORDS
    # Nor the blanks behind that: they go with it.
    return Span(match.end() - len(rest.lstrip()) if is_grammar else match.start(), match.end())


def merge(spans: list[Span]) -> list[Span]:
    """Spans in order, those that overlap as one."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start < merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        elif span.start < span.end:
            merged.append(span)
    return merged


def split(text: str, blocks: list[Span]) -> list[tuple[str, bool]]:
    """The text in pieces: each with whether it is one of the blocks. Joined they are the text."""
    pieces, place = [], 0
    for block in blocks:
        if place < block.start:
            pieces.append((text[place : block.start], False))
        pieces.append((text[block.start : block.end], True))
        place = block.end
    if place < len(text):
        pieces.append((text[place:], False))
    return pieces


def survives(original: str, shorter: str, spans: list[Span]) -> bool:
    """Whether every span's text stands in the shorter text, in the same order, byte for byte."""
    place = 0
    for span in spans:
        part = original[span.start : span.end]
        found = shorter.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return True


def _is_json(text: str) -> bool:
    if text[:1] not in ("{", "[") or text[-1:] not in ("}", "]"):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _find_markup(text: str) -> list[Span]:
    """Elements of XML and HTML, from the opening tag to the closing one of the same name."""
    spans: list[Span] = []
    # Not closed once, not closed later: each name is looked for to the text's end only once.
    unclosed: set[str] = set()
    place = 0
    for match in _TAG.finditer(text):
        if match.start() < place or match["tag"] in unclosed:
            continue
        if match["empty"]:
            spans.append(Span(*match.span()))
            continue
        close = text.find(f"</{match['tag']}", match.end())
        end = text.find(">", close) if close >= 0 else -1
        if end < 0:
            unclosed.add(match["tag"])
            continue
        place = end + 1
        spans.append(Span(match.start(), place))
    return spans


def _find_json(text: str) -> list[Span]:
    """Objects and lists that stand in a text: from an opening bracket to the end of what can be read as JSON."""
    spans: list[Span] = []
    decoder = json.JSONDecoder()
    place = 0
    # A text of broken JSON must not be read to its end from each of its brackets.
    left = 4 * len(text) + _FREE_READING
    while left > 0 and (match := _JSON_START.search(text, place)) is not None:
        try:
            _, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError) as error:
            left -= _FREE_READING + (error.pos - match.start() if isinstance(error, json.JSONDecodeError) else 0)
            # What looked like JSON and is none, up to the line's end, is left alone too.
            end = text.find("\n", match.start())
            end = len(text) if end < 0 else end
        spans.append(Span(match.start(), end))
        place = end
    return spans


_JSON_START: Final = re.compile(r"[\[{]\s*[\"{\[\d]")
#: what one more try costs, in characters
_FREE_READING: Final = 200


def _find_lines(text: str) -> list[Span]:
    """Runs of lines that are code, a table, CSV or examples with arrows."""
    spans: list[Span] = []
    start, lines, place = 0, 0, 0
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\n")
        if len(bare) <= _LONGEST_LINE and (
            _CODE_LINE.match(bare)
            or _TABLE_LINE.match(bare)
            or (_CSV_LINE.match(bare) and not bare.endswith("."))
            or _ARROW_LINE.match(bare)
        ):
            start, lines = (start, lines + 1) if lines else (place, 1)
        elif bare.strip() or not lines:
            if lines >= _LINES_OF_A_BLOCK:
                spans.append(Span(start, place))
            lines = 0
        place += len(line)
    if lines >= _LINES_OF_A_BLOCK:
        spans.append(Span(start, place))
    return spans


def _find_examples(text: str) -> list[Span]:
    """Questions with their answers, each from the line that asks to the end of what answers, and paragraphs that say
    that they are examples. What asks last, with no answer yet, is none."""
    spans: list[Span] = []
    # Where the example began that the line is in, if it is in one; what asked; whether its answer has begun.
    start, asked, is_answered, place = -1, "", False, 0
    for line in text.splitlines(keepends=True):
        label = _LABEL.match(line, 0, _LONGEST_LABEL)
        name = label[1].casefold() if label is not None else ""
        is_answer = label is not None and _IS_ANSWER.fullmatch(name) is not None
        if is_answered and (not line.strip() or (label is not None and not is_answer)):
            spans.append(Span(start, place))
            start, asked, is_answered = -1, "", False
        if not line.strip():
            start, asked = -1, ""
        elif start < 0 and _EXAMPLE.match(line.lstrip()):
            # To the paragraph's end, whatever it says.
            start, asked, is_answered = place, "", True
        elif is_answer and label is not None and start >= 0 and line[label.end() :].strip():
            is_answered = is_answered or asked in _ASKED_BY.get(name, (asked,))
        elif label is not None and not is_answer and start < 0:
            start, asked = place, name
        place += len(line)
    if is_answered:
        spans.append(Span(start, place))
    return spans


#: longer lines are prose or data of another kind; the patterns are not tried on them
_LONGEST_LINE: Final = 400
