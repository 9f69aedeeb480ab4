from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.customer_answer_credit import CustomerAnswerCredit
    from ..models.customer_answer_owed import CustomerAnswerOwed


T = TypeVar("T", bound="CustomerAnswer")


@_attrs_define
class CustomerAnswer:
    """How a customer stands. ``owed`` is by currency; ``problems`` say why invoices wait. ``refused`` counts
    hours of usage that Stripe does not take; ``refusals`` say what else it refused the last time, of the customer or of
    a document. ``credit``, by currency, is left for invoices to come in that currency.

        Attributes:
            organization (UUID): the organisation's id
            slug (str): its name in addresses of the console
            name (str): a name for people
            seller (str): who issues the invoices
            plan (str): a plan, by name
            collection (str): how it is paid
            stripe_subscription (str): Stripe's id of the subscription
            dunning (str): how far reminders have gone
            owed (CustomerAnswerOwed): Amounts by currency.
            overdue_since (datetime.datetime | None): since when an invoice is overdue; null: none is
            last_number (str): the newest invoice's number; empty: there is none
            problems (list[str]): what waits for somebody, in words
            refused (int): deliveries to Stripe that it refused
            refusals (list[str]): what else Stripe refused the last time, in words
            credit (CustomerAnswerCredit): Amounts by currency.
    """

    organization: UUID
    slug: str
    name: str
    seller: str
    plan: str
    collection: str
    stripe_subscription: str
    dunning: str
    owed: CustomerAnswerOwed
    overdue_since: datetime.datetime | None
    last_number: str
    problems: list[str]
    refused: int
    refusals: list[str]
    credit: CustomerAnswerCredit
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        organization = str(self.organization)

        slug = self.slug

        name = self.name

        seller = self.seller

        plan = self.plan

        collection = self.collection

        stripe_subscription = self.stripe_subscription

        dunning = self.dunning

        owed = self.owed.to_dict()

        overdue_since: None | str
        if isinstance(self.overdue_since, datetime.datetime):
            overdue_since = self.overdue_since.isoformat()
        else:
            overdue_since = self.overdue_since

        last_number = self.last_number

        problems = self.problems

        refused = self.refused

        refusals = self.refusals

        credit = self.credit.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "organization": organization,
                "slug": slug,
                "name": name,
                "seller": seller,
                "plan": plan,
                "collection": collection,
                "stripe_subscription": stripe_subscription,
                "dunning": dunning,
                "owed": owed,
                "overdue_since": overdue_since,
                "last_number": last_number,
                "problems": problems,
                "refused": refused,
                "refusals": refusals,
                "credit": credit,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.customer_answer_credit import CustomerAnswerCredit  # noqa: PLC0415
        from ..models.customer_answer_owed import CustomerAnswerOwed  # noqa: PLC0415

        d = dict(src_dict)
        organization = UUID(d.pop("organization"))

        slug = d.pop("slug")

        name = d.pop("name")

        seller = d.pop("seller")

        plan = d.pop("plan")

        collection = d.pop("collection")

        stripe_subscription = d.pop("stripe_subscription")

        dunning = d.pop("dunning")

        owed = CustomerAnswerOwed.from_dict(d.pop("owed"))

        def _parse_overdue_since(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                overdue_since_type_0 = datetime.datetime.fromisoformat(data)

                return overdue_since_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        overdue_since = _parse_overdue_since(d.pop("overdue_since"))

        last_number = d.pop("last_number")

        problems = cast(list[str], d.pop("problems"))

        refused = d.pop("refused")

        refusals = cast(list[str], d.pop("refusals"))

        credit = CustomerAnswerCredit.from_dict(d.pop("credit"))

        customer_answer = cls(
            organization=organization,
            slug=slug,
            name=name,
            seller=seller,
            plan=plan,
            collection=collection,
            stripe_subscription=stripe_subscription,
            dunning=dunning,
            owed=owed,
            overdue_since=overdue_since,
            last_number=last_number,
            problems=problems,
            refused=refused,
            refusals=refusals,
            credit=credit,
        )

        customer_answer.additional_properties = d
        return customer_answer

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
