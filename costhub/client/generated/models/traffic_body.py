from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="TrafficBody")


@_attrs_define
class TrafficBody:
    """An average day as somebody expects it: calls, their tokens, and the prices that are paid for them now.

    Attributes:
        requests_per_day (str): calls, 0 to 1000000000
        input_tokens (str): tokens a call, 0 to 1000000
        output_tokens (str): tokens a call, 0 to 1000000
        input_per_million (str): USD per million tokens, 0 to 10000
        output_per_million (str): USD per million tokens, 0 to 10000
    """

    requests_per_day: str
    input_tokens: str
    output_tokens: str
    input_per_million: str
    output_per_million: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        requests_per_day = self.requests_per_day

        input_tokens = self.input_tokens

        output_tokens = self.output_tokens

        input_per_million = self.input_per_million

        output_per_million = self.output_per_million

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "requests_per_day": requests_per_day,
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
                "input_per_million": input_per_million,
                "output_per_million": output_per_million,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        requests_per_day = d.pop("requests_per_day")

        input_tokens = d.pop("input_tokens")

        output_tokens = d.pop("output_tokens")

        input_per_million = d.pop("input_per_million")

        output_per_million = d.pop("output_per_million")

        traffic_body = cls(
            requests_per_day=requests_per_day,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            input_per_million=input_per_million,
            output_per_million=output_per_million,
        )

        traffic_body.additional_properties = d
        return traffic_body

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
