from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.price_adjustment_kind import PriceAdjustmentKind
from ..types import UNSET, Unset

T = TypeVar("T", bound="NewPriceAdjustment")


@_attrs_define
class NewPriceAdjustment:
    """What one is made of; either ``model`` or ``upstream``, by name or id.

    Attributes:
        kind (PriceAdjustmentKind):
        percent (str): per cent off the list price, or on it for a mark-up
        model (str | Unset): a model, by the organisation's name for it
        upstream (str | Unset): an upstream, by id; where it is written also by name
        effective_from (datetime.datetime | None | Unset): from when on it holds; prices are never edited, only followed
    """

    kind: PriceAdjustmentKind
    percent: str
    model: str | Unset = UNSET
    upstream: str | Unset = UNSET
    effective_from: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        kind = self.kind.value

        percent = self.percent

        model = self.model

        upstream = self.upstream

        effective_from: None | str | Unset
        if isinstance(self.effective_from, Unset):
            effective_from = UNSET
        elif isinstance(self.effective_from, datetime.datetime):
            effective_from = self.effective_from.isoformat()
        else:
            effective_from = self.effective_from

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "kind": kind,
                "percent": percent,
            }
        )
        if model is not UNSET:
            field_dict["model"] = model
        if upstream is not UNSET:
            field_dict["upstream"] = upstream
        if effective_from is not UNSET:
            field_dict["effective_from"] = effective_from

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        kind = PriceAdjustmentKind(d.pop("kind"))

        percent = d.pop("percent")

        model = d.pop("model", UNSET)

        upstream = d.pop("upstream", UNSET)

        def _parse_effective_from(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                effective_from_type_0 = datetime.datetime.fromisoformat(data)

                return effective_from_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        effective_from = _parse_effective_from(d.pop("effective_from", UNSET))

        new_price_adjustment = cls(
            kind=kind,
            percent=percent,
            model=model,
            upstream=upstream,
            effective_from=effective_from,
        )

        new_price_adjustment.additional_properties = d
        return new_price_adjustment

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
