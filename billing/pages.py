"""The console's addresses."""

from django.urls import URLPattern, path

from billing import alert_views, views
from tenants.views import home, sign_in, sign_out

urlpatterns: list[URLPattern] = [
    path("", home, name="home"),
    path("login", sign_in, name="sign-in"),
    path("logout", sign_out, name="sign-out"),
    path("requests/<str:request_id>", views.request_by_id, name="request"),
    path("o/<slug:slug>/", views.overview, name="overview"),
    path("unsubscribe/<str:token>", alert_views.unsubscribe, name="unsubscribe"),
    path("o/<slug:slug>/alerts", alert_views.alerts, name="alerts"),
    path("o/<slug:slug>/alerts/mails", alert_views.choose_mails, name="choose-mails"),
    path("o/<slug:slug>/alerts/<str:alert_id>/acknowledge", alert_views.acknowledge_alert, name="acknowledge"),
    path("o/<slug:slug>/requests", views.requests, name="requests"),
    path("o/<slug:slug>/requests/<str:request_id>", views.request_story, name="request-story"),
]
