"""Saved views: what somebody wants to look at again, under a name."""

from django.db import models

from tenants.choices import ViewPage
from tenants.models.base import TenantRow


class SavedView(TenantRow):
    """A page's parameters, as its address says them. Everybody who may see the page may see the view."""

    name = models.CharField(max_length=120)
    page = models.CharField(max_length=16, choices=[(page.value, page.value) for page in ViewPage])
    query = models.CharField(max_length=1_000, blank=True)
    created_by = models.CharField(max_length=254, blank=True)

    class Meta:
        verbose_name = "saved view"
        constraints = [models.UniqueConstraint(fields=["org", "page", "name"], name="saved_view_names_are_unique")]

    def __str__(self) -> str:
        return self.name
