from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="NewBucket")


@_attrs_define
class NewBucket:
    """A bucket of S3's kind that the month's papers are put into: ``https://endpoint/bucket``, with a prefix or
    without, and a key that may put objects there. The secret is never shown.

        Attributes:
            url (str): https://endpoint/bucket, with a prefix or without
            region (str): the bucket's region, as its provider names it
            key_id (str): the id of a key that may put objects there
            secret (str): the key itself; it is sealed, and never shown
    """

    url: str
    region: str
    key_id: str
    secret: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        url = self.url

        region = self.region

        key_id = self.key_id

        secret = self.secret

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "url": url,
                "region": region,
                "key_id": key_id,
                "secret": secret,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        url = d.pop("url")

        region = d.pop("region")

        key_id = d.pop("key_id")

        secret = d.pop("secret")

        new_bucket = cls(
            url=url,
            region=region,
            key_id=key_id,
            secret=secret,
        )

        new_bucket.additional_properties = d
        return new_bucket

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
