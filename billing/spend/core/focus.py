"""FOCUS 1.4 (FinOps Open Cost and Usage Specification, https://focus.finops.org): costs as every cost tool reads them.

A row is a day's usage of a project, model, price version and class of tokens. FOCUS has no columns for tokens: a class
is a SKU, its unit "Tokens". With a price the row's costs are quantity times unit price exactly, to the pico-USD; what
calls cost beside that (fees, roundings up, estimates, long contexts, and what other models saved) is a row without a
SKU price, so that each day's rows sum to the ledger to the nano (``x_LedgerCost``, in USD).

What an invoice has beside usage (its fee, markup, coupon, tax, the rounding to cents) is a row each, and so is what of
the ledger's usage is not on it; so ``BilledCost`` of a document sums to its total. Money is in the document's currency
at its rate, exactly.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
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
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
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
    "x_LedgerCost",
)
_PICOS: Final = 12
_NANOS: Final = 1_000
_REQUESTS: Final = "Requests"
#: any amount at any rate, exactly
_EXACT: Final = Context(prec=80)


@dataclass(frozen=True, slots=True)
class Account:
    """Whose costs these are, and who bills them."""

    id: str
    name: str
    issuer: str


@dataclass(frozen=True, slots=True)
class Charge:
    """What a document has beside usage: ``category`` and ``frequency`` as FOCUS names them. ``billed`` is in the
    document's currency; ``is_told`` of what another month's usage rows have as effective cost already."""

    category: str
    frequency: str
    text: str
    start: datetime
    end: datetime
    billed: Decimal
    detail: str = ""
    project: str = ""
    project_name: str = ""
    model: str = ""
    is_correction: bool = False
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class Bill:
    """An issued document over ``[start, end)``, or with neither number nor charges the terms of a period that has none
    yet. ``rate`` is units of ``currency`` for a USD. Of a note the usage is its invoice's."""

    start: datetime
    end: datetime
    currency: str = "USD"
    rate: Decimal = Decimal(1)
    number: str = ""
    charges: tuple[Charge, ...] = ()
    is_note: bool = False


@dataclass(frozen=True, slots=True)
class DayUsage:
    """A day's calls of one project, model and price version. Money is nano-USD; ``prices`` are pico-USD a token.
    ``tags`` is None where calls are not told apart by them."""

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
    tags: Mapping[str, str] | None


def make_rows(account: Account, bill: Bill, usage: Iterable[DayUsage]) -> list[dict[str, str]]:
    """The rows of usage, each with every column. ``bill`` is what it is billed by, and its time the billing period."""
    rows = []
    for each in usage:
        common = _common(account, bill) | _usage_columns(each)
        list_rest = effective_rest = 0
        for name, tokens in each.tokens.items():
            price = each.prices.get(name, 0)
            if not price or not tokens:
                continue
            picos = tokens * price
            list_rest, effective_rest = list_rest - picos, effective_rest - picos
            rows.append(
                common
                | _costs(bill, picos, picos)
                | {
                    "ChargeDescription": f"{each.model}, {name.replace('_', ' ')} tokens",
                    "ConsumedQuantity": str(tokens),
                    "ConsumedUnit": "Tokens",
                    "ContractedUnitPrice": _convert(price, bill.rate),
                    "ListUnitPrice": _convert(price, bill.rate),
                    "PricingCategory": "Standard",
                    "PricingCurrencyContractedUnitPrice": _usd(price),
                    "PricingCurrencyListUnitPrice": _usd(price),
                    "PricingQuantity": str(tokens),
                    "PricingUnit": "Tokens",
                    "SkuId": each.model,
                    "SkuMeter": f"{name.replace('_', ' ')} tokens",
                    "SkuPriceId": f"{each.price}/{name}",
                }
            )
        list_rest += each.list_cost * _NANOS
        effective_rest += each.effective_cost * _NANOS
        if list_rest or effective_rest or each.calls:
            rows.append(
                common
                | _costs(bill, list_rest, effective_rest)
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


def make_charges(account: Account, bill: Bill) -> list[dict[str, str]]:
    """The rows of what a document has beside usage."""
    return [_common(account, bill) | _charge_columns(bill, charge) for charge in bill.charges]


def _common(account: Account, bill: Bill) -> dict[str, str]:
    return dict.fromkeys(COLUMNS, "") | {
        "BillingAccountId": account.id,
        "BillingAccountName": account.name,
        "BillingAccountType": "Organisation",
        "BillingCurrency": bill.currency,
        "BillingPeriodStart": _moment(bill.start),
        "BillingPeriodEnd": _moment(bill.end),
        "InvoiceId": bill.number,
        "InvoiceIssuerName": account.issuer,
        "PricingCurrency": "USD",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "LLM gateway",
        "ServiceProviderName": "CostHub",
        "ServiceSubcategory": "Generative AI",
    }


def _usage_columns(usage: DayUsage) -> dict[str, str]:
    return {
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _moment(usage.start),
        "ChargePeriodEnd": _moment(usage.end),
        "HostProviderName": usage.provider or "Unknown",
        "ResourceId": usage.model,
        "ResourceName": usage.model,
        "ResourceType": "Model",
        "SubAccountId": usage.project,
        "SubAccountName": usage.project_name or usage.project,
        "SubAccountType": "Project",
        "Tags": "" if usage.tags is None else json.dumps(usage.tags, ensure_ascii=False, sort_keys=True),
    }


def _charge_columns(bill: Bill, charge: Charge) -> dict[str, str]:
    billed = f"{charge.billed:f}"
    effective = Decimal(0) if charge.is_told else charge.billed
    columns = {
        "BilledCost": billed,
        "ChargeCategory": charge.category,
        "ChargeClass": "Correction" if charge.is_correction else "",
        "ChargeDescription": charge.text,
        "ChargeFrequency": charge.frequency,
        "ChargePeriodStart": _moment(charge.start),
        "ChargePeriodEnd": _moment(charge.end),
        "ContractedCost": f"{effective:f}",
        "EffectiveCost": f"{effective:f}",
        "HostProviderName": "CostHub",
        "InvoiceDetailId": charge.detail,
        "ListCost": f"{effective:f}",
        "PricingCurrencyEffectiveCost": f"{round(effective / bill.rate, _PICOS):f}",
        "Tags": "{}",
    }
    if charge.project:
        columns |= {
            "SubAccountId": charge.project,
            "SubAccountName": charge.project_name or charge.project,
            "SubAccountType": "Project",
        }
    if charge.model:
        columns |= {"ResourceId": charge.model, "ResourceName": charge.model, "ResourceType": "Model"}
    return columns


def _costs(bill: Bill, list_picos: int, effective_picos: int) -> dict[str, str]:
    effective = _convert(effective_picos, bill.rate)
    return {
        "ListCost": _convert(list_picos, bill.rate),
        "ContractedCost": effective,
        "EffectiveCost": effective,
        "BilledCost": effective,
        "PricingCurrencyEffectiveCost": _usd(effective_picos),
        "x_LedgerCost": _usd(effective_picos),
    }


def convert(nanos: int, rate: Decimal) -> Decimal:
    """Nano-USD in a currency, exactly."""
    return _EXACT.multiply(Decimal(nanos).scaleb(-9, _EXACT), rate)


def _convert(picos: int, rate: Decimal) -> str:
    """Decimal units of a currency without an exponent, exactly."""
    return f"{_EXACT.multiply(Decimal(picos).scaleb(-_PICOS, _EXACT), rate):f}"


def _usd(picos: int) -> str:
    """Decimal USD without an exponent, exactly."""
    return f"{Decimal(picos).scaleb(-_PICOS):f}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
