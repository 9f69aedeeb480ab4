from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.match_answer import MatchAnswer


T = TypeVar("T", bound="ReconciledAnswer")


@_attrs_define
class ReconciledAnswer:
    """All of them. ``coverage`` is per mille of the bill that the ledger has as well.

    Attributes:
        data (list[MatchAnswer]): the rows, newest first
        coverage (int | None): per mille of the bill that the ledger has as well
        drift (str): the ledger less the bill, decimal USD
    """

    data: list[MatchAnswer]
    coverage: int | None
    drift: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        data = []
        for data_item_data in self.data:
            data_item = data_item_data.to_dict()
            data.append(data_item)

        coverage: int | None
        coverage = self.coverage

        drift = self.drift

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "data": data,
                "coverage": coverage,
                "drift": drift,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.match_answer import MatchAnswer  # noqa: PLC0415

        d = dict(src_dict)
        data = []
        _data = d.pop("data")
        for data_item_data in _data:
            data_item = MatchAnswer.from_dict(data_item_data)

            data.append(data_item)

        def _parse_coverage(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        coverage = _parse_coverage(d.pop("coverage"))

        drift = d.pop("drift")

        reconciled_answer = cls(
            data=data,
            coverage=coverage,
            drift=drift,
        )

        reconciled_answer.additional_properties = d
        return reconciled_answer

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
