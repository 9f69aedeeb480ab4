from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.upstream_state_answer_state_enum import UpstreamStateAnswerStateEnum

if TYPE_CHECKING:
    from ..models.upstream_incident_answer import UpstreamIncidentAnswer


T = TypeVar("T", bound="UpstreamStateAnswer")


@_attrs_define
class UpstreamStateAnswer:
    """How an upstream does.

    Attributes:
        name (str): a name for people
        state (UpstreamStateAnswerStateEnum):
        incidents (list[UpstreamIncidentAnswer]): when it failed in the last thirty days, the newest first
    """

    name: str
    state: UpstreamStateAnswerStateEnum
    incidents: list[UpstreamIncidentAnswer]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        state = self.state.value

        incidents = []
        for incidents_item_data in self.incidents:
            incidents_item = incidents_item_data.to_dict()
            incidents.append(incidents_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "name": name,
                "state": state,
                "incidents": incidents,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.upstream_incident_answer import UpstreamIncidentAnswer  # noqa: PLC0415

        d = dict(src_dict)
        name = d.pop("name")

        state = UpstreamStateAnswerStateEnum(d.pop("state"))

        incidents = []
        _incidents = d.pop("incidents")
        for incidents_item_data in _incidents:
            incidents_item = UpstreamIncidentAnswer.from_dict(incidents_item_data)

            incidents.append(incidents_item)

        upstream_state_answer = cls(
            name=name,
            state=state,
            incidents=incidents,
        )

        upstream_state_answer.additional_properties = d
        return upstream_state_answer

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
