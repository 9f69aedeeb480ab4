from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.invoice_answer_state_enum import InvoiceAnswerStateEnum
from ..models.invoice_kind import InvoiceKind
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.invoice_answer_groups_item import InvoiceAnswerGroupsItem


T = TypeVar("T", bound="InvoiceAnswer")


@_attrs_define
class InvoiceAnswer:
    """An invoice or note. ``usage`` and ``net_exact`` are exact USD, what is in ``groups`` too beside its rounded
    amount.

        Attributes:
            id (UUID): the row's id
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
            groups (list[InvoiceAnswerGroupsItem]): Amounts as they stand on the document, each the rounded sum of its
                lines.
            created_at (datetime.datetime): when it was made
            kind (InvoiceKind | Unset):
            state (InvoiceAnswerStateEnum | Unset):
            number (str | Unset): its number in its seller's row of numbers; empty: it is not issued yet
            currency (str | Unset): ISO 4217's three letters
            rate (str | Unset): units of the currency for one USD
            rate_day (datetime.date | None | Unset): the day of that rate
            rate_source (str | Unset): who published it
            tax_category (str | Unset): which rule of taxes holds
            tax_reason (str | Unset): why there is no tax, as it is printed
            seller (Any | Unset): who issued it, as it was then
            buyer (Any | Unset): whom it is made out to, as it was when it was issued
            po_number (str | Unset): the buyer's order number, printed on invoices
            corrects (None | Unset | UUID): the invoice that this note corrects; null: it is no note
            reason (str | Unset): why, in words
            problem (str | Unset): why it is not issued; empty: nothing is in the way
            grace_until (datetime.datetime | None | Unset): until when late calls are waited for
            computed_at (datetime.datetime | None | Unset): when its amounts were made
            issued_at (datetime.datetime | None | Unset): when it was issued; null: it is a draft
            due_at (datetime.datetime | None | Unset): by when it is to be paid
            paid_at (datetime.datetime | None | Unset): when it was paid; null: it is not
    """

    id: UUID
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
    groups: list[InvoiceAnswerGroupsItem]
    created_at: datetime.datetime
    kind: InvoiceKind | Unset = UNSET
    state: InvoiceAnswerStateEnum | Unset = UNSET
    number: str | Unset = UNSET
    currency: str | Unset = UNSET
    rate: str | Unset = UNSET
    rate_day: datetime.date | None | Unset = UNSET
    rate_source: str | Unset = UNSET
    tax_category: str | Unset = UNSET
    tax_reason: str | Unset = UNSET
    seller: Any | Unset = UNSET
    buyer: Any | Unset = UNSET
    po_number: str | Unset = UNSET
    corrects: None | Unset | UUID = UNSET
    reason: str | Unset = UNSET
    problem: str | Unset = UNSET
    grace_until: datetime.datetime | None | Unset = UNSET
    computed_at: datetime.datetime | None | Unset = UNSET
    issued_at: datetime.datetime | None | Unset = UNSET
    due_at: datetime.datetime | None | Unset = UNSET
    paid_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

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

        created_at = self.created_at.isoformat()

        kind: str | Unset = UNSET
        if not isinstance(self.kind, Unset):
            kind = self.kind.value

        state: str | Unset = UNSET
        if not isinstance(self.state, Unset):
            state = self.state.value

        number = self.number

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

        corrects: None | str | Unset
        if isinstance(self.corrects, Unset):
            corrects = UNSET
        elif isinstance(self.corrects, UUID):
            corrects = str(self.corrects)
        else:
            corrects = self.corrects

        reason = self.reason

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

        issued_at: None | str | Unset
        if isinstance(self.issued_at, Unset):
            issued_at = UNSET
        elif isinstance(self.issued_at, datetime.datetime):
            issued_at = self.issued_at.isoformat()
        else:
            issued_at = self.issued_at

        due_at: None | str | Unset
        if isinstance(self.due_at, Unset):
            due_at = UNSET
        elif isinstance(self.due_at, datetime.datetime):
            due_at = self.due_at.isoformat()
        else:
            due_at = self.due_at

        paid_at: None | str | Unset
        if isinstance(self.paid_at, Unset):
            paid_at = UNSET
        elif isinstance(self.paid_at, datetime.datetime):
            paid_at = self.paid_at.isoformat()
        else:
            paid_at = self.paid_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
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
                "created_at": created_at,
            }
        )
        if kind is not UNSET:
            field_dict["kind"] = kind
        if state is not UNSET:
            field_dict["state"] = state
        if number is not UNSET:
            field_dict["number"] = number
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
        if corrects is not UNSET:
            field_dict["corrects"] = corrects
        if reason is not UNSET:
            field_dict["reason"] = reason
        if problem is not UNSET:
            field_dict["problem"] = problem
        if grace_until is not UNSET:
            field_dict["grace_until"] = grace_until
        if computed_at is not UNSET:
            field_dict["computed_at"] = computed_at
        if issued_at is not UNSET:
            field_dict["issued_at"] = issued_at
        if due_at is not UNSET:
            field_dict["due_at"] = due_at
        if paid_at is not UNSET:
            field_dict["paid_at"] = paid_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.invoice_answer_groups_item import InvoiceAnswerGroupsItem  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

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
            groups_item = InvoiceAnswerGroupsItem.from_dict(groups_item_data)

            groups.append(groups_item)

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        _kind = d.pop("kind", UNSET)
        kind: InvoiceKind | Unset
        if isinstance(_kind, Unset):
            kind = UNSET
        else:
            kind = InvoiceKind(_kind)

        _state = d.pop("state", UNSET)
        state: InvoiceAnswerStateEnum | Unset
        if isinstance(_state, Unset):
            state = UNSET
        else:
            state = InvoiceAnswerStateEnum(_state)

        number = d.pop("number", UNSET)

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

        def _parse_corrects(data: object) -> None | Unset | UUID:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                corrects_type_0 = UUID(data)

                return corrects_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Unset | UUID, data)

        corrects = _parse_corrects(d.pop("corrects", UNSET))

        reason = d.pop("reason", UNSET)

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

        def _parse_issued_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                issued_at_type_0 = datetime.datetime.fromisoformat(data)

                return issued_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        issued_at = _parse_issued_at(d.pop("issued_at", UNSET))

        def _parse_due_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                due_at_type_0 = datetime.datetime.fromisoformat(data)

                return due_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        due_at = _parse_due_at(d.pop("due_at", UNSET))

        def _parse_paid_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                paid_at_type_0 = datetime.datetime.fromisoformat(data)

                return paid_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        paid_at = _parse_paid_at(d.pop("paid_at", UNSET))

        invoice_answer = cls(
            id=id,
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
            created_at=created_at,
            kind=kind,
            state=state,
            number=number,
            currency=currency,
            rate=rate,
            rate_day=rate_day,
            rate_source=rate_source,
            tax_category=tax_category,
            tax_reason=tax_reason,
            seller=seller,
            buyer=buyer,
            po_number=po_number,
            corrects=corrects,
            reason=reason,
            problem=problem,
            grace_until=grace_until,
            computed_at=computed_at,
            issued_at=issued_at,
            due_at=due_at,
            paid_at=paid_at,
        )

        invoice_answer.additional_properties = d
        return invoice_answer

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
