from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.policy_answer import PolicyAnswer
    from ..models.route_version_answer_changed import RouteVersionAnswerChanged


T = TypeVar("T", bound="RouteVersionAnswer")


@_attrs_define
class RouteVersionAnswer:
    """A route as it was. ``changed``: old and new value of each field that the version before has otherwise.

    Attributes:
        number (int): its number, counted from 1
        kind (str): what it is, of the values named
        mode (str): off, shadow (watch only) or on
        policy (PolicyAnswer): A route's targets and settings; those that its kind does not have are left out.
        made_by (str): who changed it so
        created_at (datetime.datetime): when it was made
        changed (RouteVersionAnswerChanged): By field: what it was before, and what it was then.
    """

    number: int
    kind: str
    mode: str
    policy: PolicyAnswer
    made_by: str
    created_at: datetime.datetime
    changed: RouteVersionAnswerChanged
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        number = self.number

        kind = self.kind

        mode = self.mode

        policy = self.policy.to_dict()

        made_by = self.made_by

        created_at = self.created_at.isoformat()

        changed = self.changed.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "number": number,
                "kind": kind,
                "mode": mode,
                "policy": policy,
                "made_by": made_by,
                "created_at": created_at,
                "changed": changed,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.policy_answer import PolicyAnswer  # noqa: PLC0415
        from ..models.route_version_answer_changed import RouteVersionAnswerChanged  # noqa: PLC0415

        d = dict(src_dict)
        number = d.pop("number")

        kind = d.pop("kind")

        mode = d.pop("mode")

        policy = PolicyAnswer.from_dict(d.pop("policy"))

        made_by = d.pop("made_by")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        changed = RouteVersionAnswerChanged.from_dict(d.pop("changed"))

        route_version_answer = cls(
            number=number,
            kind=kind,
            mode=mode,
            policy=policy,
            made_by=made_by,
            created_at=created_at,
            changed=changed,
        )

        route_version_answer.additional_properties = d
        return route_version_answer

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
