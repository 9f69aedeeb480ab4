from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.basis_enum import BasisEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="NewEndpoint")


@_attrs_define
class NewEndpoint:
    """So many GPUs (thousandths of one, too) behind an upstream, at USD a GPU and hour. ``project`` bears idle time.
    ``server``: the id of one of the upstream's endpoints, whose GPUs these are and with which their hours end.

        Attributes:
            name (str): a name for people
            upstream (str): an upstream, by id; where it is written also by name
            project (str): a project, by id; where it is written also by name
            gpus (str): how many GPUs it has
            per_hour (str): what an hour of it costs, decimal USD
            basis (BasisEnum):
            starts_at (datetime.datetime | Unset): from when on
            server (None | str | Unset): the upstream's endpoint whose hours are charged, by id; null: the whole upstream's
    """

    name: str
    upstream: str
    project: str
    gpus: str
    per_hour: str
    basis: BasisEnum
    starts_at: datetime.datetime | Unset = UNSET
    server: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        upstream = self.upstream

        project = self.project

        gpus = self.gpus

        per_hour = self.per_hour

        basis = self.basis.value

        starts_at: str | Unset = UNSET
        if not isinstance(self.starts_at, Unset):
            starts_at = self.starts_at.isoformat()

        server: None | str | Unset
        if isinstance(self.server, Unset):
            server = UNSET
        else:
            server = self.server

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "name": name,
                "upstream": upstream,
                "project": project,
                "gpus": gpus,
                "per_hour": per_hour,
                "basis": basis,
            }
        )
        if starts_at is not UNSET:
            field_dict["starts_at"] = starts_at
        if server is not UNSET:
            field_dict["server"] = server

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        upstream = d.pop("upstream")

        project = d.pop("project")

        gpus = d.pop("gpus")

        per_hour = d.pop("per_hour")

        basis = BasisEnum(d.pop("basis"))

        _starts_at = d.pop("starts_at", UNSET)
        starts_at: datetime.datetime | Unset
        if isinstance(_starts_at, Unset):
            starts_at = UNSET
        else:
            starts_at = datetime.datetime.fromisoformat(_starts_at)

        def _parse_server(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        server = _parse_server(d.pop("server", UNSET))

        new_endpoint = cls(
            name=name,
            upstream=upstream,
            project=project,
            gpus=gpus,
            per_hour=per_hour,
            basis=basis,
            starts_at=starts_at,
            server=server,
        )

        new_endpoint.additional_properties = d
        return new_endpoint

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
