"""What people read of an alert: the same words in a mail, in a webhook and on the page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from billing.alerts.core.kinds import KINDS
from billing.choices import AlertEvent, AlertKind
from costhub.lib.money import format_for_people, format_usd

_PERIODS: Final = {
    "minute": "budget of a minute",
    "hour": "hourly budget",
    "day": "daily budget",
    "week": "weekly budget",
    "month": "monthly budget",
    "total": "budget",
}


@dataclass(frozen=True, slots=True)
class AlertText:
    """A headline, figures by name, and a sentence of what follows or what to do."""

    title: str
    figures: tuple[tuple[str, str], ...]
    advice: str


def describe(kind: AlertKind, facts: Mapping[str, Any], event: AlertEvent, zone: ZoneInfo) -> AlertText:
    """An alert in words, moments in the organisation's time zone. While a release is rolled out or taken back, and of
    an alert of long ago, facts may be such as another release writes: then it says what it is about, and no more."""
    try:
        text = _WRITERS[kind](facts, zone)
    except (KeyError, TypeError, ValueError):
        text = AlertText(KINDS[kind].title, (), "Another release of CostHub wrote this, and what it says is not known.")
    if event is AlertEvent.RECOVERED:
        return replace(text, title=f"Over: {text.title}", advice="This is over: nothing needs to be done.")
    return text


def _budget(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    spent, limit = facts["spent"], facts["limit"]
    named = f" “{facts['name']}”" if facts.get("name") else ""
    named += f" within {facts['within']}" if facts.get("within") else ""
    named += ": calls are refused" if facts.get("refuses") else ""
    return AlertText(
        f"{facts['who']} used {facts['percent']} % of the {_PERIODS[facts['period']]}{named}",
        (
            ("Spent", _exact(spent)),
            ("Budget", _exact(limit)),
            ("Left", _exact(limit - spent)),
            ("Resets", _moment(facts["ends"], zone) if facts["period"] != "total" else "never"),
        ),
        _consequence(facts),
    )


def _consequence(facts: Mapping[str, Any]) -> str:
    if facts.get("is_shadow"):
        return "It is a shadow: nothing is refused. The requests show what it would have refused."
    if facts.get("refuses"):
        return "Calls that do not fit are refused until it resets or somebody raises it."
    if facts["action"] == "warn":
        return "Calls go on: this budget only warns."
    if facts["action"] == "degrade":
        return "Calls are made cheaper by the budget's ladder."
    return "Calls that do not fit into what is left are refused."


def _forecast(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    band = "not enough history" if facts["low"] is None else f"{_money(facts['low'])} to {_money(facts['high'])}"
    error = facts.get("error_per_mille")
    named = f" “{facts['name']}”" if facts.get("name") else ""
    if facts["exceeds_on"]:
        title = f"{facts['who']} is forecast to exceed the monthly budget{named} on {_day(facts['exceeds_on'])}"
    else:
        title = f"{facts['who']} is forecast to use {facts['percent']} % of the monthly budget{named}"
    return AlertText(
        title,
        (
            ("Spent so far", _exact(facts["spent"])),
            ("Budget", _exact(facts["limit"])),
            ("Forecast for month end", _money(facts["expected"])),
            ("80 % of outcomes", band),
            ("Error in back-tests", f"{error / 10:.1f} %" if error is not None else "not enough history"),
        ),
        "Raise the budget, or look at what drives the spend.",
    )


def _anomaly(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    when = _moment(facts["starts"], zone) if facts["unit"] == "hour" else _day(facts["starts"], zone)
    figures = [
        ("Spent", _exact(facts["actual"])),
        ("Usual", f"about {_money(facts['expected'])} ({_money(facts['low'])} to {_money(facts['high'])})"),
    ]
    if facts.get("driver"):
        figures.append(("Driver", facts["driver"]))
    direction = "less" if facts.get("is_drop") else "more"
    unit = "hour of" if facts["unit"] == "hour" else "day of"
    return AlertText(
        f"{facts['who']} spent {direction} than usual in the {unit} {when}",
        tuple(figures),
        "Look at the requests of that time.",
    )


def _unpriced(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    refused, answered = facts["refused"], facts["answered"]
    return AlertText(
        f"The model {facts['model']} has no price",
        (("Refused calls today", str(refused)), ("Answered without a price", str(answered))),
        "Give it a price under /api/v1/prices: calls to it are refused until then.",
    )


def _overrun(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    return AlertText(
        f"Calls to {facts['model']} cost more than was held for them",
        (("Calls today", str(facts["calls"])), ("Above what was held", _exact(facts["excess"]))),
        "The bound was too low: check the model's limits and prices. A hard budget can be overrun by as much.",
    )


def _upstream(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    return AlertText(
        f"The upstream {facts['name']} is failing",
        (
            ("Failed", f"{facts['failed']} of {facts['calls']} calls in the last {facts['minutes']} minutes"),
            ("Most frequent error", facts["error"] or "unknown"),
        ),
        "Test it in the console or with POST /api/v1/upstreams/{id}/test.",
    )


def _drift(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    return AlertText(
        f"The counter of a budget of {facts['who']} did not agree with the ledger",
        (
            ("Counter", _exact(facts["counted"])),
            ("Ledger", _exact(facts["ledger"])),
            ("Difference", _exact(facts["counted"] - facts["ledger"])),
        ),
        "It is set to what the ledger says within two minutes. Tell the operator if this comes again.",
    )


def _meter(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    return AlertText(
        f"The meter {facts['meter']} does not agree with the ledger",
        (
            ("Hours", str(facts["hours"])),
            ("Ledger", _exact(facts["ledger"])),
            ("Stripe", _exact(facts["stripe"])),
            ("Difference", _exact(facts["stripe"] - facts["ledger"])),
        ),
        "Invoices are made from the ledger and are not touched by it. The operator should look at the outbox.",
    )


def _learned(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    if "student" in facts:
        return AlertText(
            f"{facts['student']} was rolled back: its teacher answers the route {facts['route']} alone",
            (("Why", facts["reason"]),),
            "What it saved is saved no longer. On the page Learning, train it again on newer calls, put it into the"
            " shadow, or stop serving it.",
        )
    return AlertText(
        f"What the route {facts['route']} has learned was taken back",
        (("Learned", _moment(facts["learned"], zone)), ("From labels", str(facts["labels"]))),
        "Its newest labels say something else than it expected of them. It decides by its rules for now; look at them on"
        " the page of routes, and have it learn again.",
    )


def _paid_twice(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    cents = facts["cents"]
    return AlertText(
        f"The invoice {facts['number']} was paid twice",
        (("Paid at Stripe", f"{cents // 100:,}.{cents % 100:02d} {facts['currency']}"), ("Credit", facts["entry"])),
        "It was paid by hand before. The second payment is the customer's credit with Stripe: give it back there, or"
        " leave it to the next invoice.",
    )


def _top_up(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    figures = [("Credits", _exact(facts["amount"]))]
    if facts["trouble"] == "declined":
        return AlertText(
            "Credits could not be bought by themselves",
            (*figures, ("Why", facts["reason"])),
            "Look at the means of payment, under Billing. It is charged again after an hour, and each time twice as long"
            " after that, up to four days; another one at once. Calls stop when the credits are gone.",
        )
    if facts["trouble"] == "limit":
        return AlertText(
            f"Credits were bought by themselves {facts['times']} times within a day: no more are for now",
            tuple(figures),
            "Buy more by hand, under Billing, or more at a time. Calls stop when the credits are gone.",
        )
    return AlertText(
        "Credits are not bought by themselves any more: a payment let no further call in",
        tuple(figures),
        "The operator should look at the credits, under Billing, before anybody has it charged again.",
    )


def _taken_back(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    cents = facts["cents"]
    what = f"of the invoice {facts['number']}" if facts.get("number") else "of credits"
    return AlertText(
        f"A payment {what} was {'disputed' if facts['is_disputed'] else 'given back'} at Stripe",
        (("Taken back", f"{cents // 100:,}.{cents % 100:02d} {facts['currency']}"), ("Payment", facts["payment"])),
        "The invoice stands as Stripe says: give a credit note for what nobody owes, or have the rest paid."
        if facts.get("number")
        else "The credits are taken out of the wallet. Where they are spent already they are owed, and calls stop.",
    )


def _stripe_event(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    return AlertText(
        f"What Stripe told of {facts['object']} could not be done",
        (("Event", f"{facts['kind']} ({facts['event']})"), ("Why", facts["reason"])),
        "An invoice's payment is asked for again each hour. Credits that were bought are not: the operator should look at"
        " the payment at Stripe, and can have it tried again under Customers.",
    )


def _bill(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    return AlertText(
        f"The bill of the upstream {facts['name']} is not what the ledger has",
        (
            ("Days", f"{_day(facts['first'])} to {_day(facts['last'])}"),
            ("Bill", _exact(facts["billed"])),
            ("Ledger", _exact(facts["ledger"])),
            ("Difference", _exact(facts["billed"] - facts["ledger"])),
            ("Most of it", f"{facts['model'] or 'without a model'}: {facts['why'] or 'the money differs'}"),
        ),
        "GET /api/v1/bill-sources/{id}/days says it day by day and model by model.",
    )


def _key_expiring(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    return AlertText(
        f"The key {facts['name']} expires on {_day(facts['expires'], zone)}",
        (("Key", f"{facts['prefix']}…"), ("Expires", _moment(facts["expires"], zone))),
        "Rotate it, or give it a later end: calls with it are refused from then on.",
    )


def _channel_off(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    return AlertText(
        f"The channel {facts['name']} was switched off",
        (("Why", facts["reason"]),),
        "Repair its receiver and switch it on again: messages that could not be delivered are in its log.",
    )


def _channel_failing(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    return AlertText(
        f"The channel {facts['name']} fails",
        (
            ("Failed", f"{facts['failures']} {'tries' if facts['failures'] != 1 else 'try'} in a row"),
            ("Since", _moment(facts["since"], zone)),
        ),
        "Look at its log and repair its receiver: it is switched off when it fails for long.",
    )


def _price(facts: Mapping[str, Any], zone: ZoneInfo) -> AlertText:
    before, now = facts["month_before"], facts["month_now"]
    return AlertText(
        f"The price of {facts['model']} changed on {_day(facts['starts'], zone)}",
        (
            ("Input", f"{_per_million(facts['input_before'])} to {_per_million(facts['input_now'])} a million tokens"),
            (
                "Output",
                f"{_per_million(facts['output_before'])} to {_per_million(facts['output_now'])} a million tokens",
            ),
            ("A month at last month's volume", f"{_money(before)} before, {_money(now)} now"),
            ("Difference", _exact(now - before)),
        ),
        "The page of the model has each version of its price and what it changed; budgets and forecasts follow it by"
        " themselves.",
    )


_WRITERS: Final[dict[AlertKind, Callable[[Mapping[str, Any], ZoneInfo], AlertText]]] = {
    AlertKind.BUDGET: _budget,
    AlertKind.FORECAST: _forecast,
    AlertKind.ANOMALY: _anomaly,
    AlertKind.UNPRICED: _unpriced,
    AlertKind.OVERRUN: _overrun,
    AlertKind.UPSTREAM: _upstream,
    AlertKind.DRIFT: _drift,
    AlertKind.METER: _meter,
    AlertKind.LEARNED: _learned,
    AlertKind.PAID_TWICE: _paid_twice,
    AlertKind.TOP_UP: _top_up,
    AlertKind.TAKEN_BACK: _taken_back,
    AlertKind.STRIPE_EVENT: _stripe_event,
    AlertKind.BILL: _bill,
    AlertKind.KEY_EXPIRING: _key_expiring,
    AlertKind.CHANNEL_OFF: _channel_off,
    AlertKind.CHANNEL_FAILING: _channel_failing,
    AlertKind.PRICE: _price,
}


def _money(nanos: int) -> str:
    return format_for_people(nanos)


def _per_million(picos: int) -> str:
    """USD for a million tokens of pico-USD for one."""
    whole, rest = divmod(picos, 1_000_000)
    return f"${whole:,}.{f'{rest:06d}'.rstrip('0').ljust(2, '0')}"


def _exact(nanos: int) -> str:
    """Dollars and cents, with the nine places behind where those say more, and those alone where it is less than a
    cent."""
    short, whole, places = format_for_people(nanos), *format_usd(abs(nanos)).split(".")
    exact = f"{'-' if nanos < 0 else ''}${int(whole):,}.{places}"
    if "<" in short:
        return exact
    return short if exact.rstrip("0") == short.rstrip("0") else f"{short} ({exact})"


def _moment(text: str, zone: ZoneInfo) -> str:
    local = datetime.fromisoformat(text).astimezone(zone)
    return f"{local.day} {local:%B %Y, %H:%M} ({zone.key})"


def _day(text: str, zone: ZoneInfo | None = None) -> str:
    moment = datetime.fromisoformat(text)
    local = moment.astimezone(zone) if zone is not None and moment.tzinfo is not None else moment
    return f"{local.day} {local:%B %Y}"
