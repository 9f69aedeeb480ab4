"""Requests of people whose mails go out, as they do once what they tell of is committed."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from tests.world import close_scopes

LOCMEM = "django.core.mail.backends.locmem.EmailBackend"


@pytest.fixture
def mails(settings: Settings, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> Iterator[None]:
    """Mails into ``django.core.mail.outbox``, and no count of tries left over."""
    settings.EMAIL_BACKEND = LOCMEM
    # The real one takes a second for each of these many passwords; test_passwords.py has it.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()
    with django_capture_on_commit_callbacks(execute=False):
        yield


@pytest.fixture
def visit(django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> Any:
    """A request whose mails go out, as they do once it commits."""

    def send(client: Client, method: str, path: str, data: dict[str, str] | None = None) -> HttpResponse:
        close_scopes()
        with django_capture_on_commit_callbacks(execute=True):
            answer = getattr(client, method)(path, data)
        close_scopes()
        return answer  # type: ignore[no-any-return]

    return send
