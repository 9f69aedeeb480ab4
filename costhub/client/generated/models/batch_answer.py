from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.status_enum import StatusEnum

if TYPE_CHECKING:
    from ..models.batch_file_answer import BatchFileAnswer


T = TypeVar("T", bound="BatchAnswer")


@_attrs_define
class BatchAnswer:
    """Calls that were handed in together. ``cost`` is what the lines that are out have cost, ``held`` what was set
    aside for all.

        Attributes:
            id (str): its name, as /v1/batches has it
            status (StatusEnum):
            endpoint (str): what its lines call
            model (str): the model that its lines call
            project (UUID): the project that pays, by id
            key (UUID): the key that handed it in, by id
            end_user (str): on whose behalf calls are made, as the application names them
            total (int): how many calls it has
            completed (int): how many were answered
            failed (int): how many failed
            held (str): what was set aside for it, decimal USD
            cost (None | str): what its lines have cost by now, decimal USD; null where that is not known any more
            files (list[BatchFileAnswer]): its files that are kept still
            created_at (datetime.datetime): when it was made
            expires_at (datetime.datetime): when what is not answered by then ends as expired
            ended_at (datetime.datetime | None): when it came to its end; null: not yet
    """

    id: str
    status: StatusEnum
    endpoint: str
    model: str
    project: UUID
    key: UUID
    end_user: str
    total: int
    completed: int
    failed: int
    held: str
    cost: None | str
    files: list[BatchFileAnswer]
    created_at: datetime.datetime
    expires_at: datetime.datetime
    ended_at: datetime.datetime | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        status = self.status.value

        endpoint = self.endpoint

        model = self.model

        project = str(self.project)

        key = str(self.key)

        end_user = self.end_user

        total = self.total

        completed = self.completed

        failed = self.failed

        held = self.held

        cost: None | str
        cost = self.cost

        files = []
        for files_item_data in self.files:
            files_item = files_item_data.to_dict()
            files.append(files_item)

        created_at = self.created_at.isoformat()

        expires_at = self.expires_at.isoformat()

        ended_at: None | str
        if isinstance(self.ended_at, datetime.datetime):
            ended_at = self.ended_at.isoformat()
        else:
            ended_at = self.ended_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "status": status,
                "endpoint": endpoint,
                "model": model,
                "project": project,
                "key": key,
                "end_user": end_user,
                "total": total,
                "completed": completed,
                "failed": failed,
                "held": held,
                "cost": cost,
                "files": files,
                "created_at": created_at,
                "expires_at": expires_at,
                "ended_at": ended_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.batch_file_answer import BatchFileAnswer  # noqa: PLC0415

        d = dict(src_dict)
        id = d.pop("id")

        status = StatusEnum(d.pop("status"))

        endpoint = d.pop("endpoint")

        model = d.pop("model")

        project = UUID(d.pop("project"))

        key = UUID(d.pop("key"))

        end_user = d.pop("end_user")

        total = d.pop("total")

        completed = d.pop("completed")

        failed = d.pop("failed")

        held = d.pop("held")

        def _parse_cost(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        cost = _parse_cost(d.pop("cost"))

        files = []
        _files = d.pop("files")
        for files_item_data in _files:
            files_item = BatchFileAnswer.from_dict(files_item_data)

            files.append(files_item)

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        expires_at = datetime.datetime.fromisoformat(d.pop("expires_at"))

        def _parse_ended_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                ended_at_type_0 = datetime.datetime.fromisoformat(data)

                return ended_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        ended_at = _parse_ended_at(d.pop("ended_at"))

        batch_answer = cls(
            id=id,
            status=status,
            endpoint=endpoint,
            model=model,
            project=project,
            key=key,
            end_user=end_user,
            total=total,
            completed=completed,
            failed=failed,
            held=held,
            cost=cost,
            files=files,
            created_at=created_at,
            expires_at=expires_at,
            ended_at=ended_at,
        )

        batch_answer.additional_properties = d
        return batch_answer

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
