"""People's own pages below /account: those of django-allauth that are in use, by the names that it looks for. Those
that hash a password wait for their turn."""

from allauth.account import views as account
from allauth.socialaccount import views as social
from allauth.usersessions.views import list_usersessions
from django.urls import URLPattern, URLResolver, include, path

from costhub.console.passwords import in_hashing_turn
from costhub.console.sign_in import reauthenticate, sign_in, sign_out

urlpatterns: list[URLPattern | URLResolver] = [
    path("login/", sign_in, name="account_login"),
    path("logout/", sign_out, name="account_logout"),
    path("signup/", in_hashing_turn(account.signup), name="account_signup"),
    path("inactive/", account.account_inactive, name="account_inactive"),
    path("reauthenticate/", in_hashing_turn(reauthenticate), name="account_reauthenticate"),
    path(
        "reauthenticate/code/",
        account.request_reauthentication_code,
        name="account_request_reauthentication_code",
    ),
    path(
        "reauthenticate/code/confirm/",
        account.confirm_reauthentication_code,
        name="account_confirm_reauthentication_code",
    ),
    path("login/code/confirm/", account.confirm_login_code, name="account_confirm_login_code"),
    path("email/", account.email, name="account_email"),
    path("confirm-email/", account.email_verification_sent, name="account_email_verification_sent"),
    path("password/change/", in_hashing_turn(account.password_change), name="account_change_password"),
    path("password/set/", in_hashing_turn(account.password_set), name="account_set_password"),
    path("password/reset/", account.password_reset, name="account_reset_password"),
    path("password/reset/confirm/", account.confirm_password_reset_code, name="account_confirm_password_reset_code"),
    path(
        "password/reset/complete/",
        in_hashing_turn(account.complete_password_reset),
        name="account_complete_password_reset",
    ),
    path("password/reset/done/", account.password_reset_from_key_done, name="account_password_reset_completed"),
    path("2fa/", include("allauth.mfa.urls")),
    path("sessions/", list_usersessions, name="usersessions_list"),
    path("sso/", include("costhub.console.single_sign_on")),
    path("sso/cancelled/", social.login_cancelled, name="socialaccount_login_cancelled"),
    path("sso/error/", social.login_error, name="socialaccount_login_error"),
    path("sso/signup/", social.login_error, name="socialaccount_signup"),
    path("sso/", social.login_cancelled, name="socialaccount_connections"),
]
