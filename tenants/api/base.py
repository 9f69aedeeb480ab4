"""What every resource of the management API has in common: the actor, strict bodies, problems, pages, idempotency."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, cast

from django.db import models
from rest_framework.exceptions import NotAuthenticated, ParseError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from costhub.lib.errors import Forbidden, InvalidField, PaymentRequired
from tenants.access import Actor, access_row
from tenants.api.authentication import BearerAuthentication, ConsoleAuthentication, PlatformActor
from tenants.api.etags import EDITS, IF_MATCH, check_match, etag_of
from tenants.api.fields import Body
from tenants.api.idempotency import HEADER, REPLAYED_HEADER, Claim, StoredAnswer, claim
from tenants.api.paging import PARAMETERS, NewestFirst
from tenants.api.parsing import StrictJsonParser, check_text, read_body
from tenants.api.problems import answer_problem
from tenants.api.throttle import CredentialThrottle
from tenants.choices import Permission
from tenants.models import Organization

Row = TypeVar("Row", bound=models.Model)


class _Replayed(Exception):
    def __init__(self, answer: StoredAnswer) -> None:
        super().__init__()
        self.answer = answer


class ManagementView(APIView):
    """A view of the management API: JSON in and out, problems for errors, ``Idempotency-Key`` on every POST."""

    authentication_classes = [BearerAuthentication, ConsoleAuthentication]
    permission_classes = []
    throttle_classes = [CredentialThrottle]
    parser_classes = [StrictJsonParser]
    renderer_classes = [JSONRenderer]
    metadata_class = None
    #: query parameters that this view knows; any other is refused by name
    known_parameters: ClassVar[frozenset[str]] = frozenset()
    #: whether it takes writes of an organisation that unpaid invoices have made read-only
    works_when_read_only: ClassVar[bool] = False

    _claim: Claim | None = None

    @property
    def actor(self) -> Actor:
        """Who acts, in which organisation. Raises NotAuthenticated, or Forbidden for a platform token."""
        who = self.request.auth
        if isinstance(who, Actor):
            return who
        if isinstance(who, PlatformActor):
            raise Forbidden("A platform token creates organisations only: use an admin token of the organisation.")
        raise NotAuthenticated

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse what no handler should see; answer what was answered before."""
        raw = request._request
        if raw.method != "GET":
            read_body(raw)
        super().initial(request, *args, **kwargs)
        self.check_caller()
        if isinstance(request.auth, Actor):
            request.auth.check_method(raw.method)
        self._check_paid(request)
        self._check_parameters(request)
        if raw.method == "POST" and (key := request.headers.get(HEADER)) is not None:
            claimed = claim(owner=self._owner, caller=self._caller, path=raw.path, key=key, body=raw.body)
            if isinstance(claimed, StoredAnswer):
                raise _Replayed(claimed)
            self._claim = claimed

    def check_caller(self) -> None:
        """Refuse who has no business here, before anything is read. Raises NotAuthenticated or Forbidden."""
        self.actor  # noqa: B018 - looking is checking

    def get_exception_handler(self) -> Callable[..., Response | None]:
        """Problems, for every error of this API."""
        return answer_problem

    def handle_exception(self, exc: Exception) -> Response:
        """A problem, or the first answer again."""
        if isinstance(exc, _Replayed):
            return _Replay(exc.answer)
        try:
            return super().handle_exception(exc)
        except Exception:
            if self._claim is not None:
                self._claim.release()
            raise

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Keep a claimed key's answer if the work was done, free the key if it was not."""
        final = super().finalize_response(request, response, *args, **kwargs)
        final["Cache-Control"] = "no-store"
        if self._claim is not None:
            if final.status_code < 400:
                final.render()
                # Nothing, as of 204, has no type.
                answer = StoredAnswer(final.status_code, final.headers.get("Content-Type", ""), final.content)
                self._claim.keep_after_commit(self.answered_org, answer)
            else:
                self._claim.release()
        return final

    @property
    def answered_org(self) -> Organization:
        """The organisation whose data key seals a kept answer."""
        return self.actor.org

    def is_known_parameter(self, name: str) -> bool:
        """Whether a query parameter of this name means anything here."""
        return name in self.known_parameters

    def read(self, body: type[Body]) -> dict[str, Any]:
        """The checked body of the request. Raises ParseError for what is no object, and ValidationError."""
        if not isinstance(self.request.data, dict):
            raise ParseError("Send a JSON object, with its fields by name.")
        form = body(data=self.request.data)
        form.is_valid(raise_exception=True)
        return cast(dict[str, Any], form.validated_data)

    def read_query(self, form: type[Body]) -> dict[str, Any]:
        """The checked query parameters, those of paging aside. Raises ValidationError."""
        given = {name: value for name, value in self.request.query_params.items() if name not in PARAMETERS}
        checked = form(data=given)
        checked.is_valid(raise_exception=True)
        return cast(dict[str, Any], checked.validated_data)

    @property
    def _owner(self) -> str:
        who = self.request.auth
        return str(who.token.pk) if isinstance(who, PlatformActor) else str(self.actor.org.pk)

    @property
    def _caller(self) -> str:
        who = cast("Actor | PlatformActor", self.request.auth)
        return who.name

    def _check_paid(self, request: Request) -> None:
        who = request.auth
        if (
            request.method != "GET"
            and isinstance(who, Actor)
            and who.org.is_read_only
            and not self.works_when_read_only
        ):
            raise PaymentRequired(
                "This organisation has invoices that are long overdue: nothing can be changed until they are paid."
            )

    def _check_parameters(self, request: Request) -> None:
        for name, value in request.query_params.items():
            if not self.is_known_parameter(name):
                raise InvalidField("There is no such query parameter here.", field=name.replace("\x00", "")[:200])
            check_text(str(value), name)


