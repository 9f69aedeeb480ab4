"""The fields of bodies: no type is guessed, and what an answer carries is written one way only."""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from django.db import models
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from costhub.lib.money import format_usd, parse_usd

Kind = TypeVar("Kind", bound=StrEnum)

_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")
_MAX_DIGITS: Final = 40


class Body(serializers.Serializer[Any]):
    """A body that a caller sends. A field that it does not know is refused by name."""

    def to_internal_value(self, data: Any) -> Any:
        """The checked values. Raises ValidationError."""
        if isinstance(data, Mapping) and (unknown := [name for name in data if name not in self.fields]):
            known = ", ".join(name for name, field in self.fields.items() if not field.read_only)
            message = f"There is no such field here; there are: {known}." if known else "This takes no fields."
            raise serializers.ValidationError({name: [message] for name in unknown})
        return super().to_internal_value(data)


class Nothing(Body):
    """No fields."""


class Answer(serializers.ModelSerializer[models.Model]):
    """A row as the API shows it."""


class Text(serializers.CharField):
    """A string, taken as it is: a number is no string."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False, "max_length": 5_000} | options)

    def to_internal_value(self, data: Any) -> str:
        """The string. Raises ValidationError."""
        if not isinstance(data, str):
            raise serializers.ValidationError("Give a string.")
        return super().to_internal_value(data)


class Email(serializers.EmailField):
    """An e-mail address."""

    def to_internal_value(self, data: Any) -> str:
        """The address. Raises ValidationError."""
        if not isinstance(data, str):
            raise serializers.ValidationError("Give an e-mail address.")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A whole number that fits into 64 bits, written as a number."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": -(2**63), "max_value": 2**63 - 1} | options)

    def to_internal_value(self, data: Any) -> int:
        """The number. Raises ValidationError."""
        if not isinstance(data, int) or isinstance(data, bool):
            raise serializers.ValidationError("Give a whole number.")
        return data


class Flag(serializers.BooleanField):
    """true or false, not something like it."""

    def to_internal_value(self, data: Any) -> bool:
        """The truth value. Raises ValidationError."""
        if not isinstance(data, bool):
            raise serializers.ValidationError("Give true or false.")
        return data


class Moment(serializers.DateTimeField):
    """An ISO 8601 moment; without an offset it is UTC."""

    def to_internal_value(self, value: Any) -> datetime:
        """The aware moment. Raises ValidationError."""
        if not isinstance(value, str):
            raise serializers.ValidationError("Give a moment such as 2026-01-31T12:00:00Z.")
        try:
            return super().to_internal_value(value)
        except (serializers.ValidationError, OverflowError) as error:
            raise serializers.ValidationError("Give a moment such as 2026-01-31T12:00:00Z.") from error


class Choice(serializers.ChoiceField, Generic[Kind]):
    """One value of an enumeration; the caller gets the member itself."""

    def __init__(self, kind: type[Kind], **options: Any) -> None:
        self._kind = kind
        super().__init__(choices=[(member.value, member.value) for member in kind], **options)

    def to_internal_value(self, data: Any) -> Any:
        """The member. Raises ValidationError."""
        if isinstance(data, str) and data in set(self._kind):
            return self._kind(data)
        raise serializers.ValidationError(f"Give one of: {', '.join(self._kind)}.")

    def to_representation(self, value: Any) -> Any:
        """The stored text."""
        return str(value)


@extend_schema_field({"type": "string", "format": "decimal", "example": "0.15"})
class Amount(serializers.Field[Decimal, Any, str, Any]):
    """A decimal number, mostly of USD: a string, or a JSON number read without a float in between."""

    def to_internal_value(self, data: Any) -> Decimal:
        """The exact number. Raises ValidationError."""
        if isinstance(data, str) and _DECIMAL.fullmatch(data):
            return Decimal(data)
        if isinstance(data, int) and not isinstance(data, bool) and abs(data) < 10**_MAX_DIGITS:
            return Decimal(data)
        if (
            isinstance(data, Decimal)
            and abs(data.adjusted()) <= _MAX_DIGITS
            and len(data.as_tuple().digits) <= _MAX_DIGITS
        ):
            return data
        raise serializers.ValidationError('Give a decimal number of USD as a string, such as "0.15".')

    def to_representation(self, value: Decimal) -> str:
        """Plain decimals without trailing zeros."""
        return f"{value.normalize():f}"


class Usd(Amount):
    """An amount of money: Decimal USD outside, nano-USD inside."""

    def to_internal_value(self, data: Any) -> Any:
        """Nano-USD. Raises ValidationError."""
        try:
            return parse_usd(super().to_internal_value(data))
        except ValueError as error:
            raise serializers.ValidationError(
                'Give an amount of USD with at most 9 decimal places, such as "10.00".'
            ) from error

    def to_representation(self, value: Any) -> str:
        """Nine decimal places."""
        return format_usd(value)


class Within(Body):
    """The one project, by name or id, or the one key, by id, whose calls a limit counts."""

    project = Text(required=False)
    key = Text(required=False)


@extend_schema_field(
    {
        "type": ["object", "null"],
        "properties": {"project": {"type": "string", "format": "uuid"}, "key": {"type": "string", "format": "uuid"}},
        "description": "the one project or key whose calls are counted; null for all",
    }
)
class ShownWithin(serializers.Field[Any, Any, Any, Any]):
    """The place of a limit as the API shows it: ``{"project": id}``, ``{"key": id}``, or null."""

    def __init__(self, **options: Any) -> None:
        super().__init__(source="*", read_only=True, **options)

    def to_representation(self, value: Any) -> dict[str, str] | None:
        """By its id."""
        return {value.within_scope: value.within} if value.within else None
