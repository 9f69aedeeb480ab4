"""The console's addresses."""

from django.urls import URLPattern, path

from billing import views
from tenants.views import home, sign_in, sign_out

urlpatterns: list[URLPattern] = [
    path("", home, name="home"),
    path("login", sign_in, name="sign-in"),
    path("logout", sign_out, name="sign-out"),
    path("requests/<str:request_id>", views.request_by_id, name="request"),
    path("o/<slug:slug>/", views.overview, name="overview"),
    path("o/<slug:slug>/requests", views.requests, name="requests"),
    path("o/<slug:slug>/requests/<str:request_id>", views.request_story, name="request-story"),
]
