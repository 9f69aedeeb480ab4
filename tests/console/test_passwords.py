"""How often passwords may be tried, how many are checked at once, and what waits for none of them."""

from itertools import count
from secrets import token_hex
from typing import Final

import pytest
import redis
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection
from django.http import HttpResponse
from django.test import RequestFactory
from pytest_django import Settings

from costhub.console import passwords
from costhub.console.passwords import TooManyTries, find_address, find_user
from costhub.console.sign_in import NO_MATCH
from costhub.lib import tallies
from costhub.stack.ports import find_free_port
from tenants.actions.orgs import find_or_create_user
from tenants.models import User
from tests.world import World, close_scopes, make_client

RIGHT: Final = "correct horse battery staple"
_networks: Final = count(1)


class Watching(PBKDF2PasswordHasher):
    """Says whether a connection to PostgreSQL was held while it hashed."""

    algorithm = "watching"
    iterations = 1
    seen: list[bool] = []

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """As PBKDF2."""
        self.seen.append(connection.connection is not None)
        return super().encode(password, salt, iterations)


@pytest.fixture
def ada(world: World, settings: Settings) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    user = find_or_create_user(f"{token_hex(4)}@acme.example")
    user.set_password(RIGHT)
    user.save()
    close_scopes()
    return user


@pytest.fixture
def address() -> str:
    """One from which no other test comes."""
    return f"10.{next(_networks)}.{int(token_hex(1), 16)}.{int(token_hex(1), 16)}"


def sign_in(email: str, password: str, address: str, **more: str) -> HttpResponse:
    form = {"email": email, "password": password}
    return make_client().post("/login", form, REMOTE_ADDR=address, **more)  # type: ignore[return-value, arg-type]


def tries(email: str, address: str, number: int) -> set[int]:
    return {sign_in(email, "wrong", address).status_code for _ in range(number)}


