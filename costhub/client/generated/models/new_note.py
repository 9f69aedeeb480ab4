from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.invoice_kind import InvoiceKind
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.new_note_lines_item import NewNoteLinesItem


T = TypeVar("T", bound="NewNote")


@_attrs_define
class NewNote:
    """What to take back of which lines, by position; without ``lines`` all of it.

    Attributes:
        invoice (str): an invoice, by id or number
        reason (str): why, in words
        kind (InvoiceKind | Unset):
        lines (list[NewNoteLinesItem] | Unset): the lines that are to be corrected, each by its position and how much of
            it; left out: all of them
    """

    invoice: str
    reason: str
    kind: InvoiceKind | Unset = UNSET
    lines: list[NewNoteLinesItem] | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        invoice = self.invoice

        reason = self.reason

        kind: str | Unset = UNSET
        if not isinstance(self.kind, Unset):
            kind = self.kind.value

        lines: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.lines, Unset):
            lines = []
            for lines_item_data in self.lines:
                lines_item = lines_item_data.to_dict()
                lines.append(lines_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "invoice": invoice,
                "reason": reason,
            }
        )
        if kind is not UNSET:
            field_dict["kind"] = kind
        if lines is not UNSET:
            field_dict["lines"] = lines

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.new_note_lines_item import NewNoteLinesItem  # noqa: PLC0415

        d = dict(src_dict)
        invoice = d.pop("invoice")

        reason = d.pop("reason")

        _kind = d.pop("kind", UNSET)
        kind: InvoiceKind | Unset
        if isinstance(_kind, Unset):
            kind = UNSET
        else:
            kind = InvoiceKind(_kind)

        _lines = d.pop("lines", UNSET)
        lines: list[NewNoteLinesItem] | Unset = UNSET
        if _lines is not UNSET:
            lines = []
            for lines_item_data in _lines:
                lines_item = NewNoteLinesItem.from_dict(lines_item_data)

                lines.append(lines_item)

        new_note = cls(
            invoice=invoice,
            reason=reason,
            kind=kind,
            lines=lines,
        )

        new_note.additional_properties = d
        return new_note

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
