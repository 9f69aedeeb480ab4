from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="StripeEventAnswer")


@_attrs_define
class StripeEventAnswer:
    """An event of Stripe's that was given up, and how its being tried again goes.

    Attributes:
        id (str): Stripe's id of it
        kind (str): what Stripe calls what happened
        organization (None | UUID): The organisation that it is about; null where that is not known.
        received_at (datetime.datetime): when it came
        given_up_at (datetime.datetime): when it was given up the last time
        error (str): why the last try failed
        is_retried (bool): Whether somebody has it tried again, until it is applied or given up once more.
        next_try_at (datetime.datetime | None): When it is tried next; null for at once, and where it is not tried
            again.
    """

    id: str
    kind: str
    organization: None | UUID
    received_at: datetime.datetime
    given_up_at: datetime.datetime
    error: str
    is_retried: bool
    next_try_at: datetime.datetime | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        kind = self.kind

        organization: None | str
        if isinstance(self.organization, UUID):
            organization = str(self.organization)
        else:
            organization = self.organization

        received_at = self.received_at.isoformat()

        given_up_at = self.given_up_at.isoformat()

        error = self.error

        is_retried = self.is_retried

        next_try_at: None | str
        if isinstance(self.next_try_at, datetime.datetime):
            next_try_at = self.next_try_at.isoformat()
        else:
            next_try_at = self.next_try_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "kind": kind,
                "organization": organization,
                "received_at": received_at,
                "given_up_at": given_up_at,
                "error": error,
                "is_retried": is_retried,
                "next_try_at": next_try_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        kind = d.pop("kind")

        def _parse_organization(data: object) -> None | UUID:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                organization_type_0 = UUID(data)

                return organization_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | UUID, data)

        organization = _parse_organization(d.pop("organization"))

        received_at = datetime.datetime.fromisoformat(d.pop("received_at"))

        given_up_at = datetime.datetime.fromisoformat(d.pop("given_up_at"))

        error = d.pop("error")

        is_retried = d.pop("is_retried")

        def _parse_next_try_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                next_try_at_type_0 = datetime.datetime.fromisoformat(data)

                return next_try_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        next_try_at = _parse_next_try_at(d.pop("next_try_at"))

        stripe_event_answer = cls(
            id=id,
            kind=kind,
            organization=organization,
            received_at=received_at,
            given_up_at=given_up_at,
            error=error,
            is_retried=is_retried,
            next_try_at=next_try_at,
        )

        stripe_event_answer.additional_properties = d
        return stripe_event_answer

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
