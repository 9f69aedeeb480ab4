"""What django-allauth asks about accounts: who may make one, how mails go out, how a password is checked again."""

from functools import partial
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse

from tenants.accounts.sessions import was_recently_confirmed
from tenants.mails import find_base_url, send_or_log
from tenants.models import User


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts by e-mail address; mails go out after the commit, and none of their troubles fails a page."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Whether anybody may make an account; the others come by invitation or single sign-on."""
        return bool(settings.SIGN_UP == "open")

    def clean_email(self, email: str) -> str:
        """Addresses are kept in lower case."""
        return email.strip().lower()

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Write a mail now, as text and in the look of all others; send it once what it tells of is committed."""
        # What django-allauth's texts call the site.
        site = {"name": "CostHub", "domain": urlsplit(find_base_url()).netloc}
        mail = self.render_mail(template_prefix, email, {"email": email, "current_site": site, **context})
        shown = {"title": mail.subject.removeprefix(settings.ACCOUNT_EMAIL_SUBJECT_PREFIX), "text": mail.body}
        mail.attach_alternative(render_to_string("emails/account.html", shown), "text/html")
        transaction.on_commit(partial(send_or_log, mail, template_prefix))

    def get_login_stages(self) -> list[str]:
        """django-allauth's, with our step at which an address is confirmed."""
        ours = {"allauth.account.stages.EmailVerificationStage": "tenants.accounts.address_stage.AddressStage"}
        return [ours.get(stage, stage) for stage in super().get_login_stages()]

    def send_account_already_exists_mail(self, email: str) -> None:
        """Tell whoever has the address already. The hash is for a stranger with a watch: a new account takes one."""
        make_password(self.request.POST.get("password1", ""))
        super().send_account_already_exists_mail(email)

    def is_reauthentication_required(self, *, app: str, **more: Any) -> bool:
        """Of an account's address and password as of all else that matters: asked again after a while. Else a browser
        that was left alone would give the account away. Second factors are stricter: django-allauth's rule, but for
        somebody who has nothing yet that this could ask for. Of them signing in is all there is to ask for."""
        if app != "allauth.account" and get_reauthentication_flows(self.request.user):
            return bool(super().is_reauthentication_required(app=app, **more))
        return not was_recently_confirmed(self.request, self.request.user)

    def get_reauthentication_methods(self, user: User | AnonymousUser) -> list[dict[str, Any]]:
        """django-allauth's; of somebody who has none our page, which says how to sign in again."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if methods or not user.is_authenticated:
            return methods
        address = reverse("account_reauthenticate")
        return [{"id": "sign_in_again", "description": "Sign in again", "url": address}]

    def reauthenticate(self, user: User, password: str) -> bool:
        """Whether this is the password of somebody who is signed in."""
        return user.check_password(password)
