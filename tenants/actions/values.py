"""What people type, checked: each function gives the value to store or raises InvalidField with what to type
instead."""

import re
from datetime import datetime
from functools import cache
from typing import Final
from zoneinfo import available_timezones

from costhub.lib.errors import InvalidField

MAX_NAME_CHARACTERS: Final = 120
MAX_IDENTIFIER_CHARACTERS: Final = 200

_EARLIEST_YEAR, _LATEST_YEAR = 2000, 2200
_IDENTIFIER: Final = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]+")


def check_name(text: str, field: str = "name") -> str:
    """A name for people: one line, something visible in it. Raises InvalidField."""
    name = text.strip()
    if not name or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise InvalidField(f"Give a name of 1 to {MAX_NAME_CHARACTERS} visible characters.", field=field)
    return name


def check_identifier(text: str, field: str) -> str:
    """A name that programs send: no blanks, since headers and URLs carry it. Raises InvalidField."""
    if len(text) > MAX_IDENTIFIER_CHARACTERS or not _IDENTIFIER.fullmatch(text) or not text.isprintable():
        raise InvalidField(f"Give 1 to {MAX_IDENTIFIER_CHARACTERS} visible characters without blanks.", field=field)
    return text


def check_time_zone(text: str) -> str:
    """A name of the IANA time zone database. Raises InvalidField."""
    if text not in _time_zones():
        raise InvalidField("Give a time zone by its IANA name, such as Europe/Berlin.", field="time_zone")
    return text


def check_moment(moment: datetime, field: str) -> datetime:
    """A moment in a year that every part of the product can count in. Raises InvalidField."""
    if not _EARLIEST_YEAR <= moment.year < _LATEST_YEAR:
        raise InvalidField(f"Give a time between the years {_EARLIEST_YEAR} and {_LATEST_YEAR}.", field=field)
    return moment


def list_time_zones() -> list[str]:
    """The names that ``check_time_zone`` takes, in order."""
    return sorted(_time_zones())


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones()) - {"Factory", "localtime"}