class TenantViewSet(ManagementView, GenericViewSet[Any]):
    """Lists and shows rows of one kind. ``rows`` gives those of the actor; subclasses add the verbs."""

    pagination_class = NewestFirst
    lookup_value_regex = "[^/]+"
    known_parameters = PARAMETERS
    read_permission: ClassVar[Permission] = Permission.READ
    #: whether ``rows`` keeps to the projects of an actor who has some only; without it such an actor sees nothing
    is_by_project: ClassVar[bool] = False

    def rows(self) -> models.QuerySet[Any]:
        """All that the actor may see."""
        raise NotImplementedError

    def list(self, request: Request) -> Response:
        """A page of rows, newest first."""
        self.check_may_read()
        rows = self.filter_rows(self.rows())
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One row."""
        self.check_may_read()
        return self.show(self.access(pk))

    def check_may_read(self) -> None:
        """Raise Forbidden unless the actor may see rows of this kind."""
        if self.is_by_project:
            self.actor.check_anywhere(self.read_permission)
        else:
            self.actor.check(self.read_permission)

    def filter_rows(self, rows: models.QuerySet[Any]) -> models.QuerySet[Any]:
        """The rows that the query asks for."""
        return rows

    def access(self, pk: str) -> Any:
        """The actor's row of this id. Raises NotFound, and ChangedMeanwhile where ``If-Match`` names another state."""
        row = access_row(self.rows(), self.actor, pk)
        return self.check_unchanged(row) if IF_MATCH in self.request.headers and self.action in EDITS else row

    def check_unchanged(self, row: Row) -> Row:
        """The row as it is now, locked so that it stays so. Raises ChangedMeanwhile unless it is what the caller has
        seen."""
        type(row)._default_manager.select_for_update().get(pk=row.pk)
        current: Row = self.rows().get(pk=row.pk)
        check_match(self.request.headers[IF_MATCH], dict(self.get_serializer(current).data))
        return current

    def show(self, row: models.Model, status: int = 200, **more: Any) -> Response:
        """One row as an answer; ``more`` is shown beside its fields."""
        shown = dict(self.get_serializer(row).data)
        return Response(shown | more, status=status, headers={"ETag": etag_of(shown)})


class _Replay(Response):
    """A stored answer, sent as it was."""

    def __init__(self, answer: StoredAnswer) -> None:
        super().__init__(status=answer.status, content_type=answer.content_type)
        self._stored = answer.body
        self[REPLAYED_HEADER] = "true"

    @property
    def rendered_content(self) -> str:
        """The bytes of the first time."""
        self["Content-Type"] = self.content_type or ""
        return self._stored.decode()
