"""Keys: their form and checksum. Credentials: sealed for one organisation and one origin."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costhub.lib.secrets import (
    ADMIN_TOKEN,
    API_KEY,
    PLATFORM_TOKEN,
    PREFIX_CHARACTERS,
    ContentKey,
    MasterKeys,
    UnusableCredential,
    digest_of,
    fingerprint,
    is_well_formed,
    make_data_key,
    make_secret,
    open_content,
    open_own,
    reseal_data_key,
    reseal_own,
    seal,
    seal_content,
    seal_own,
    unseal,
)

PEPPER, MASTER = b"p" * 32, MasterKeys(b"m" * 32)
ACME, MALLCORP = "0f0e1c7e-0000-4000-8000-00000000000a", "0f0e1c7e-0000-4000-8000-00000000000b"
ORIGIN = "https://llm.acme.example:443"


class TestKeys:
    @pytest.mark.parametrize("kind", [API_KEY, ADMIN_TOKEN, PLATFORM_TOKEN])
    def test_a_new_one_is_well_formed_and_only_of_its_kind(self, kind: str) -> None:
        made = make_secret(kind, PEPPER)
        assert len(made.text) == len(kind) + 1 + 32 + 6
        assert (made.prefix, made.digest) == (made.text[:PREFIX_CHARACTERS], digest_of(made.text, PEPPER))
        assert [other for other in (API_KEY, ADMIN_TOKEN, PLATFORM_TOKEN) if is_well_formed(made.text, other)] == [kind]

    def test_two_are_never_the_same(self) -> None:
        assert len({make_secret(API_KEY, PEPPER).text for _ in range(200)}) == 200

    def test_the_checksum_is_that_of_the_random_part(self) -> None:
        assert is_well_formed("chk_" + "0" * 32 + crc_in_base_62("0" * 32), API_KEY)
        assert not is_well_formed("chk_" + "0" * 38, API_KEY)

    @given(st.integers(4, 41), st.sampled_from("0aZ_\u00e9\u0661 "))
    def test_any_one_changed_character_is_noticed(self, position: int, character: str) -> None:
        text = "chk_" + "A1b2" * 8 + crc_in_base_62("A1b2" * 8)
        changed = text[:position] + character + text[position + 1 :]
        assert is_well_formed(changed, API_KEY) == (changed == text)

    @pytest.mark.parametrize("text", ["", "chk_", "chk", "sk-" + "a" * 39, "chk_" + "a" * 37, "chk_" + "a" * 10_000])
    def test_other_things_are_not_keys(self, text: str) -> None:
        assert not is_well_formed(text, API_KEY)

    @pytest.mark.parametrize("size", [0, 1, 32, 63, 64, 65, 200])
    def test_a_digest_is_the_hmac_of_the_secret(self, size: int) -> None:
        for text in ("", "chk_x", "chk_" + "a" * 38, "\u00e9" * 100):
            assert digest_of(text, b"p" * size) == hmac.digest(b"p" * size, text.encode(), "sha256")

    def test_a_digest_depends_on_the_pepper(self) -> None:
        assert digest_of("chk_x", PEPPER) != digest_of("chk_x", b"q" * 32)
        assert len(digest_of("chk_x", PEPPER)) == 32

    def test_a_fingerprint_tells_apart_and_shows_nothing(self) -> None:
        assert fingerprint("sk-secret") == "746b4ad1"


class TestSealing:
    @given(st.text(max_size=200).filter(lambda text: text.isprintable()))
    def test_what_was_sealed_opens_again(self, text: str) -> None:
        key = make_data_key(MASTER, ACME)
        sealed = seal(MASTER, key, org_id=ACME, origin=ORIGIN, text=text)
        assert unseal(MASTER, key, org_id=ACME, origin=ORIGIN, sealed=sealed) == text

    def test_nothing_of_it_shows_and_no_two_seals_are_alike(self) -> None:
        key = make_data_key(MASTER, ACME)
        first, second = (seal(MASTER, key, org_id=ACME, origin=ORIGIN, text="sk-secret") for _ in range(2))
        assert b"sk-secret" not in first
        assert first != second
        assert len(first) == 12 + len("sk-secret") + 16

    def test_it_opens_nowhere_else(self) -> None:
        key, theirs = make_data_key(MASTER, ACME), make_data_key(MASTER, MALLCORP)
        sealed = seal(MASTER, key, org_id=ACME, origin=ORIGIN, text="sk-secret")
        for master, data_key, org_id, origin in (
            (MASTER, key, MALLCORP, ORIGIN),
            (MASTER, theirs, MALLCORP, ORIGIN),
            (MASTER, theirs, ACME, ORIGIN),
            (MASTER, key, ACME, "https://evil.example:443"),
            (MASTER, key, ACME, "http://llm.acme.example:443"),
            (MasterKeys(b"n" * 32), key, ACME, ORIGIN),
        ):
            with pytest.raises(UnusableCredential, match="enter it again"):
                unseal(master, data_key, org_id=org_id, origin=origin, sealed=sealed)

    @given(st.data())
    def test_one_turned_bit_closes_it(self, data: st.DataObject) -> None:
        key = make_data_key(MASTER, ACME)
        sealed = seal(MASTER, key, org_id=ACME, origin=ORIGIN, text="sk-secret")
        position, bit = data.draw(st.integers(0, len(sealed) - 1)), data.draw(st.integers(0, 7))
        bent = bytearray(sealed)
        bent[position] ^= 1 << bit
        with pytest.raises(UnusableCredential):
            unseal(MASTER, key, org_id=ACME, origin=ORIGIN, sealed=bytes(bent))

    @pytest.mark.parametrize("sealed", [b"", b"short", b"x" * 27])
    def test_a_torn_one_stays_closed(self, sealed: bytes) -> None:
        with pytest.raises(UnusableCredential):
            unseal(MASTER, make_data_key(MASTER, ACME), org_id=ACME, origin=ORIGIN, sealed=sealed)


class TestRotation:
    old, new = MasterKeys(b"o" * 32), MasterKeys(b"n" * 32)
    both = MasterKeys(b"n" * 32, (b"x" * 32, b"o" * 32))

    def test_a_data_key_moves_and_what_it_has_sealed_stays(self) -> None:
        key = make_data_key(self.old, ACME)
        sealed = seal(self.old, key, org_id=ACME, origin=ORIGIN, text="sk-secret")
        assert unseal(self.both, key, org_id=ACME, origin=ORIGIN, sealed=sealed) == "sk-secret"
        moved = reseal_data_key(self.both, key, ACME)
        assert moved is not None
        assert unseal(self.new, moved, org_id=ACME, origin=ORIGIN, sealed=sealed) == "sk-secret"
        assert reseal_data_key(self.both, moved, ACME) is None
        for master, data_key in ((self.new, key), (self.old, moved)):
            with pytest.raises(UnusableCredential):
                unseal(master, data_key, org_id=ACME, origin=ORIGIN, sealed=sealed)

    def test_a_data_key_of_another_organisation_does_not_move(self) -> None:
        with pytest.raises(UnusableCredential):
            reseal_data_key(self.both, make_data_key(self.old, ACME), MALLCORP)

    def test_secrets_of_nobodys_organisation_move_too(self) -> None:
        sealed = seal_own(self.old, "second-factor", "seed")
        assert open_own(self.both, "second-factor", sealed) == "seed"
        moved = reseal_own(self.both, "second-factor", sealed)
        assert moved is not None
        assert open_own(self.new, "second-factor", moved) == "seed"
        assert reseal_own(self.both, "second-factor", moved) is None
        with pytest.raises(UnusableCredential):
            open_own(self.new, "second-factor", sealed)

    def test_keys_do_not_show_themselves(self) -> None:
        assert "nnn" not in repr(self.both)


def crc_in_base_62(text: str) -> str:
    """The checksum, written down a second time and differently."""
    import zlib

    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    value = zlib.crc32(text.encode())
    return "".join(alphabet[value // 62**power % 62] for power in range(5, -1, -1))


def test_a_key_that_is_kept_open_seals_and_opens_as_one_that_is_not() -> None:
    data_key = make_data_key(MASTER, ACME)
    key = ContentKey(MASTER, data_key, ACME)
    sealed = key.seal("a place", b"said")
    assert len(sealed) == len(b"said") + ContentKey.ROOM
    opened = open_content(MASTER, data_key, org_id=ACME, origin="a place", sealed=sealed)
    again = key.open("a place", seal_content(MASTER, data_key, org_id=ACME, origin="a place", content=b"said"))
    assert opened == again == b"said"
    for place, damaged in (("another place", sealed), ("a place", sealed[:-1]), ("a place", b"")):
        with pytest.raises(UnusableCredential):
            key.open(place, damaged)
    with pytest.raises(UnusableCredential):
        ContentKey(MASTER, data_key, MALLCORP)
