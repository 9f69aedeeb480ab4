from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.agreed_subscription_coupon import AgreedSubscriptionCoupon
    from ..models.agreed_subscription_overrides import AgreedSubscriptionOverrides


T = TypeVar("T", bound="AgreedSubscription")


@_attrs_define
class AgreedSubscription:
    """A plan by name or id, with what was agreed beside it.

    Attributes:
        plan (str): a plan, by name
        overrides (AgreedSubscriptionOverrides | Unset): terms that were agreed beside the plan's
        coupon (AgreedSubscriptionCoupon | Unset): a discount for some months; null: none
        at (datetime.datetime | Unset): when; null: now
    """

    plan: str
    overrides: AgreedSubscriptionOverrides | Unset = UNSET
    coupon: AgreedSubscriptionCoupon | Unset = UNSET
    at: datetime.datetime | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        plan = self.plan

        overrides: dict[str, Any] | Unset = UNSET
        if not isinstance(self.overrides, Unset):
            overrides = self.overrides.to_dict()

        coupon: dict[str, Any] | Unset = UNSET
        if not isinstance(self.coupon, Unset):
            coupon = self.coupon.to_dict()

        at: str | Unset = UNSET
        if not isinstance(self.at, Unset):
            at = self.at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "plan": plan,
            }
        )
        if overrides is not UNSET:
            field_dict["overrides"] = overrides
        if coupon is not UNSET:
            field_dict["coupon"] = coupon
        if at is not UNSET:
            field_dict["at"] = at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.agreed_subscription_coupon import AgreedSubscriptionCoupon  # noqa: PLC0415
        from ..models.agreed_subscription_overrides import AgreedSubscriptionOverrides  # noqa: PLC0415

        d = dict(src_dict)
        plan = d.pop("plan")

        _overrides = d.pop("overrides", UNSET)
        overrides: AgreedSubscriptionOverrides | Unset
        if isinstance(_overrides, Unset):
            overrides = UNSET
        else:
            overrides = AgreedSubscriptionOverrides.from_dict(_overrides)

        _coupon = d.pop("coupon", UNSET)
        coupon: AgreedSubscriptionCoupon | Unset
        if isinstance(_coupon, Unset):
            coupon = UNSET
        else:
            coupon = AgreedSubscriptionCoupon.from_dict(_coupon)

        _at = d.pop("at", UNSET)
        at: datetime.datetime | Unset
        if isinstance(_at, Unset):
            at = UNSET
        else:
            at = datetime.datetime.fromisoformat(_at)

        agreed_subscription = cls(
            plan=plan,
            overrides=overrides,
            coupon=coupon,
            at=at,
        )

        agreed_subscription.additional_properties = d
        return agreed_subscription

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
