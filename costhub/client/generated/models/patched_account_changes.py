from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.pack_to_enum import PackToEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="PatchedAccountChanges")


@_attrs_define
class PatchedAccountChanges:
    """What may change.

    Attributes:
        name (str | Unset): a name for people
        street (str | Unset): street and number
        postcode (str | Unset): postal code
        city (str | Unset): town
        country (str | Unset): ISO 3166's two letters
        tax_id (str | Unset): the tax number, such as a VAT id
        po_number (str | Unset): the buyer's order number, printed on invoices
        emails (list[str] | Unset): who gets the documents
        top_up_below (None | str | Unset): below how many USD of credits more are bought; null: never
        top_up_amount (None | str | Unset): how many USD at once; null: none
        pack_to (PackToEnum | Unset):
    """

    name: str | Unset = UNSET
    street: str | Unset = UNSET
    postcode: str | Unset = UNSET
    city: str | Unset = UNSET
    country: str | Unset = UNSET
    tax_id: str | Unset = UNSET
    po_number: str | Unset = UNSET
    emails: list[str] | Unset = UNSET
    top_up_below: None | str | Unset = UNSET
    top_up_amount: None | str | Unset = UNSET
    pack_to: PackToEnum | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        street = self.street

        postcode = self.postcode

        city = self.city

        country = self.country

        tax_id = self.tax_id

        po_number = self.po_number

        emails: list[str] | Unset = UNSET
        if not isinstance(self.emails, Unset):
            emails = self.emails

        top_up_below: None | str | Unset
        if isinstance(self.top_up_below, Unset):
            top_up_below = UNSET
        else:
            top_up_below = self.top_up_below

        top_up_amount: None | str | Unset
        if isinstance(self.top_up_amount, Unset):
            top_up_amount = UNSET
        else:
            top_up_amount = self.top_up_amount

        pack_to: str | Unset = UNSET
        if not isinstance(self.pack_to, Unset):
            pack_to = self.pack_to.value

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if name is not UNSET:
            field_dict["name"] = name
        if street is not UNSET:
            field_dict["street"] = street
        if postcode is not UNSET:
            field_dict["postcode"] = postcode
        if city is not UNSET:
            field_dict["city"] = city
        if country is not UNSET:
            field_dict["country"] = country
        if tax_id is not UNSET:
            field_dict["tax_id"] = tax_id
        if po_number is not UNSET:
            field_dict["po_number"] = po_number
        if emails is not UNSET:
            field_dict["emails"] = emails
        if top_up_below is not UNSET:
            field_dict["top_up_below"] = top_up_below
        if top_up_amount is not UNSET:
            field_dict["top_up_amount"] = top_up_amount
        if pack_to is not UNSET:
            field_dict["pack_to"] = pack_to

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name", UNSET)

        street = d.pop("street", UNSET)

        postcode = d.pop("postcode", UNSET)

        city = d.pop("city", UNSET)

        country = d.pop("country", UNSET)

        tax_id = d.pop("tax_id", UNSET)

        po_number = d.pop("po_number", UNSET)

        emails = cast(list[str], d.pop("emails", UNSET))

        def _parse_top_up_below(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        top_up_below = _parse_top_up_below(d.pop("top_up_below", UNSET))

        def _parse_top_up_amount(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        top_up_amount = _parse_top_up_amount(d.pop("top_up_amount", UNSET))

        _pack_to = d.pop("pack_to", UNSET)
        pack_to: PackToEnum | Unset
        if isinstance(_pack_to, Unset):
            pack_to = UNSET
        else:
            pack_to = PackToEnum(_pack_to)

        patched_account_changes = cls(
            name=name,
            street=street,
            postcode=postcode,
            city=city,
            country=country,
            tax_id=tax_id,
            po_number=po_number,
            emails=emails,
            top_up_below=top_up_below,
            top_up_amount=top_up_amount,
            pack_to=pack_to,
        )

        patched_account_changes.additional_properties = d
        return patched_account_changes

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
