"""Checks passwords, and bounds what that costs: how often somebody may try, and how many are checked at once.

A hash is made to be slow. So no connection to PostgreSQL is held while one is made, few are made at the same time, and
whoever guesses is soon told to wait:

- of one account from one address, so that nobody is locked out of their account by a stranger elsewhere;
- from one address whatever the account, so that a list of addresses with one password is no way round that;
- of one account from everywhere, with much room: many addresses that guess together are one guesser.

While Valkey cannot be asked nobody is refused for their tries: people need the console to see what is wrong. The bound
on hashing holds nevertheless.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import BoundedSemaphore
from typing import Final

from django.conf import settings
from django.contrib.auth.hashers import make_password, verify_password
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from redis.exceptions import RedisError

from costhub.lib.addresses import find_caller, network_of
from costhub.lib.errors import TooManyRequests
from costhub.lib.keyspace import sign_ins_key
from costhub.lib.redis import client
from costhub.lib.tallies import count
from tenants.models import User

_log = logging.getLogger(__name__)

WINDOW_SECONDS: Final = 600
MOST_OF_A_PAIR: Final = 10
MOST_FROM_AN_ADDRESS: Final = 100
MOST_OF_AN_ACCOUNT: Final = 100
#: hashes at once in one process: each takes a core for as long as it lasts
MOST_HASHES: Final = 2
#: how many more may wait for that, and for how long
MOST_WAITING: Final = 6
WAIT_SECONDS: Final = 5.0

_hashing: Final = BoundedSemaphore(MOST_HASHES)
_waiting: Final = BoundedSemaphore(MOST_HASHES + MOST_WAITING)


class TooManyTries(TooManyRequests):
    """Somebody has tried too often, or too many sign in at once."""

    code = "too_many_tries"


def find_user(request: HttpRequest, email: str, password: str) -> User | None:
    """The active account with this address and password. Call it outside a transaction.

    Raises TooManyTries, before anything is looked at. An account that is not there takes as long as one that is.
    """
    with _hashing_place():
        return _find_user(email, password, find_address(request))


def _find_user(email: str, password: str, address: str) -> User | None:
    counters = _counters_of(email, address)
    _count(counters)
    user = User.objects.filter(email=email).first()
    encoded = user.password if user is not None else ""
    if not connection.in_atomic_block:
        # Somebody else's, for as long as the hash takes.
        connection.close()
    with _turn():
        if not encoded:
            make_password(password)
            is_right, must_update = False, False
        else:
            is_right, must_update = verify_password(password, encoded)
        renewed = make_password(password) if is_right and must_update else ""
    if user is None or not is_right or not user.is_active:
        return None
    if renewed:
        User.objects.filter(pk=user.pk, password=encoded).update(password=renewed)
        user.password = renewed
    _forget(counters[0])
    return user


def find_address(request: HttpRequest) -> str:
    """Where a request comes from: the peer, or what the nearest proxy of the operator's says of it."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    return network_of(find_caller(request.META.get("REMOTE_ADDR", ""), forwarded, settings.TRUSTED_PROXIES))


def _counters_of(email: str, address: str) -> tuple[str, str, str]:
    account = hashlib.sha256(email.encode("utf-8", "replace")).hexdigest()[:32]
    return (
        sign_ins_key("pair", f"{account}:{address}"),
        sign_ins_key("address", address),
        sign_ins_key("account", account),
    )


def _count(counters: tuple[str, str, str]) -> None:
    try:
        # One by one: on a cluster these keys live on different nodes.
        answers = [count(counter, WINDOW_SECONDS) for counter in counters]
    except RedisError:
        _log.warning("tries to sign in cannot be counted")
        return
    for (tries, seconds), most in zip(answers, (MOST_OF_A_PAIR, MOST_FROM_AN_ADDRESS, MOST_OF_AN_ACCOUNT), strict=True):
        if tries > most:
            raise TooManyTries(
                f"There were too many tries to sign in. Wait {max(seconds // 60, 1)} min, then try again.",
                seconds,
            )


def _forget(counter: str) -> None:
    try:
        client().delete(counter)
    except RedisError:
        _log.warning("tries to sign in cannot be forgotten")


@contextmanager
def _hashing_place() -> Iterator[None]:
    """One of those that hash, or wait for it. A crowd is refused here, before it costs anybody anything."""
    if not _waiting.acquire(blocking=False):
        raise _busy()
    try:
        yield
    finally:
        _waiting.release()


@contextmanager
def _turn() -> Iterator[None]:
    if not _hashing.acquire(timeout=WAIT_SECONDS):
        raise _busy()
    try:
        yield
    finally:
        _hashing.release()


@contextmanager
def hashing_turn() -> Iterator[None]:
    """One of the few that hash at the same time. Raises TooManyTries where too many wait already, or for too long."""
    with _hashing_place(), _turn():
        yield


def in_hashing_turn(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Make ``view`` one whose form is read when it is its turn to hash; whoever is one too many is told to come again.
    It is for those of django-allauth's that hash a password, whether the address has an account or not."""

    @wraps(view)
    def page(request: HttpRequest, *parts: str, **named_parts: str) -> HttpResponseBase:
        if request.method != "POST":
            return view(request, *parts, **named_parts)
        try:
            with hashing_turn():
                return view(request, *parts, **named_parts)
        except TooManyTries as refused:
            headers = {"Retry-After": str(refused.seconds)}
            return HttpResponse(refused.message, status=refused.http_status, headers=headers)

    return page


def _busy() -> TooManyTries:
    return TooManyTries("Too many people sign in at this moment. Try again in a few seconds.", 5)
