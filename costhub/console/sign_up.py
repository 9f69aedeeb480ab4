"""Signing up: django-allauth's form, with our bound on how many passwords are hashed at once."""

from allauth.account import views
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from costhub.console.passwords import TooManyTries, hashing_turn


def sign_up(request: HttpRequest) -> HttpResponseBase:
    """The form, and its answer: a code by mail, whether the address has an account or not."""
    if request.method != "POST":
        return views.signup(request)  # type: ignore[no-any-return]
    try:
        with hashing_turn():
            return views.signup(request)  # type: ignore[no-any-return]
    except TooManyTries as refused:
        return HttpResponse(refused.message, status=refused.http_status, headers={"Retry-After": str(refused.seconds)})
