"""An upstream's credential in what the upstream sends: however it is spelled, and wherever it is cut."""

from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.redaction import FEWEST_CHARACTERS, RedactedStream, Redaction

SECRET = 'sk-live-TENANT/4+7"9\\x'
SIGNS = st.characters(min_codepoint=33, max_codepoint=126)


def escape_all(text: str) -> str:
    return "".join(f"\\u{ord(sign):04X}" for sign in text)


@pytest.mark.parametrize(
    "said",
    [
        SECRET,
        SECRET.replace("\\", "\\\\").replace('"', '\\"'),
        SECRET.replace("\\", "\\\\").replace('"', '\\"').replace("/", "\\/"),
        SECRET.replace("\\", "\\\\").replace('"', "\\u0022").replace("+", "\\u002b"),
        escape_all(SECRET),
        escape_all(SECRET).lower(),
    ],
)
def test_every_spelling_of_it_is_hidden(said: str) -> None:
    text = f'{{"a": "before {said} after"}}'.encode()
    assert Redaction(SECRET).hide(text) == b'{"a": "before [credential] after"}'
    assert Redaction(SECRET).hide_error(text) == b'{"a": "before [credential] after"}'


@pytest.mark.parametrize(
    ("said", "hidden"),
    [
        ("x" * 1960 + SECRET[:12], "x" * 1960 + "[credential]"),
        (f"...{SECRET[5:]}!", "...[credential]!"),
        (f"{SECRET[:9]}***{SECRET[-9:]}", "[credential]***[credential]"),
        (f"{SECRET}{SECRET}", "[credential][credential]"),
        (SECRET[:7], SECRET[:7]),
        ("a page about keys", "a page about keys"),
    ],
)
def test_of_an_error_large_parts_are_hidden_too(said: str, hidden: str) -> None:
    assert Redaction(SECRET).hide_error(said.encode()) == hidden.encode()


def test_an_error_in_the_clothes_of_an_answer_is_one() -> None:
    text = b'{"error": {"message": "wrong key: sk-live-TENANT/..."}}'
    assert Redaction(SECRET).hide(text) == b'{"error": {"message": "wrong key: [credential]..."}}'
    assert Redaction(SECRET).hide(b"sk-live-TENANT/ is no error") == b"sk-live-TENANT/ is no error"


@pytest.mark.parametrize("none", [b'"error":null', b'"error": null'])
def test_a_response_that_has_no_error_is_none(none: bytes) -> None:
    redaction = Redaction(SECRET)
    assert redaction.is_clean(b'{%b,"text":"Hi"}' % none)
    part = b'{%b,"text":"sk-live-TENANT/ is no error"}' % none
    assert redaction.hide(part) == part
    # The whole is hidden, and of an error beside it, or one that may be yet to come, its parts.
    whole = b'{%b,"text":"%b"}' % (none, SECRET.encode())
    assert redaction.hide(whole) == b'{%b,"text":"[credential]"}' % none
    for told in (b'{%b,"b":{"error":{"m":"sk-live-TENANT/..."}}}', b'{%b,"m":"sk-live-TENANT/...","error":'):
        assert redaction.hide(told % none) == told.replace(b"sk-live-TENANT/", b"[credential]") % none


@pytest.mark.parametrize("word", ["", "none", "EMPTY", "x" * (FEWEST_CHARACTERS - 1)])
def test_what_is_a_word_and_no_secret_is_left_alone(word: str) -> None:
    text = f'{{"error": "EMPTY none {word}"}}'.encode()
    assert Redaction(word).hide(text) == text
    assert Redaction(word).hide_error(text) == text
    stream = RedactedStream(Redaction(word))
    assert stream.feed(text) + stream.finish() == text


def spell(sign: str, way: int) -> str:
    """One of the ways in which JSON, or an address, writes a character; not every one has all of them."""
    backslashed = f"\\{sign}" if sign in '/"\\' else sign
    return (sign, f"\\u{ord(sign):04x}", f"\\u{ord(sign):04X}", quote(sign, safe=""), backslashed)[way]


