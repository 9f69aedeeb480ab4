from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.playground_body_body import PlaygroundBodyBody
    from ..models.playground_body_headers import PlaygroundBodyHeaders


T = TypeVar("T", bound="PlaygroundBody")


@_attrs_define
class PlaygroundBody:
    """A request's body as it would be sent to /v1, with our headers, by a key's id or by one that may use every model.
    ``endpoint`` is the path below /v1 that it would be sent to; without one, what the body looks like.

        Attributes:
            body (PlaygroundBodyBody): a call's body, as it is sent to /v1
            headers (PlaygroundBodyHeaders | Unset): headers of the call, by name
            key (str | Unset): the key that would call, by id; null: any
            endpoint (str | Unset): the path below /v1 that it would be sent to, such as responses; empty: what it looks
                like
    """

    body: PlaygroundBodyBody
    headers: PlaygroundBodyHeaders | Unset = UNSET
    key: str | Unset = UNSET
    endpoint: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        body = self.body.to_dict()

        headers: dict[str, Any] | Unset = UNSET
        if not isinstance(self.headers, Unset):
            headers = self.headers.to_dict()

        key = self.key

        endpoint = self.endpoint

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "body": body,
            }
        )
        if headers is not UNSET:
            field_dict["headers"] = headers
        if key is not UNSET:
            field_dict["key"] = key
        if endpoint is not UNSET:
            field_dict["endpoint"] = endpoint

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.playground_body_body import PlaygroundBodyBody  # noqa: PLC0415
        from ..models.playground_body_headers import PlaygroundBodyHeaders  # noqa: PLC0415

        d = dict(src_dict)
        body = PlaygroundBodyBody.from_dict(d.pop("body"))

        _headers = d.pop("headers", UNSET)
        headers: PlaygroundBodyHeaders | Unset
        if isinstance(_headers, Unset):
            headers = UNSET
        else:
            headers = PlaygroundBodyHeaders.from_dict(_headers)

        key = d.pop("key", UNSET)

        endpoint = d.pop("endpoint", UNSET)

        playground_body = cls(
            body=body,
            headers=headers,
            key=key,
            endpoint=endpoint,
        )

        playground_body.additional_properties = d
        return playground_body

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
