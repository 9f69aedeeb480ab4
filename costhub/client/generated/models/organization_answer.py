from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="OrganizationAnswer")


@_attrs_define
class OrganizationAnswer:
    """An organisation.

    Attributes:
        id (UUID): the row's id
        name (str): a name for people
        slug (str): its name in addresses of the console
        visits_allowed_until (datetime.datetime | None): until when operators of the installation may look in; null: not
            at all
        created_at (datetime.datetime): when it was made
        time_zone (str | Unset): the zone, of the IANA's names, in which its days and months begin
        is_active (bool | Unset): whether it is in force; what is switched off keeps its row
        is_stopped (bool | Unset): whether an emergency stop refuses every call
        requires_second_factor (bool | Unset): whether owners, admins and finance need a second factor
        answers_kept_hours (int | Unset): for how many hours answers are kept for callers that ask for them again; 0:
            they are not kept
        hides_amounts (bool | Unset): whether callers of all its keys are told no amounts, whatever a key says
    """

    id: UUID
    name: str
    slug: str
    visits_allowed_until: datetime.datetime | None
    created_at: datetime.datetime
    time_zone: str | Unset = UNSET
    is_active: bool | Unset = UNSET
    is_stopped: bool | Unset = UNSET
    requires_second_factor: bool | Unset = UNSET
    answers_kept_hours: int | Unset = UNSET
    hides_amounts: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        name = self.name

        slug = self.slug

        visits_allowed_until: None | str
        if isinstance(self.visits_allowed_until, datetime.datetime):
            visits_allowed_until = self.visits_allowed_until.isoformat()
        else:
            visits_allowed_until = self.visits_allowed_until

        created_at = self.created_at.isoformat()

        time_zone = self.time_zone

        is_active = self.is_active

        is_stopped = self.is_stopped

        requires_second_factor = self.requires_second_factor

        answers_kept_hours = self.answers_kept_hours

        hides_amounts = self.hides_amounts

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "slug": slug,
                "visits_allowed_until": visits_allowed_until,
                "created_at": created_at,
            }
        )
        if time_zone is not UNSET:
            field_dict["time_zone"] = time_zone
        if is_active is not UNSET:
            field_dict["is_active"] = is_active
        if is_stopped is not UNSET:
            field_dict["is_stopped"] = is_stopped
        if requires_second_factor is not UNSET:
            field_dict["requires_second_factor"] = requires_second_factor
        if answers_kept_hours is not UNSET:
            field_dict["answers_kept_hours"] = answers_kept_hours
        if hides_amounts is not UNSET:
            field_dict["hides_amounts"] = hides_amounts

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        name = d.pop("name")

        slug = d.pop("slug")

        def _parse_visits_allowed_until(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                visits_allowed_until_type_0 = datetime.datetime.fromisoformat(data)

                return visits_allowed_until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        visits_allowed_until = _parse_visits_allowed_until(d.pop("visits_allowed_until"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        time_zone = d.pop("time_zone", UNSET)

        is_active = d.pop("is_active", UNSET)

        is_stopped = d.pop("is_stopped", UNSET)

        requires_second_factor = d.pop("requires_second_factor", UNSET)

        answers_kept_hours = d.pop("answers_kept_hours", UNSET)

        hides_amounts = d.pop("hides_amounts", UNSET)

        organization_answer = cls(
            id=id,
            name=name,
            slug=slug,
            visits_allowed_until=visits_allowed_until,
            created_at=created_at,
            time_zone=time_zone,
            is_active=is_active,
            is_stopped=is_stopped,
            requires_second_factor=requires_second_factor,
            answers_kept_hours=answers_kept_hours,
            hides_amounts=hides_amounts,
        )

        organization_answer.additional_properties = d
        return organization_answer

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
