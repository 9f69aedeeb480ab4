from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.rerating_answer_state_enum import ReratingAnswerStateEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="ReratingAnswer")


@_attrs_define
class ReratingAnswer:
    """A re-rating. ``before`` and ``after`` are of the ``changed`` calls, in USD; ``left_out`` counts calls that keep
    their cost, by why; ``posted`` is how many have gone into the ledger by now.

        Attributes:
            id (UUID): the row's id
            model (str): a model, by the organisation's name for it
            start (datetime.datetime): where it begins
            to (datetime.datetime): where the time ends; this moment is not in it
            reason (str): why, in words
            before (str): what the changed calls cost, decimal USD
            after (str): what they cost by the prices that are known now, decimal USD
            change (str): after less before, decimal USD; below zero where it is less
            posted_change (str): what these changed, decimal USD
            notes (list[UUID]): the notes that were made, by id
            created_at (datetime.datetime): when it was made
            makes_notes (bool | Unset): whether months that were invoiced get a note
            state (ReratingAnswerStateEnum | Unset):
            calls (int | Unset): how many calls
            changed (int | Unset): how many calls cost something else
            left_out (Any | Unset): how many calls keep their cost, by why
            posted (int | Unset): how many have gone into the ledger by now
            problem (str | Unset): why it is not issued; empty: nothing is in the way
            created_by (str | Unset): who made it: an e-mail address, or the name of a token
            applied_at (datetime.datetime | None | Unset): when it was done; null: not yet
    """

    id: UUID
    model: str
    start: datetime.datetime
    to: datetime.datetime
    reason: str
    before: str
    after: str
    change: str
    posted_change: str
    notes: list[UUID]
    created_at: datetime.datetime
    makes_notes: bool | Unset = UNSET
    state: ReratingAnswerStateEnum | Unset = UNSET
    calls: int | Unset = UNSET
    changed: int | Unset = UNSET
    left_out: Any | Unset = UNSET
    posted: int | Unset = UNSET
    problem: str | Unset = UNSET
    created_by: str | Unset = UNSET
    applied_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        model = self.model

        start = self.start.isoformat()

        to = self.to.isoformat()

        reason = self.reason

        before = self.before

        after = self.after

        change = self.change

        posted_change = self.posted_change

        notes = []
        for notes_item_data in self.notes:
            notes_item = str(notes_item_data)
            notes.append(notes_item)

        created_at = self.created_at.isoformat()

        makes_notes = self.makes_notes

        state: str | Unset = UNSET
        if not isinstance(self.state, Unset):
            state = self.state.value

        calls = self.calls

        changed = self.changed

        left_out = self.left_out

        posted = self.posted

        problem = self.problem

        created_by = self.created_by

        applied_at: None | str | Unset
        if isinstance(self.applied_at, Unset):
            applied_at = UNSET
        elif isinstance(self.applied_at, datetime.datetime):
            applied_at = self.applied_at.isoformat()
        else:
            applied_at = self.applied_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "model": model,
                "start": start,
                "to": to,
                "reason": reason,
                "before": before,
                "after": after,
                "change": change,
                "posted_change": posted_change,
                "notes": notes,
                "created_at": created_at,
            }
        )
        if makes_notes is not UNSET:
            field_dict["makes_notes"] = makes_notes
        if state is not UNSET:
            field_dict["state"] = state
        if calls is not UNSET:
            field_dict["calls"] = calls
        if changed is not UNSET:
            field_dict["changed"] = changed
        if left_out is not UNSET:
            field_dict["left_out"] = left_out
        if posted is not UNSET:
            field_dict["posted"] = posted
        if problem is not UNSET:
            field_dict["problem"] = problem
        if created_by is not UNSET:
            field_dict["created_by"] = created_by
        if applied_at is not UNSET:
            field_dict["applied_at"] = applied_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        model = d.pop("model")

        start = datetime.datetime.fromisoformat(d.pop("start"))

        to = datetime.datetime.fromisoformat(d.pop("to"))

        reason = d.pop("reason")

        before = d.pop("before")

        after = d.pop("after")

        change = d.pop("change")

        posted_change = d.pop("posted_change")

        notes = []
        _notes = d.pop("notes")
        for notes_item_data in _notes:
            notes_item = UUID(notes_item_data)

            notes.append(notes_item)

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        makes_notes = d.pop("makes_notes", UNSET)

        _state = d.pop("state", UNSET)
        state: ReratingAnswerStateEnum | Unset
        if isinstance(_state, Unset):
            state = UNSET
        else:
            state = ReratingAnswerStateEnum(_state)

        calls = d.pop("calls", UNSET)

        changed = d.pop("changed", UNSET)

        left_out = d.pop("left_out", UNSET)

        posted = d.pop("posted", UNSET)

        problem = d.pop("problem", UNSET)

        created_by = d.pop("created_by", UNSET)

        def _parse_applied_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                applied_at_type_0 = datetime.datetime.fromisoformat(data)

                return applied_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        applied_at = _parse_applied_at(d.pop("applied_at", UNSET))

        rerating_answer = cls(
            id=id,
            model=model,
            start=start,
            to=to,
            reason=reason,
            before=before,
            after=after,
            change=change,
            posted_change=posted_change,
            notes=notes,
            created_at=created_at,
            makes_notes=makes_notes,
            state=state,
            calls=calls,
            changed=changed,
            left_out=left_out,
            posted=posted,
            problem=problem,
            created_by=created_by,
            applied_at=applied_at,
        )

        rerating_answer.additional_properties = d
        return rerating_answer

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
