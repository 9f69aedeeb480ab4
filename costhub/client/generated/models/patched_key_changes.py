from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="PatchedKeyChanges")


@_attrs_define
class PatchedKeyChanges:
    """What may change.

    Attributes:
        name (str | Unset): a name for people
        models (list[str] | Unset): the models that the key may ask for, by name; empty: all
        addresses (list[str] | Unset): networks that it may be used from, such as 203.0.113.0/24
        endpoints (list[str] | Unset): paths that it may call with all below them, such as /v1/chat/completions
        hides_amounts (bool | Unset): whether its callers are told no amounts of money: no cost, no price, budgets in
            per cent
    """

    name: str | Unset = UNSET
    models: list[str] | Unset = UNSET
    addresses: list[str] | Unset = UNSET
    endpoints: list[str] | Unset = UNSET
    hides_amounts: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        models: list[str] | Unset = UNSET
        if not isinstance(self.models, Unset):
            models = self.models

        addresses: list[str] | Unset = UNSET
        if not isinstance(self.addresses, Unset):
            addresses = self.addresses

        endpoints: list[str] | Unset = UNSET
        if not isinstance(self.endpoints, Unset):
            endpoints = self.endpoints

        hides_amounts = self.hides_amounts

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if name is not UNSET:
            field_dict["name"] = name
        if models is not UNSET:
            field_dict["models"] = models
        if addresses is not UNSET:
            field_dict["addresses"] = addresses
        if endpoints is not UNSET:
            field_dict["endpoints"] = endpoints
        if hides_amounts is not UNSET:
            field_dict["hides_amounts"] = hides_amounts

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name", UNSET)

        models = cast(list[str], d.pop("models", UNSET))

        addresses = cast(list[str], d.pop("addresses", UNSET))

        endpoints = cast(list[str], d.pop("endpoints", UNSET))

        hides_amounts = d.pop("hides_amounts", UNSET)

        patched_key_changes = cls(
            name=name,
            models=models,
            addresses=addresses,
            endpoints=endpoints,
            hides_amounts=hides_amounts,
        )

        patched_key_changes.additional_properties = d
        return patched_key_changes

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
