"""What tells of a person goes; what only looks like it stays."""

import pytest

from proxy.learning.scrubbing import scrub
from tests.proxy.learning.examples import make_example


def clean(text: str, region: str | None = None) -> str:
    return scrub(make_example(text, "-"), region)[0].question


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("write to ada.lovelace+x@acme.co.uk.", "write to [EMAIL_1]."),
        ("call +49 30 901820 today", "call [PHONE_1] today"),
        ("pay to DE89 3704 0044 0532 0130 00 THANKS", "pay to [IBAN_1] THANKS"),
        ("card 4111-1111-1111-1111 please", "card [CARD_1] please"),
        ("my SSN is 536-90-4399", "my SSN is [ID_1]"),
        ("536-90-4399", "[ID_1]"),
        ("CPF: 390.533.447-05", "CPF: [ID_1]"),
        ("codice RCCMNL83S18D969H", "codice [ID_1]"),
        ("from 203.0.113.7 and 2001:db8::42", "from [IP_1] and [IP_2]"),
        ("card reader 00:1b:44:11:3a:b7", "card reader [MAC_1]"),
        ("key sk-proj-abcdefghijklmnop1234 leaked", "key [SECRET_1] leaked"),
        ("postgres://ada:secret@db.example/x", "postgres://[SECRET_1]@db.example/x"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk", "[SECRET_1]"),
    ],
)
def test_what_goes(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "order 4111111111111112 of 2026-11-28",  # no card: its check digit is wrong
        "version 3.11.2 and 1.5",
        "std::vector, a::b, ::",
        "at 12:30:45 on 28.11.2026",
        "0.0.0.1 is no machine",
        "the number 123456782 is nobody's",
        "a@b and user@localhost",
        "DE00 3704 0044 0532 0130 00",
        "",
    ],
)
def test_what_stays(text: str) -> None:
    assert clean(text) == text


def test_local_numbers_are_known_where_the_country_is() -> None:
    assert clean("call (415) 555-2671") == "call (415) 555-2671"
    assert clean("call (415) 555-2671", "US") == "call [PHONE_1]"


def test_one_value_is_one_mark_throughout_an_example() -> None:
    example = make_example("Is ada@acme.example or bob@acme.example right?", "ADA@acme.example, not bob@acme.example")
    cleaned, found = scrub(example)
    assert cleaned.question == "Is [EMAIL_1] or [EMAIL_2] right?"
    assert cleaned.answer == "[EMAIL_1], not [EMAIL_2]"
    assert found == {"EMAIL": 4}
    assert scrub(cleaned) == (cleaned, {})


def test_long_texts_are_read_to_their_end() -> None:
    text = "x " * 9_995 + "+49 30 901820"
    assert clean(text) == "x " * 9_995 + "[PHONE_1]"
