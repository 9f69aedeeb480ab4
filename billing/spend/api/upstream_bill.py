"""/upstream-bills: what a provider billed, held against the ledger. Nothing of it is kept."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.spend.core.upstream_bill import Finding, Reconciled, read_openai, read_table, reconcile_bill
from billing.spend.selectors.upstream_bill import find_used
from costhub.lib.errors import InvalidField
from tenants.access import access_named
from tenants.api.base import ManagementView
from tenants.api.fields import Body, Text, Usd
from tenants.choices import Permission
from tenants.models import Upstream


class UpstreamBill(Body):
    """A bill: the answer of OpenAI's costs or usage API, or a table. ``upstream`` by name or id, all unless given.
    ``columns``: what the table calls ``day``, ``model``, ``cost``, ``input_tokens`` and ``output_tokens``, where it
    calls them otherwise."""

    upstream = Text(required=False)
    openai = serializers.DictField(required=False)
    csv = Text(required=False, max_length=900_000)
    columns = serializers.DictField(child=Text(max_length=200), required=False)


class MatchAnswer(serializers.Serializer[Any]):
    """A day (UTC) and model. ``drift`` is the ledger less the bill, in USD; ``coverage`` is per mille of the bill that
    the ledger has as well."""

    day = serializers.DateField()
    model = serializers.CharField()
    billed = Usd(allow_null=True)
    ledger = Usd(allow_null=True)
    drift = Usd()
    coverage = serializers.IntegerField(allow_null=True)
    finding = serializers.ChoiceField(choices=[finding.value for finding in Finding])
    text = serializers.CharField()


class ReconciledAnswer(serializers.Serializer[Any]):
    """All of them. ``coverage`` is per mille of the bill that the ledger has as well."""

    coverage = serializers.IntegerField(allow_null=True)
    drift = Usd()

    def get_fields(self) -> dict[str, Any]:
        """``data`` is a word of DRF's."""
        return {"data": MatchAnswer(many=True)} | super().get_fields()


class UpstreamBillView(ManagementView):
    """The comparison."""

    @extend_schema(request=UpstreamBill, responses=ReconciledAnswer)
    def post(self, request: Request) -> Response:
        """Hold a bill against the ledger of its days."""
        body = self.read(UpstreamBill)
        self.actor.check(Permission.READ_MONEY)
        if ("openai" in body) == ("csv" in body):
            raise InvalidField("Give the bill as openai or as csv.", field="openai")
        if "columns" in body and "csv" not in body:
            raise InvalidField("Columns are of a table: give it as csv.", field="columns")
        theirs = read_openai(body["openai"]) if "openai" in body else read_table(body["csv"], body.get("columns"))
        upstream = None
        if "upstream" in body:
            upstream = access_named(Upstream.objects.all(), self.actor, body["upstream"], field="upstream").pk
        found = reconcile_bill(theirs, find_used(self.actor, (day for day, _ in theirs), upstream))
        return Response(show_reconciled(found))


def show_reconciled(found: Reconciled) -> Any:
    """As ``ReconciledAnswer``."""
    rows = [
        {
            "day": match.day,
            "model": match.model,
            "billed": match.theirs.cost,
            "ledger": match.ours.cost,
            "drift": match.drift,
            "coverage": match.coverage,
            "finding": match.finding.value,
            "text": match.text,
        }
        for match in found.matches
    ]
    return ReconciledAnswer({"data": rows, "coverage": found.coverage, "drift": found.drift}).data
