from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.list_price_change_answer import ListPriceChangeAnswer


T = TypeVar("T", bound="PreviewAnswer")


@_attrs_define
class PreviewAnswer:
    """What the installed table would change: the operator's ``seed_prices`` applies it.

    Attributes:
        provider (str): whose public prices these are
        changes (list[ListPriceChangeAnswer]): versions that the installed table has and that are not stored yet
    """

    provider: str
    changes: list[ListPriceChangeAnswer]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        provider = self.provider

        changes = []
        for changes_item_data in self.changes:
            changes_item = changes_item_data.to_dict()
            changes.append(changes_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "provider": provider,
                "changes": changes,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.list_price_change_answer import ListPriceChangeAnswer  # noqa: PLC0415

        d = dict(src_dict)
        provider = d.pop("provider")

        changes = []
        _changes = d.pop("changes")
        for changes_item_data in _changes:
            changes_item = ListPriceChangeAnswer.from_dict(changes_item_data)

            changes.append(changes_item)

        preview_answer = cls(
            provider=provider,
            changes=changes,
        )

        preview_answer.additional_properties = d
        return preview_answer

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
