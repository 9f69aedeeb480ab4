from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.line_answer import LineAnswer
    from ..models.next_invoice_answer_groups_item import NextInvoiceAnswerGroupsItem


T = TypeVar("T", bound="NextInvoiceAnswer")


@_attrs_define
class NextInvoiceAnswer:
    """An invoice that is not stored: what it would be if nothing came any more, with its lines.

    Attributes:
        period_start (datetime.datetime): where its period begins
        period_end (datetime.datetime): where its period ends; this moment is not in it
        time_zone (str): the zone, of the IANA's names, in which its days and months begin
        usage (str): what calls cost, decimal USD
        net_exact (str): net before it was rounded to the currency's smallest unit
        net (str): the sum without tax, in the invoice's currency
        tax_rate (str): Per cents.
        tax (str): tax, in the invoice's currency
        total (str): net and tax, in the invoice's currency
        carried (str): of the total, what earlier credit pays for
        due (str): what is to be paid
        groups (list[NextInvoiceAnswerGroupsItem]): Amounts as they stand on the document, each the rounded sum of its
            lines.
        lines (list[LineAnswer]): its lines, in order
        currency (str | Unset): ISO 4217's three letters
        rate (str | Unset): units of the currency for one USD
        rate_day (datetime.date | None | Unset): the day of that rate
        rate_source (str | Unset): who published it
        tax_category (str | Unset): which rule of taxes holds
        tax_reason (str | Unset): why there is no tax, as it is printed
        seller (Any | Unset): who issued it, as it was then
        buyer (Any | Unset): whom it is made out to, as it was when it was issued
        po_number (str | Unset): the buyer's order number, printed on invoices
        problem (str | Unset): why it is not issued; empty: nothing is in the way
        grace_until (datetime.datetime | None | Unset): until when late calls are waited for
        computed_at (datetime.datetime | None | Unset): when its amounts were made
    """

    period_start: datetime.datetime
    period_end: datetime.datetime
    time_zone: str
    usage: str
    net_exact: str
    net: str
    tax_rate: str
    tax: str
    total: str
    carried: str
    due: str
    groups: list[NextInvoiceAnswerGroupsItem]
    lines: list[LineAnswer]
    currency: str | Unset = UNSET
    rate: str | Unset = UNSET
    rate_day: datetime.date | None | Unset = UNSET
    rate_source: str | Unset = UNSET
    tax_category: str | Unset = UNSET
    tax_reason: str | Unset = UNSET
    seller: Any | Unset = UNSET
    buyer: Any | Unset = UNSET
    po_number: str | Unset = UNSET
    problem: str | Unset = UNSET
    grace_until: datetime.datetime | None | Unset = UNSET
    computed_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        period_start = self.period_start.isoformat()

        period_end = self.period_end.isoformat()

        time_zone = self.time_zone

        usage = self.usage

        net_exact = self.net_exact

        net = self.net

        tax_rate = self.tax_rate

        tax = self.tax

        total = self.total

        carried = self.carried

        due = self.due

        groups = []
        for groups_item_data in self.groups:
            groups_item = groups_item_data.to_dict()
            groups.append(groups_item)

        lines = []
        for lines_item_data in self.lines:
            lines_item = lines_item_data.to_dict()
            lines.append(lines_item)

        currency = self.currency

        rate = self.rate

        rate_day: None | str | Unset
        if isinstance(self.rate_day, Unset):
            rate_day = UNSET
        elif isinstance(self.rate_day, datetime.date):
            rate_day = self.rate_day.isoformat()
        else:
            rate_day = self.rate_day

        rate_source = self.rate_source

        tax_category = self.tax_category

        tax_reason = self.tax_reason

        seller = self.seller

        buyer = self.buyer

        po_number = self.po_number

        problem = self.problem

        grace_until: None | str | Unset
        if isinstance(self.grace_until, Unset):
            grace_until = UNSET
        elif isinstance(self.grace_until, datetime.datetime):
            grace_until = self.grace_until.isoformat()
        else:
            grace_until = self.grace_until

        computed_at: None | str | Unset
        if isinstance(self.computed_at, Unset):
            computed_at = UNSET
        elif isinstance(self.computed_at, datetime.datetime):
            computed_at = self.computed_at.isoformat()
        else:
            computed_at = self.computed_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "period_start": period_start,
                "period_end": period_end,
                "time_zone": time_zone,
                "usage": usage,
                "net_exact": net_exact,
                "net": net,
                "tax_rate": tax_rate,
                "tax": tax,
                "total": total,
                "carried": carried,
                "due": due,
                "groups": groups,
                "lines": lines,
            }
        )
        if currency is not UNSET:
            field_dict["currency"] = currency
        if rate is not UNSET:
            field_dict["rate"] = rate
        if rate_day is not UNSET:
            field_dict["rate_day"] = rate_day
        if rate_source is not UNSET:
            field_dict["rate_source"] = rate_source
        if tax_category is not UNSET:
            field_dict["tax_category"] = tax_category
        if tax_reason is not UNSET:
            field_dict["tax_reason"] = tax_reason
        if seller is not UNSET:
            field_dict["seller"] = seller
        if buyer is not UNSET:
            field_dict["buyer"] = buyer
        if po_number is not UNSET:
            field_dict["po_number"] = po_number
        if problem is not UNSET:
            field_dict["problem"] = problem
        if grace_until is not UNSET:
            field_dict["grace_until"] = grace_until
        if computed_at is not UNSET:
            field_dict["computed_at"] = computed_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.line_answer import LineAnswer  # noqa: PLC0415
        from ..models.next_invoice_answer_groups_item import NextInvoiceAnswerGroupsItem  # noqa: PLC0415

        d = dict(src_dict)
        period_start = datetime.datetime.fromisoformat(d.pop("period_start"))

        period_end = datetime.datetime.fromisoformat(d.pop("period_end"))

        time_zone = d.pop("time_zone")

        usage = d.pop("usage")

        net_exact = d.pop("net_exact")

        net = d.pop("net")

        tax_rate = d.pop("tax_rate")

        tax = d.pop("tax")

        total = d.pop("total")

        carried = d.pop("carried")

        due = d.pop("due")

        groups = []
        _groups = d.pop("groups")
        for groups_item_data in _groups:
            groups_item = NextInvoiceAnswerGroupsItem.from_dict(groups_item_data)

            groups.append(groups_item)

        lines = []
        _lines = d.pop("lines")
        for lines_item_data in _lines:
            lines_item = LineAnswer.from_dict(lines_item_data)

            lines.append(lines_item)

        currency = d.pop("currency", UNSET)

        rate = d.pop("rate", UNSET)

        def _parse_rate_day(data: object) -> datetime.date | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                rate_day_type_0 = datetime.date.fromisoformat(data)

                return rate_day_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.date | None | Unset, data)

        rate_day = _parse_rate_day(d.pop("rate_day", UNSET))

        rate_source = d.pop("rate_source", UNSET)

        tax_category = d.pop("tax_category", UNSET)

        tax_reason = d.pop("tax_reason", UNSET)

        seller = d.pop("seller", UNSET)

        buyer = d.pop("buyer", UNSET)

        po_number = d.pop("po_number", UNSET)

        problem = d.pop("problem", UNSET)

        def _parse_grace_until(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                grace_until_type_0 = datetime.datetime.fromisoformat(data)

                return grace_until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        grace_until = _parse_grace_until(d.pop("grace_until", UNSET))

        def _parse_computed_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                computed_at_type_0 = datetime.datetime.fromisoformat(data)

                return computed_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        computed_at = _parse_computed_at(d.pop("computed_at", UNSET))

        next_invoice_answer = cls(
            period_start=period_start,
            period_end=period_end,
            time_zone=time_zone,
            usage=usage,
            net_exact=net_exact,
            net=net,
            tax_rate=tax_rate,
            tax=tax,
            total=total,
            carried=carried,
            due=due,
            groups=groups,
            lines=lines,
            currency=currency,
            rate=rate,
            rate_day=rate_day,
            rate_source=rate_source,
            tax_category=tax_category,
            tax_reason=tax_reason,
            seller=seller,
            buyer=buyer,
            po_number=po_number,
            problem=problem,
            grace_until=grace_until,
            computed_at=computed_at,
        )

        next_invoice_answer.additional_properties = d
        return next_invoice_answer

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
