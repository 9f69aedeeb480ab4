"""Takes out of texts what tells of a person, before they are learned from. Pure; offline.

What has a form is found: addresses of mail, telephone numbers, cards, accounts, national numbers with a check digit
beside a word that says so, network addresses, keys and tokens. Names of people and postal addresses have none, and
stay: where they occur, do not consent to learning from those calls.

One value becomes the same mark throughout an example, so that what refers to it still does.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from phonenumbers import PhoneNumberMatcher
from stdnum import iban, luhn
from stdnum.br import cpf
from stdnum.de import idnr
from stdnum.es import dni
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.us import ssn

from proxy.learning.conversations import Example, Message

Span = tuple[int, int, str]

#: texts above this are read in pieces: a matcher's time may grow faster than its text
_PIECE: Final = 20_000
#: and overlap by more than a number is long
_OVERLAP: Final = 64
_EMAIL: Final = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
_SECRETS: Final = re.compile(
    r"\b(?:sk|pk|rk|chk|cha|chp|ghp|gho|ghs|xox[abprs]|hf|glpat)[-_][A-Za-z0-9_-]{16,200}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.{1,8000}?-----END [A-Z ]*PRIVATE KEY-----",
    re.DOTALL,
)
_LOGIN_IN_URL: Final = re.compile(r"(?<=://)[^\s/@:]{1,100}:[^\s/@]{1,100}(?=@)")
_IBAN: Final = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b")
_CARD: Final = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
_ADDRESS: Final = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4})(?![\w:])"
)
_HARDWARE: Final = re.compile(r"\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b")
#: a number that only a checksum tells from others is one in ten of all: a word before it must say what it is
_NATIONAL: Final = re.compile(
    r"\b(?P<word>SSN|social security|NHS|Steuer(?:liche)?-?ID\w*|Steuer-?Id\w*|IdNr|BSN|burgerservicenummer|CPF|PESEL|"
    r"DNI|NIF|NIR|sécu(?:rité sociale)?|codice fiscale)\b[^\w]{0,4}(?:number|no|nr|is|:|\.|#|n°|numéro|nummer|ist|es)?"
    r"[^\w]{0,4}(?P<number>[A-Z0-9](?:[ .-]?[A-Z0-9]){7,20})",
    re.IGNORECASE,
)
_BARE_SSN: Final = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_CODICE: Final = re.compile(r"\b[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b", re.IGNORECASE)
_CHECKS: Final[tuple[Callable[[str], bool], ...]] = tuple(
    module.is_valid for module in (ssn, nhs, idnr, bsn, cpf, pesel, dni, nir, codicefiscale)
)


def scrub(example: Example, region: str | None = None) -> tuple[Example, Mapping[str, int]]:
    """The example with marks such as ``[EMAIL_1]`` in place of what tells of a person, and how many there are by kind.

    ``region``: the country (ISO 3166, two letters) whose telephone numbers are known without a country's code.
    """
    marks: dict[str, str] = {}
    found: Counter[str] = Counter()

    def clean(text: str) -> str:
        return _replace(text, region, marks, found)

    prompt = tuple(Message(message.role, clean(message.content)) for message in example.prompt)
    cleaned = example._replace(prompt=prompt, answer=clean(example.answer))
    # What is right gets the same marks, and is no other place at which something was found.
    return cleaned._replace(gold=_replace(example.gold, region, marks, Counter())), dict(found)


def _replace(text: str, region: str | None, marks: dict[str, str], found: Counter[str]) -> str:
    parts, end = [], 0
    for start, stop, kind in _choose(_find(text, region)):
        value = f"{kind}:{re.sub(r'[^0-9A-Za-z@]', '', text[start:stop]).casefold()}"
        if value not in marks:
            marks[value] = f"[{kind}_{sum(mark.startswith(f'[{kind}_') for mark in marks.values()) + 1}]"
        found[kind] += 1
        parts += [text[end:start], marks[value]]
        end = stop
    return "".join([*parts, text[end:]])


def _choose(spans: Iterator[Span]) -> list[Span]:
    """Those that do not overlap one that was found before: the surer kinds come first."""
    kept: list[Span] = []
    for start, stop, kind in spans:
        if all(stop <= other or start >= end for other, end, _ in kept):
            kept.append((start, stop, kind))
    return sorted(kept)


def _find(text: str, region: str | None) -> Iterator[Span]:
    yield from _spans(_SECRETS, text, "SECRET")
    yield from _spans(_LOGIN_IN_URL, text, "SECRET")
    yield from _spans(_EMAIL, text, "EMAIL")
    for match in _IBAN.finditer(text):
        # Words in capitals may follow: the longest beginning that is an account is meant.
        for stop in range(match.end(), match.start() + 14, -1):
            if text[stop - 1] != " " and iban.is_valid(text[match.start() : stop]):
                yield match.start(), stop, "IBAN"
                break
    for match in _CARD.finditer(text):
        if luhn.is_valid(re.sub(r"\D", "", match[0])):
            yield match.start(), match.end(), "CARD"
    for match in _NATIONAL.finditer(text):
        number = match["number"]
        if any(is_valid(number) for is_valid in _CHECKS):
            yield match.start("number"), match.end("number"), "ID"
    for match in _BARE_SSN.finditer(text):
        if ssn.is_valid(match[0]):
            yield match.start(), match.end(), "ID"
    for match in _CODICE.finditer(text):
        if codicefiscale.is_valid(match[0]):
            yield match.start(), match.end(), "ID"
    yield from _spans(_HARDWARE, text, "MAC")
    for match in _ADDRESS.finditer(text):
        if _is_address(match[0]):
            yield match.start(), match.end(), "IP"
    for begin in range(0, len(text), _PIECE):
        for number in PhoneNumberMatcher(text[begin : begin + _PIECE + _OVERLAP], region):
            yield begin + number.start, begin + number.end, "PHONE"


def _spans(pattern: re.Pattern[str], text: str, kind: str) -> Iterator[Span]:
    return ((match.start(), match.end(), kind) for match in pattern.finditer(text))


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    # ``a::b`` is a piece of a program, not somebody's machine
    return int(address) > 255 and any(character.isdigit() for character in text)
