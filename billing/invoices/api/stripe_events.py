"""/stripe-events: what Stripe told of and could not be done, for the operator's program. To anybody else these paths
are not there."""

from datetime import datetime
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.invoices.actions.webhooks import MOST_TRIES, find_given_up, find_orgs_of, list_given_up, retry_event
from billing.invoices.api.operator import OperatorView
from billing.invoices.models import StripeEvent
from costhub.lib.errors import NotFound
from tenants.api.authentication import PlatformActor
from tenants.api.fields import Nothing

_MOST_EVENTS = 500


class StripeEventAnswer(serializers.Serializer[Any]):
    """An event of Stripe's that was given up, and how its being tried again goes."""

    id = serializers.CharField()
    kind = serializers.CharField()
    organization = serializers.SerializerMethodField()
    received_at = serializers.DateTimeField()
    given_up_at = serializers.DateTimeField()
    error = serializers.CharField()
    is_retried = serializers.SerializerMethodField()
    next_try_at = serializers.SerializerMethodField()

    def get_organization(self, row: StripeEvent) -> UUID | None:
        """The organisation that it is about; null where that is not known."""
        # Found of all events together.
        found: UUID | None = self.context["orgs"].get(row.pk)
        return found

    def get_is_retried(self, row: StripeEvent) -> bool:
        """Whether somebody has it tried again, until it is applied or given up once more."""
        return row.tries < MOST_TRIES

    def get_next_try_at(self, row: StripeEvent) -> datetime | None:
        """When it is tried next; null for at once, and where it is not tried again."""
        return row.waits_until if row.tries < MOST_TRIES else None


class StripeEventsView(OperatorView):
    """Events of Stripe's that were given up."""

    @extend_schema(responses=StripeEventAnswer(many=True))
    def get(self, request: Request) -> Response:
        """Those that were given up and that nothing was done about since, the longest first."""
        rows = list(list_given_up()[:_MOST_EVENTS])
        return Response({"data": StripeEventAnswer(rows, many=True, context={"orgs": find_orgs_of(rows)}).data})


class StripeEventRetryView(OperatorView):
    """One of them."""

    @extend_schema(request=Nothing, responses={200: StripeEventAnswer})
    def post(self, request: Request, pk: str) -> Response:
        """Have it tried again: at once, and then as often as a new one. Its alert ends when it is applied."""
        self.read(Nothing)
        row, who = find_given_up(pk), self.request.auth
        if row is None or not isinstance(who, PlatformActor):
            raise NotFound("There is no such event that was given up.")
        retried = retry_event(row=row, by=who.name)
        return Response(StripeEventAnswer(retried, context={"orgs": find_orgs_of([retried])}).data)
