from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="ProbeAnswer")


@_attrs_define
class ProbeAnswer:
    """How the upstream answered ``GET {base_url}/models``.

    Attributes:
        ok (bool): whether it answered as it should
        status (int | None): the upstream's HTTP status; null: it did not answer
        detail (str): what it answered, in words
        latency_ms (int): how long it took, in milliseconds
    """

    ok: bool
    status: int | None
    detail: str
    latency_ms: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        ok = self.ok

        status: int | None
        status = self.status

        detail = self.detail

        latency_ms = self.latency_ms

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "ok": ok,
                "status": status,
                "detail": detail,
                "latency_ms": latency_ms,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        ok = d.pop("ok")

        def _parse_status(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        status = _parse_status(d.pop("status"))

        detail = d.pop("detail")

        latency_ms = d.pop("latency_ms")

        probe_answer = cls(
            ok=ok,
            status=status,
            detail=detail,
            latency_ms=latency_ms,
        )

        probe_answer.additional_properties = d
        return probe_answer

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
