"""Names in the API's document for enumerations of fields that are all called ``kind`` or the like: without one each is
named after a hash of its values, and the generated clients with it."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from billing.choices import AlertKind, ChannelKind
from billing.invoices.choices import InvoiceKind, WalletAccount
from proxy.learning.choices import JobKind, JobState
from tenants.actions.price_adjustments import AdjustmentKind
from tenants.choices import Mode, PurgeKind, Role, RouteKind, SignOnKind, UpstreamKind


def _choices(values: Iterable[StrEnum]) -> list[tuple[str, str]]:
    """As fields hold them: each value is its own label."""
    return [(value.value, value.value) for value in values]


ALERT_KIND: Final = _choices(AlertKind)
CHANNEL_KIND: Final = _choices(ChannelKind)
INVOICE_KIND: Final = _choices(InvoiceKind)
JOB_STATE: Final = _choices(JobState)
MODE: Final = _choices(Mode)
PRICE_ADJUSTMENT_KIND: Final = _choices(AdjustmentKind)
PURGE_KIND: Final = _choices(PurgeKind)
ROLE: Final = _choices(Role)
ROUTE_KIND: Final = _choices(RouteKind)
SIGN_ON_KIND: Final = _choices(SignOnKind)
TRAINING_KIND: Final = _choices(JobKind)
UPSTREAM_KIND: Final = _choices(UpstreamKind)
WALLET_ACCOUNT: Final = _choices(WalletAccount)
