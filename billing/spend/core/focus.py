"""FOCUS 1.4 (FinOps Open Cost and Usage Specification, https://focus.finops.org): costs as every cost tool reads them.

A row is a day's usage of a project, model, price version and class of tokens. FOCUS has no columns for tokens: a class
is a SKU, its unit "Tokens". With a price the row's costs are quantity times unit price exactly, to the pico-USD; what
calls cost beside that (fees, roundings up, estimates, long contexts, and what other models saved) is a row without a
SKU price, so that each day's rows sum to the ledger to the nano.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

COLUMNS: Final = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "HostProviderName",
    "InvoiceDetailId",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingCurrency",
    "PricingQuantity",
    "PricingUnit",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceProviderName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
    "x_Calls",
)
_PICOS: Final = 12
_REQUESTS: Final = "Requests"


@dataclass(frozen=True, slots=True)
class Account:
    """Whose costs these are, and who bills them."""

    id: str
    name: str
    issuer: str


@dataclass(frozen=True, slots=True)
class DayUsage:
    """A day's calls of one project, model and price version. Money is nano-USD; ``prices`` are pico-USD a token."""

    start: datetime
    end: datetime
    project: str
    project_name: str
    model: str
    provider: str
    price: str
    calls: int
    tokens: Mapping[str, int]
    prices: Mapping[str, int]
    list_cost: int
    effective_cost: int


def make_rows(account: Account, period: tuple[datetime, datetime], usage: Iterable[DayUsage]) -> list[dict[str, str]]:
    """The rows of a billing period, each with every column."""
    rows = []
    for each in usage:
        list_rest = effective_rest = 0
        for name, tokens in each.tokens.items():
            price = each.prices.get(name, 0)
            if not price or not tokens:
                continue
            picos = tokens * price
            list_rest, effective_rest = list_rest - picos, effective_rest - picos
            rows.append(
                _common(account, period, each)
                | _costs(picos, picos)
                | {
                    "ChargeDescription": f"{each.model}, {name.replace('_', ' ')} tokens",
                    "ConsumedQuantity": str(tokens),
                    "ConsumedUnit": "Tokens",
                    "ContractedUnitPrice": _usd(price),
                    "ListUnitPrice": _usd(price),
                    "PricingCategory": "Standard",
                    "PricingQuantity": str(tokens),
                    "PricingUnit": "Tokens",
                    "SkuId": each.model,
                    "SkuMeter": f"{name.replace('_', ' ')} tokens",
                    "SkuPriceId": f"{each.price}/{name}",
                }
            )
        list_rest += each.list_cost * 1_000
        effective_rest += each.effective_cost * 1_000
        if list_rest or effective_rest or each.calls:
            rows.append(
                _common(account, period, each)
                | _costs(list_rest, effective_rest)
                | {
                    "ChargeDescription": f"{each.model}, fees, roundings and estimates",
                    "ConsumedQuantity": str(each.calls),
                    "ConsumedUnit": _REQUESTS,
                    "PricingQuantity": str(each.calls),
                    "PricingUnit": _REQUESTS,
                    "x_Calls": str(each.calls),
                }
            )
    return rows


def _common(account: Account, period: tuple[datetime, datetime], usage: DayUsage) -> dict[str, str]:
    return dict.fromkeys(COLUMNS, "") | {
        "BillingAccountId": account.id,
        "BillingAccountName": account.name,
        "BillingAccountType": "Organisation",
        "BillingCurrency": "USD",
        "BillingPeriodStart": _moment(period[0]),
        "BillingPeriodEnd": _moment(period[1]),
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _moment(usage.start),
        "ChargePeriodEnd": _moment(usage.end),
        "HostProviderName": usage.provider or "Unknown",
        "InvoiceIssuerName": account.issuer,
        "PricingCurrency": "USD",
        "ResourceId": usage.model,
        "ResourceName": usage.model,
        "ResourceType": "Model",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "LLM gateway",
        "ServiceProviderName": "CostHub",
        "ServiceSubcategory": "Generative AI",
        "SubAccountId": usage.project,
        "SubAccountName": usage.project_name or usage.project,
        "SubAccountType": "Project",
        "Tags": "{}",
    }


def _costs(list_picos: int, effective_picos: int) -> dict[str, str]:
    effective = _usd(effective_picos)
    return {
        "ListCost": _usd(list_picos),
        "ContractedCost": effective,
        "EffectiveCost": effective,
        "BilledCost": effective,
    }


def _usd(picos: int) -> str:
    """Decimal USD without an exponent, exactly."""
    return f"{Decimal(picos).scaleb(-_PICOS):f}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
