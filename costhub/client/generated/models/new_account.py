from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.collection_enum import CollectionEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="NewAccount")


@_attrs_define
class NewAccount:
    """Who pays; ``legal_entity`` by name or id. Without a Stripe customer payment is by hand.

    Attributes:
        legal_entity (str): who issues the invoices, by id
        name (str): a name for people
        country (str): ISO 3166's two letters
        street (str | Unset): street and number
        postcode (str | Unset): postal code
        city (str | Unset): town
        tax_id (str | Unset): the tax number, such as a VAT id
        po_number (str | Unset): the buyer's order number, printed on invoices
        emails (list[str] | Unset): who gets the documents
        collection (CollectionEnum | Unset):
        stripe_customer (str | Unset): Stripe's id of the customer
        stripe_meter (str | Unset): the name of Stripe's meter that usage is sent to
    """

    legal_entity: str
    name: str
    country: str
    street: str | Unset = UNSET
    postcode: str | Unset = UNSET
    city: str | Unset = UNSET
    tax_id: str | Unset = UNSET
    po_number: str | Unset = UNSET
    emails: list[str] | Unset = UNSET
    collection: CollectionEnum | Unset = UNSET
    stripe_customer: str | Unset = UNSET
    stripe_meter: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        legal_entity = self.legal_entity

        name = self.name

        country = self.country

        street = self.street

        postcode = self.postcode

        city = self.city

        tax_id = self.tax_id

        po_number = self.po_number

        emails: list[str] | Unset = UNSET
        if not isinstance(self.emails, Unset):
            emails = self.emails

        collection: str | Unset = UNSET
        if not isinstance(self.collection, Unset):
            collection = self.collection.value

        stripe_customer = self.stripe_customer

        stripe_meter = self.stripe_meter

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "legal_entity": legal_entity,
                "name": name,
                "country": country,
            }
        )
        if street is not UNSET:
            field_dict["street"] = street
        if postcode is not UNSET:
            field_dict["postcode"] = postcode
        if city is not UNSET:
            field_dict["city"] = city
        if tax_id is not UNSET:
            field_dict["tax_id"] = tax_id
        if po_number is not UNSET:
            field_dict["po_number"] = po_number
        if emails is not UNSET:
            field_dict["emails"] = emails
        if collection is not UNSET:
            field_dict["collection"] = collection
        if stripe_customer is not UNSET:
            field_dict["stripe_customer"] = stripe_customer
        if stripe_meter is not UNSET:
            field_dict["stripe_meter"] = stripe_meter

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        legal_entity = d.pop("legal_entity")

        name = d.pop("name")

        country = d.pop("country")

        street = d.pop("street", UNSET)

        postcode = d.pop("postcode", UNSET)

        city = d.pop("city", UNSET)

        tax_id = d.pop("tax_id", UNSET)

        po_number = d.pop("po_number", UNSET)

        emails = cast(list[str], d.pop("emails", UNSET))

        _collection = d.pop("collection", UNSET)
        collection: CollectionEnum | Unset
        if isinstance(_collection, Unset):
            collection = UNSET
        else:
            collection = CollectionEnum(_collection)

        stripe_customer = d.pop("stripe_customer", UNSET)

        stripe_meter = d.pop("stripe_meter", UNSET)

        new_account = cls(
            legal_entity=legal_entity,
            name=name,
            country=country,
            street=street,
            postcode=postcode,
            city=city,
            tax_id=tax_id,
            po_number=po_number,
            emails=emails,
            collection=collection,
            stripe_customer=stripe_customer,
            stripe_meter=stripe_meter,
        )

        new_account.additional_properties = d
        return new_account

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
