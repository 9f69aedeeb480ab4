from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.basis_enum import BasisEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="EndpointAnswer")


@_attrs_define
class EndpointAnswer:
    """An endpoint. ``per_hour`` is USD a GPU; hours before ``charged_until`` are in the ledger.

    Attributes:
        id (UUID): the row's id
        name (str): a name for people
        upstream (UUID): an upstream, by id; where it is written also by name
        project (UUID): a project, by id; where it is written also by name
        gpus (str): how many GPUs it has
        per_hour (str): what an hour of it costs, decimal USD
        basis (BasisEnum):
        starts_at (datetime.datetime): from when on
        charged_until (datetime.datetime): until when its hours are in the ledger
        created_at (datetime.datetime): when it was made
        server (None | Unset | UUID): the upstream's endpoint whose hours are charged, by id; null: the whole upstream's
        ends_at (datetime.datetime | None | Unset): until when; null: no end is known
    """

    id: UUID
    name: str
    upstream: UUID
    project: UUID
    gpus: str
    per_hour: str
    basis: BasisEnum
    starts_at: datetime.datetime
    charged_until: datetime.datetime
    created_at: datetime.datetime
    server: None | Unset | UUID = UNSET
    ends_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        name = self.name

        upstream = str(self.upstream)

        project = str(self.project)

        gpus = self.gpus

        per_hour = self.per_hour

        basis = self.basis.value

        starts_at = self.starts_at.isoformat()

        charged_until = self.charged_until.isoformat()

        created_at = self.created_at.isoformat()

        server: None | str | Unset
        if isinstance(self.server, Unset):
            server = UNSET
        elif isinstance(self.server, UUID):
            server = str(self.server)
        else:
            server = self.server

        ends_at: None | str | Unset
        if isinstance(self.ends_at, Unset):
            ends_at = UNSET
        elif isinstance(self.ends_at, datetime.datetime):
            ends_at = self.ends_at.isoformat()
        else:
            ends_at = self.ends_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "upstream": upstream,
                "project": project,
                "gpus": gpus,
                "per_hour": per_hour,
                "basis": basis,
                "starts_at": starts_at,
                "charged_until": charged_until,
                "created_at": created_at,
            }
        )
        if server is not UNSET:
            field_dict["server"] = server
        if ends_at is not UNSET:
            field_dict["ends_at"] = ends_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        name = d.pop("name")

        upstream = UUID(d.pop("upstream"))

        project = UUID(d.pop("project"))

        gpus = d.pop("gpus")

        per_hour = d.pop("per_hour")

        basis = BasisEnum(d.pop("basis"))

        starts_at = datetime.datetime.fromisoformat(d.pop("starts_at"))

        charged_until = datetime.datetime.fromisoformat(d.pop("charged_until"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        def _parse_server(data: object) -> None | Unset | UUID:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                server_type_0 = UUID(data)

                return server_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Unset | UUID, data)

        server = _parse_server(d.pop("server", UNSET))

        def _parse_ends_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                ends_at_type_0 = datetime.datetime.fromisoformat(data)

                return ends_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        ends_at = _parse_ends_at(d.pop("ends_at", UNSET))

        endpoint_answer = cls(
            id=id,
            name=name,
            upstream=upstream,
            project=project,
            gpus=gpus,
            per_hour=per_hour,
            basis=basis,
            starts_at=starts_at,
            charged_until=charged_until,
            created_at=created_at,
            server=server,
            ends_at=ends_at,
        )

        endpoint_answer.additional_properties = d
        return endpoint_answer

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
