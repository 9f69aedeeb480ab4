from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.subscription_answer_terms import SubscriptionAnswerTerms


T = TypeVar("T", bound="SubscriptionAnswer")


@_attrs_define
class SubscriptionAnswer:
    """The plan that holds, with the terms as they are for this organisation.

    Attributes:
        id (UUID): the row's id
        plan (str): a plan, by name
        version (int): which version of the plan
        terms (SubscriptionAnswerTerms): The plan's with what was agreed beside them.
        starts_at (datetime.datetime): from when on
        coupon (Any | Unset): a discount for some months; null: none
        ends_at (datetime.datetime | None | Unset): until when; null: no end is known
        trial_until (datetime.datetime | None | Unset): until when nothing is charged; null: there is no trial
    """

    id: UUID
    plan: str
    version: int
    terms: SubscriptionAnswerTerms
    starts_at: datetime.datetime
    coupon: Any | Unset = UNSET
    ends_at: datetime.datetime | None | Unset = UNSET
    trial_until: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        plan = self.plan

        version = self.version

        terms = self.terms.to_dict()

        starts_at = self.starts_at.isoformat()

        coupon = self.coupon

        ends_at: None | str | Unset
        if isinstance(self.ends_at, Unset):
            ends_at = UNSET
        elif isinstance(self.ends_at, datetime.datetime):
            ends_at = self.ends_at.isoformat()
        else:
            ends_at = self.ends_at

        trial_until: None | str | Unset
        if isinstance(self.trial_until, Unset):
            trial_until = UNSET
        elif isinstance(self.trial_until, datetime.datetime):
            trial_until = self.trial_until.isoformat()
        else:
            trial_until = self.trial_until

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "plan": plan,
                "version": version,
                "terms": terms,
                "starts_at": starts_at,
            }
        )
        if coupon is not UNSET:
            field_dict["coupon"] = coupon
        if ends_at is not UNSET:
            field_dict["ends_at"] = ends_at
        if trial_until is not UNSET:
            field_dict["trial_until"] = trial_until

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.subscription_answer_terms import SubscriptionAnswerTerms  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        plan = d.pop("plan")

        version = d.pop("version")

        terms = SubscriptionAnswerTerms.from_dict(d.pop("terms"))

        starts_at = datetime.datetime.fromisoformat(d.pop("starts_at"))

        coupon = d.pop("coupon", UNSET)

        def _parse_ends_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                ends_at_type_0 = datetime.datetime.fromisoformat(data)

                return ends_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        ends_at = _parse_ends_at(d.pop("ends_at", UNSET))

        def _parse_trial_until(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                trial_until_type_0 = datetime.datetime.fromisoformat(data)

                return trial_until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        trial_until = _parse_trial_until(d.pop("trial_until", UNSET))

        subscription_answer = cls(
            id=id,
            plan=plan,
            version=version,
            terms=terms,
            starts_at=starts_at,
            coupon=coupon,
            ends_at=ends_at,
            trial_until=trial_until,
        )

        subscription_answer.additional_properties = d
        return subscription_answer

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
