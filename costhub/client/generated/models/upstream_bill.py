from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.upstream_bill_columns import UpstreamBillColumns
    from ..models.upstream_bill_openai import UpstreamBillOpenai


T = TypeVar("T", bound="UpstreamBill")


@_attrs_define
class UpstreamBill:
    """A bill: the answer of OpenAI's costs or usage API, or a table. ``upstream`` by name or id, all unless given.
    ``columns``: what the table calls ``day``, ``model``, ``cost``, ``input_tokens`` and ``output_tokens``, where it
    calls them otherwise.

        Attributes:
            upstream (str | Unset): an upstream, by id; where it is written also by name
            openai (UpstreamBillOpenai | Unset): the answer of OpenAI's costs endpoint
            csv (str | Unset): the provider's export, as text
            columns (UpstreamBillColumns | Unset): what the table calls day, model, cost, input_tokens and output_tokens;
                left out: so
    """

    upstream: str | Unset = UNSET
    openai: UpstreamBillOpenai | Unset = UNSET
    csv: str | Unset = UNSET
    columns: UpstreamBillColumns | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        upstream = self.upstream

        openai: dict[str, Any] | Unset = UNSET
        if not isinstance(self.openai, Unset):
            openai = self.openai.to_dict()

        csv = self.csv

        columns: dict[str, Any] | Unset = UNSET
        if not isinstance(self.columns, Unset):
            columns = self.columns.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if upstream is not UNSET:
            field_dict["upstream"] = upstream
        if openai is not UNSET:
            field_dict["openai"] = openai
        if csv is not UNSET:
            field_dict["csv"] = csv
        if columns is not UNSET:
            field_dict["columns"] = columns

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.upstream_bill_columns import UpstreamBillColumns  # noqa: PLC0415
        from ..models.upstream_bill_openai import UpstreamBillOpenai  # noqa: PLC0415

        d = dict(src_dict)
        upstream = d.pop("upstream", UNSET)

        _openai = d.pop("openai", UNSET)
        openai: UpstreamBillOpenai | Unset
        if isinstance(_openai, Unset):
            openai = UNSET
        else:
            openai = UpstreamBillOpenai.from_dict(_openai)

        csv = d.pop("csv", UNSET)

        _columns = d.pop("columns", UNSET)
        columns: UpstreamBillColumns | Unset
        if isinstance(_columns, Unset):
            columns = UNSET
        else:
            columns = UpstreamBillColumns.from_dict(_columns)

        upstream_bill = cls(
            upstream=upstream,
            openai=openai,
            csv=csv,
            columns=columns,
        )

        upstream_bill.additional_properties = d
        return upstream_bill

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