@given(
    st.text(SIGNS, min_size=FEWEST_CHARACTERS, max_size=20),
    st.lists(st.integers(0, 4), min_size=20, max_size=20),
    st.integers(0, 140),
    st.integers(0, 140),
)
def test_nor_of_one_that_is_spelled_in_escapes(credential: str, ways: list[int], cut: int, then: int) -> None:
    said = "".join(map(spell, credential, ways)).encode()
    whole = b"before " + said + b" after"
    stream = RedactedStream(Redaction(credential))
    parts = [stream.feed(part) for part in (whole[:cut], whole[cut : cut + then], whole[cut + then :])]
    assert b"".join([*parts, stream.finish()]) == b"before [credential] after"


@pytest.mark.parametrize("cut", range(7, 40))
@pytest.mark.parametrize(
    ("last", "said"), [("\\", rb"\u005c"), ("\\", b"\\\\"), ("%", b"%25"), ("\\", b"\\"), ("%", b"%")]
)
def test_its_last_character_may_be_the_beginning_of_an_escape(last: str, said: bytes, cut: int) -> None:
    redaction = Redaction(f"sk-live-TENANT{last}")
    whole = b"before sk-live-TENANT" + said + b" after"
    stream = RedactedStream(redaction)
    assert stream.feed(whole[:cut]) + stream.feed(whole[cut:]) + stream.finish() == b"before [credential] after"
    assert redaction.hide(whole) == redaction.hide_error(whole) == b"before [credential] after"


@pytest.mark.parametrize("rest", [b"\\u0073k-li", b"\\u00", b"\\", b"sk-%6", b"sk\\u002"])
def test_what_only_looks_like_its_beginning_comes_when_more_is_known(rest: bytes) -> None:
    stream = RedactedStream(Redaction(SECRET))
    assert stream.feed(b"a page " + rest) == b"a page "
    assert stream.feed(b"ing") + stream.finish() == rest + b"ing"


@given(
    st.text(SIGNS, min_size=FEWEST_CHARACTERS, max_size=40),
    st.lists(st.text(SIGNS | st.just("\n"), max_size=12), max_size=6),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_however_a_stream_is_cut_nothing_of_it_comes_through(
    credential: str, texts: list[str], cuts: list[int]
) -> None:
    whole = credential.join(texts).encode()
    stream = RedactedStream(Redaction(credential))
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    parts = [stream.feed(whole[start:end]) for start, end in pairwise(places)]
    got = b"".join([*parts, stream.finish()])
    assert credential.encode() not in got.replace(b"[credential]", b"\0")
    if credential.encode() not in whole:
        assert got == whole or b"[credential]" in got


def test_what_ends_a_line_is_not_kept_back() -> None:
    stream = RedactedStream(Redaction(SECRET))
    assert stream.feed(b"data: sk-live\n\n") == b"data: sk-live\n\n"
    assert stream.feed(b"data: sk-li") == b"data: "
    assert stream.feed(b"ne\n") == b"sk-line\n"


@pytest.mark.parametrize("way", range(5))
@pytest.mark.parametrize("at", [3, 65_530, 65_536, 131_000, 200_000])
def test_of_what_is_long_it_is_hidden_wherever_a_piece_ends(at: int, way: int) -> None:
    said = "".join(spell(sign, way) for sign in SECRET).encode()
    rest = b"a page about keys " * 12_000
    long = rest[:at] + said + rest[at:]
    assert Redaction(SECRET).hide_long(long) == rest[:at] + b"[credential]" + rest[at:]
    assert Redaction(SECRET).hide_long(rest) is rest


def test_of_the_words_of_a_refusal_large_parts_are_hidden() -> None:
    assert Redaction(SECRET).hide_words(f"bad key {SECRET[:12]}...") == "bad key [credential]..."
    assert Redaction(SECRET).hide_words(f"bad key \ud800 {SECRET[:7]}") == f"bad key ? {SECRET[:7]}"
    assert Redaction("").hide_words("bad key") == "bad key"
