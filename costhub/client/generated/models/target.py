from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.condition import Condition


T = TypeVar("T", bound="Target")


@_attrs_define
class Target:
    """A model that a route may choose.

    Attributes:
        model (str): a model, by the organisation's name for it
        weight (int | Unset): its share of the calls, beside the others' weights
        when (Condition | Unset): For which calls a target is there: all that is said must hold. Lengths are in tokens
            of about four bytes;
            ``is_degraded``: a budget's ladder has the call on a rung.
    """

    model: str
    weight: int | Unset = UNSET
    when: Condition | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        model = self.model

        weight = self.weight

        when: dict[str, Any] | Unset = UNSET
        if not isinstance(self.when, Unset):
            when = self.when.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "model": model,
            }
        )
        if weight is not UNSET:
            field_dict["weight"] = weight
        if when is not UNSET:
            field_dict["when"] = when

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.condition import Condition  # noqa: PLC0415

        d = dict(src_dict)
        model = d.pop("model")

        weight = d.pop("weight", UNSET)

        _when = d.pop("when", UNSET)
        when: Condition | Unset
        if isinstance(_when, Unset):
            when = UNSET
        else:
            when = Condition.from_dict(_when)

        target = cls(
            model=model,
            weight=weight,
            when=when,
        )

        target.additional_properties = d
        return target

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
