from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.mode import Mode
from ..models.route_kind import RouteKind
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.policy_answer import PolicyAnswer


T = TypeVar("T", bound="RouteAnswer")


@_attrs_define
class RouteAnswer:
    """A route as it is now. ``learned`` is the id of what it has learned and decides by.

    Attributes:
        id (UUID): the row's id
        name (str): a name for people
        kind (RouteKind):
        mode (Mode):
        policy (PolicyAnswer): A route's targets and settings; those that its kind does not have are left out.
        created_at (datetime.datetime): when it was made
        version (int | Unset): how often it was changed
        learned (str | Unset): what it decides by, by id; null: nothing was learned
    """

    id: UUID
    name: str
    kind: RouteKind
    mode: Mode
    policy: PolicyAnswer
    created_at: datetime.datetime
    version: int | Unset = UNSET
    learned: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        name = self.name

        kind = self.kind.value

        mode = self.mode.value

        policy = self.policy.to_dict()

        created_at = self.created_at.isoformat()

        version = self.version

        learned = self.learned

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "kind": kind,
                "mode": mode,
                "policy": policy,
                "created_at": created_at,
            }
        )
        if version is not UNSET:
            field_dict["version"] = version
        if learned is not UNSET:
            field_dict["learned"] = learned

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.policy_answer import PolicyAnswer  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        name = d.pop("name")

        kind = RouteKind(d.pop("kind"))

        mode = Mode(d.pop("mode"))

        policy = PolicyAnswer.from_dict(d.pop("policy"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        version = d.pop("version", UNSET)

        learned = d.pop("learned", UNSET)

        route_answer = cls(
            id=id,
            name=name,
            kind=kind,
            mode=mode,
            policy=policy,
            created_at=created_at,
            version=version,
            learned=learned,
        )

        route_answer.additional_properties = d
        return route_answer

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
