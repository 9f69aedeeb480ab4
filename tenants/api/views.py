"""/saved-views: what people look at again."""

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.actions.views import remove_view, save_view
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Choice, Text
from tenants.choices import Permission, ViewPage
from tenants.models import SavedView
from tenants.selectors import list_saved_views


class SavedViewAnswer(Answer):
    """A page's parameters under a name; ``query`` as its address says them."""

    class Meta:
        model = SavedView
        fields: ClassVar = ["id", "name", "page", "query", "created_by", "created_at"]


class NewSavedView(Body):
    """What to keep."""

    name = Text()
    page = Choice(ViewPage)
    query = Text(allow_blank=True, help_text='parameters of the page, such as "range=7d&by=model"')


class SavedViewViewSet(TenantViewSet):
    """Views of the spend and of the calls, shared by all who may see them."""

    queryset = SavedView.objects.all()
    serializer_class = SavedViewAnswer
    read_permission = Permission.READ_MONEY

    def rows(self) -> QuerySet[SavedView]:
        """Those of the open organisation."""
        return list_saved_views(self.actor)

    @extend_schema(request=NewSavedView, responses={201: SavedViewAnswer})
    def create(self, request: Request) -> Response:
        """Keep a view under a name."""
        return self.show(save_view(actor=self.actor, **self.read(NewSavedView)), 201)

    def destroy(self, request: Request, pk: str) -> Response:
        """Forget a view."""
        remove_view(actor=self.actor, view=self.access(pk))
        return Response(status=204)
