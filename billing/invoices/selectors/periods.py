"""Which invoice charges a moment: calendar months, but for where the time zone was changed. The organisation is
open."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from billing.invoices.choices import InvoiceKind
from billing.invoices.core.calendar import Bounds, find_period
from billing.invoices.models import Invoice
from tenants.access import Actor
from tenants.periods import period_bounds, previous_bounds


@dataclass(frozen=True, slots=True)
class Periods:
    """The bounds of an organisation's invoices and drafts, and its time zone of now."""

    documents: Sequence[Bounds]
    time_zone: str

    def find(self, moment: datetime) -> Bounds:
        """The period that a moment is charged in: of its invoice, or of the one that it will have. They tile: no gap,
        no overlap."""
        month = period_bounds("month", moment, self.time_zone)
        around = [
            previous_bounds("month", month[0], self.time_zone),
            month,
            period_bounds("month", month[1], self.time_zone),
        ]
        return find_period(moment, around, self.documents) or month

    def of_month(self, month: date) -> Bounds:
        """The period of the invoice of a month."""
        # No change of the time zone moves a month so far that its middle is in another one's invoice.
        return self.find(datetime(month.year, month.month, 15, 12, tzinfo=UTC))

    def name(self, period: Bounds) -> date:
        """The month, by its first day, whose invoice is over a period: its middle is in it."""
        middle = period[0] + (period[1] - period[0]) / 2
        return middle.astimezone(ZoneInfo(self.time_zone)).date().replace(day=1)


def load_periods(actor: Actor) -> Periods:
    """Those of the open organisation."""
    rows = Invoice.objects.filter(org=actor.org, kind=InvoiceKind.INVOICE.value).order_by("period_start")
    documents = list(rows.values_list("period_start", "period_end", "number"))
    issued = [(start, end) for start, end, number in documents if number]
    # A draft of before a change of the time zone that was invoiced since is never issued.
    drafts = [
        (start, end)
        for start, end, number in documents
        if not number and not any(first < end and start < last for first, last in issued)
    ]
    return Periods([*issued, *drafts], actor.org.time_zone)
