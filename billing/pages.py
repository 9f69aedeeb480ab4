"""The console's addresses."""

from django.urls import URLPattern, path

from billing.views import alerts, overview, requests
from tenants.views import home, sign_in, sign_out

urlpatterns: list[URLPattern] = [
    path("", home, name="home"),
    path("login", sign_in, name="sign-in"),
    path("logout", sign_out, name="sign-out"),
    path("requests/<str:request_id>", requests.request_by_id, name="request"),
    path("o/<slug:slug>/", overview.overview, name="overview"),
    path("unsubscribe/<str:token>", alerts.unsubscribe, name="unsubscribe"),
    path("o/<slug:slug>/alerts", alerts.alerts, name="alerts"),
    path("o/<slug:slug>/alerts/mails", alerts.choose_mails, name="choose-mails"),
    path("o/<slug:slug>/alerts/<str:alert_id>/acknowledge", alerts.acknowledge_alert, name="acknowledge"),
    path("o/<slug:slug>/requests", requests.requests, name="requests"),
    path("o/<slug:slug>/requests/<str:request_id>", requests.request_story, name="request-story"),
]
