from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.delivery_answer_state_enum import DeliveryAnswerStateEnum
from ..models.event_enum import EventEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="DeliveryAnswer")


@_attrs_define
class DeliveryAnswer:
    """A message: what became of it, and why. ``sent_as`` is the id that its receiver knows it by.

    Attributes:
        id (UUID): the row's id
        event (EventEnum):
        channel (UUID): the channel, by id
        user (None | str): The member's address.
        due_at (datetime.datetime): when it is sent, or sent again
        created_at (datetime.datetime): when it was made
        alert (None | Unset | UUID): the alert that is reported, by id
        call (None | Unset | UUID): the call that it reports; null for an alert
        change (None | Unset | UUID): the entry of the audit log that it reports, by id; null: none
        state (DeliveryAnswerStateEnum | Unset):
        tries (int | Unset): how often it was tried
        status (int | None | Unset): the receiver's HTTP status; null: it did not answer
        error (str | Unset): what went wrong, or what it waits for; empty if nothing
        sent_as (None | Unset | UUID): the delivery in whose message it went; null: its own
        sent_at (datetime.datetime | None | Unset): when it went out; null: not yet
    """

    id: UUID
    event: EventEnum
    channel: UUID
    user: None | str
    due_at: datetime.datetime
    created_at: datetime.datetime
    alert: None | Unset | UUID = UNSET
    call: None | Unset | UUID = UNSET
    change: None | Unset | UUID = UNSET
    state: DeliveryAnswerStateEnum | Unset = UNSET
    tries: int | Unset = UNSET
    status: int | None | Unset = UNSET
    error: str | Unset = UNSET
    sent_as: None | Unset | UUID = UNSET
    sent_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        event = self.event.value

        channel = str(self.channel)

        user: None | str
        user = self.user

        due_at = self.due_at.isoformat()

        created_at = self.created_at.isoformat()

        alert: None | str | Unset
        if isinstance(self.alert, Unset):
            alert = UNSET
        elif isinstance(self.alert, UUID):
            alert = str(self.alert)
        else:
            alert = self.alert

        call: None | str | Unset
        if isinstance(self.call, Unset):
            call = UNSET
        elif isinstance(self.call, UUID):
            call = str(self.call)
        else:
            call = self.call

        change: None | str | Unset
        if isinstance(self.change, Unset):
            change = UNSET
        elif isinstance(self.change, UUID):
            change = str(self.change)
        else:
            change = self.change

        state: str | Unset = UNSET
        if not isinstance(self.state, Unset):
            state = self.state.value

        tries = self.tries

        status: int | None | Unset
        if isinstance(self.status, Unset):
            status = UNSET
        else:
            status = self.status

        error = self.error

        sent_as: None | str | Unset
        if isinstance(self.sent_as, Unset):
            sent_as = UNSET
        elif isinstance(self.sent_as, UUID):
            sent_as = str(self.sent_as)
        else:
            sent_as = self.sent_as

        sent_at: None | str | Unset
        if isinstance(self.sent_at, Unset):
            sent_at = UNSET
        elif isinstance(self.sent_at, datetime.datetime):
            sent_at = self.sent_at.isoformat()
        else:
            sent_at = self.sent_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "event": event,
                "channel": channel,
                "user": user,
                "due_at": due_at,
                "created_at": created_at,
            }
        )
        if alert is not UNSET:
            field_dict["alert"] = alert
        if call is not UNSET:
            field_dict["call"] = call
        if change is not UNSET:
            field_dict["change"] = change
        if state is not UNSET:
            field_dict["state"] = state
        if tries is not UNSET:
            field_dict["tries"] = tries
        if status is not UNSET:
            field_dict["status"] = status
        if error is not UNSET:
            field_dict["error"] = error
        if sent_as is not UNSET:
            field_dict["sent_as"] = sent_as
        if sent_at is not UNSET:
            field_dict["sent_at"] = sent_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        event = EventEnum(d.pop("event"))

        channel = UUID(d.pop("channel"))

        def _parse_user(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        user = _parse_user(d.pop("user"))

        due_at = datetime.datetime.fromisoformat(d.pop("due_at"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        def _parse_alert(data: object) -> None | Unset | UUID:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                alert_type_0 = UUID(data)

                return alert_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Unset | UUID, data)

        alert = _parse_alert(d.pop("alert", UNSET))

        def _parse_call(data: object) -> None | Unset | UUID:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                call_type_0 = UUID(data)

                return call_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Unset | UUID, data)

        call = _parse_call(d.pop("call", UNSET))

        def _parse_change(data: object) -> None | Unset | UUID:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                change_type_0 = UUID(data)

                return change_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Unset | UUID, data)

        change = _parse_change(d.pop("change", UNSET))

        _state = d.pop("state", UNSET)
        state: DeliveryAnswerStateEnum | Unset
        if isinstance(_state, Unset):
            state = UNSET
        else:
            state = DeliveryAnswerStateEnum(_state)

        tries = d.pop("tries", UNSET)

        def _parse_status(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        status = _parse_status(d.pop("status", UNSET))

        error = d.pop("error", UNSET)

        def _parse_sent_as(data: object) -> None | Unset | UUID:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                sent_as_type_0 = UUID(data)

                return sent_as_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Unset | UUID, data)

        sent_as = _parse_sent_as(d.pop("sent_as", UNSET))

        def _parse_sent_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                sent_at_type_0 = datetime.datetime.fromisoformat(data)

                return sent_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        sent_at = _parse_sent_at(d.pop("sent_at", UNSET))

        delivery_answer = cls(
            id=id,
            event=event,
            channel=channel,
            user=user,
            due_at=due_at,
            created_at=created_at,
            alert=alert,
            call=call,
            change=change,
            state=state,
            tries=tries,
            status=status,
            error=error,
            sent_as=sent_as,
            sent_at=sent_at,
        )

        delivery_answer.additional_properties = d
        return delivery_answer

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
