from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.role import Role
from ..types import UNSET, Unset

T = TypeVar("T", bound="PatchedSignOnChanges")


@_attrs_define
class PatchedSignOnChanges:
    """What may change; the kind stays.

    Attributes:
        name (str | Unset): a name for people
        role (Role | Unset):
        is_active (bool | Unset): whether it is in force; what is switched off keeps its row
        issuer (str | Unset): the OpenID Connect provider's address, as its tokens name it
        client_id (str | Unset): our name at the OpenID Connect provider
        client_secret (str | Unset): our secret at the OpenID Connect provider; never shown
        entity_id (str | Unset): the SAML provider's name of itself
        sso_url (str | Unset): where the SAML provider lets people sign in
        certificate (str | Unset): the SAML provider's signing certificate, PEM
    """

    name: str | Unset = UNSET
    role: Role | Unset = UNSET
    is_active: bool | Unset = UNSET
    issuer: str | Unset = UNSET
    client_id: str | Unset = UNSET
    client_secret: str | Unset = UNSET
    entity_id: str | Unset = UNSET
    sso_url: str | Unset = UNSET
    certificate: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        role: str | Unset = UNSET
        if not isinstance(self.role, Unset):
            role = self.role.value

        is_active = self.is_active

        issuer = self.issuer

        client_id = self.client_id

        client_secret = self.client_secret

        entity_id = self.entity_id

        sso_url = self.sso_url

        certificate = self.certificate

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if name is not UNSET:
            field_dict["name"] = name
        if role is not UNSET:
            field_dict["role"] = role
        if is_active is not UNSET:
            field_dict["is_active"] = is_active
        if issuer is not UNSET:
            field_dict["issuer"] = issuer
        if client_id is not UNSET:
            field_dict["client_id"] = client_id
        if client_secret is not UNSET:
            field_dict["client_secret"] = client_secret
        if entity_id is not UNSET:
            field_dict["entity_id"] = entity_id
        if sso_url is not UNSET:
            field_dict["sso_url"] = sso_url
        if certificate is not UNSET:
            field_dict["certificate"] = certificate

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name", UNSET)

        _role = d.pop("role", UNSET)
        role: Role | Unset
        if isinstance(_role, Unset):
            role = UNSET
        else:
            role = Role(_role)

        is_active = d.pop("is_active", UNSET)

        issuer = d.pop("issuer", UNSET)

        client_id = d.pop("client_id", UNSET)

        client_secret = d.pop("client_secret", UNSET)

        entity_id = d.pop("entity_id", UNSET)

        sso_url = d.pop("sso_url", UNSET)

        certificate = d.pop("certificate", UNSET)

        patched_sign_on_changes = cls(
            name=name,
            role=role,
            is_active=is_active,
            issuer=issuer,
            client_id=client_id,
            client_secret=client_secret,
            entity_id=entity_id,
            sso_url=sso_url,
            certificate=certificate,
        )

        patched_sign_on_changes.additional_properties = d
        return patched_sign_on_changes

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