class TestThrottle:
    def test_who_guesses_one_account_from_one_address_has_to_wait(self, ada: User, address: str) -> None:
        assert tries(ada.email, address, passwords.MOST_OF_A_PAIR) == {400}
        page = sign_in(ada.email, RIGHT, address)
        assert (page.status_code, NO_MATCH in page.content.decode()) == (429, False)
        assert "too many tries to sign in. Wait" in page.content.decode()
        assert 0 < int(page.headers["Retry-After"]) <= passwords.WINDOW_SECONDS

    def test_the_owner_of_the_account_gets_in_from_elsewhere(self, ada: User, address: str) -> None:
        assert tries(ada.email, address, passwords.MOST_OF_A_PAIR + 1) == {400, 429}
        assert sign_in(ada.email, RIGHT, "10.200.0.1").status_code == 302

    def test_another_account_from_there_is_not_refused(self, ada: User, address: str) -> None:
        tries("nobody@acme.example", address, passwords.MOST_OF_A_PAIR + 1)
        assert sign_in(ada.email, RIGHT, address).status_code == 302

    def test_who_gets_in_begins_anew(self, ada: User, address: str) -> None:
        for _ in range(3):
            assert tries(ada.email, address, passwords.MOST_OF_A_PAIR - 1) == {400}
            assert sign_in(ada.email, RIGHT, address).status_code == 302

    def test_one_password_for_many_accounts(self, ada: User, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(passwords, "MOST_FROM_AN_ADDRESS", 5)
        codes = [sign_in(f"{number}@acme.example", RIGHT, address).status_code for number in range(6)]
        assert codes == [400] * 5 + [429]

    def test_many_addresses_for_one_account(self, ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(passwords, "MOST_OF_AN_ACCOUNT", 5)
        codes = [sign_in(ada.email, "wrong", f"10.201.0.{number}").status_code for number in range(6)]
        assert codes == [400] * 5 + [429]

    def test_while_valkey_is_away_people_get_in(self, ada: User, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        tries(ada.email, address, passwords.MOST_OF_A_PAIR + 1)
        away = redis.Redis(port=find_free_port(), socket_connect_timeout=0.2)
        monkeypatch.setattr(tallies, "client", lambda: away)
        assert sign_in(ada.email, RIGHT, address).status_code == 302


class TestAddress:
    @pytest.mark.parametrize(
        ("proxies", "forwarded", "found"),
        [
            (0, "", "10.9.9.9"),
            (0, "1.2.3.4", "10.9.9.9"),
            (1, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
            (2, "6.6.6.6, 1.2.3.4, 10.0.0.1", "1.2.3.4"),
            (2, "1.2.3.4", "10.9.9.9"),
            (1, "", "10.9.9.9"),
            (1, "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
            (1, "not an address", "not an address"),
        ],
    )
    def test_only_the_operators_own_proxies_are_believed(
        self, settings: Settings, proxies: int, forwarded: str, found: str
    ) -> None:
        settings.TRUSTED_PROXIES = proxies
        headers = {"X-Forwarded-For": forwarded} if forwarded else {}
        assert find_address(RequestFactory(headers=headers).get("/login", REMOTE_ADDR="10.9.9.9")) == found


class TestHashing:
    @pytest.mark.parametrize(
        ("email", "password", "is_found"), [("ada", RIGHT, True), ("ada", "wrong", False), ("nobody", RIGHT, False)]
    )
    def test_no_connection_is_held_meanwhile(
        self, committed_world: World, settings: Settings, email: str, password: str, is_found: bool
    ) -> None:
        settings.PASSWORD_HASHERS = ["tests.console.test_passwords.Watching"]
        user = find_or_create_user(f"{token_hex(4)}@acme.example")
        user.set_password(RIGHT)
        user.save()
        Watching.seen.clear()
        request = RequestFactory().post("/login", REMOTE_ADDR="10.202.0.1")
        found = find_user(request, user.email if email == "ada" else f"{token_hex(4)}@acme.example", password)
        assert (found is not None) is is_found
        assert Watching.seen == [False]

    def test_a_password_of_an_older_hash_is_hashed_anew(self, ada: User, settings: Settings) -> None:
        settings.PASSWORD_HASHERS = [
            "tests.console.test_passwords.Watching",
            "django.contrib.auth.hashers.MD5PasswordHasher",
        ]
        assert sign_in(ada.email, RIGHT, "10.203.0.1").status_code == 302
        ada.refresh_from_db()
        assert ada.password.startswith("watching$")
        assert sign_in(ada.email, RIGHT, "10.203.0.1").status_code == 302

    def test_more_at_once_than_there_is_room_for_are_told_to_come_again(
        self, ada: User, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.01)
        with passwords.hashing_turn():
            assert sign_in(ada.email, RIGHT, address).status_code == 302
            with passwords.hashing_turn():
                page = sign_in(ada.email, RIGHT, address)
                assert (page.status_code, page.headers["Retry-After"]) == (429, "5")
                assert "Too many people sign in at this moment." in page.content.decode()
        assert sign_in(ada.email, RIGHT, address).status_code == 302

    @pytest.mark.parametrize(
        "path",
        ["signup/", "reauthenticate/", "password/change/", "password/set/", "password/reset/complete/"],
    )
    def test_every_page_that_hashes_a_password_waits_for_its_turn(
        self, world: World, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.01)
        with passwords.hashing_turn(), passwords.hashing_turn():
            page = make_client().post(f"/account/{path}", {"password1": RIGHT})
            assert (page.status_code, page.headers["Retry-After"]) == (429, "5")
            assert make_client().get(f"/account/{path}").status_code in {200, 302}
        assert make_client().post(f"/account/{path}", {"password1": RIGHT}).status_code in {200, 302}

    def test_so_many_wait_and_no_more(self) -> None:
        taken = [passwords._waiting.acquire(blocking=False) for _ in range(passwords.MOST_HASHES + 6)]
        try:
            assert all(taken)
            with pytest.raises(TooManyTries), passwords.hashing_turn():
                raise AssertionError("there was no room")
        finally:
            for _ in taken:
                passwords._waiting.release()
