"""Filters as query strings spell them."""

from uuid import UUID

import pytest

from billing.spend.filters import LedgerFilters, parse_filters
from costhub.lib.errors import InvalidField

ID = "019ab3f2-0000-7000-8000-000000000001"


def test_every_parameter_is_read() -> None:
    params = {
        "model": "small",
        "project": ID,
        "key": ID,
        "end_user": "mia",
        "upstream": ID,
        "status": "429",
        "id": f" {ID.upper()} ",
        "tag:team": "blue",
        "cursor": "ignored",
    }
    assert parse_filters(params) == LedgerFilters(
        model="small",
        project=UUID(ID),
        key=UUID(ID),
        end_user="mia",
        upstream=UUID(ID),
        status="429",
        request_id=ID,
        tags={"team": "blue"},
    )


def test_what_is_empty_filters_nothing() -> None:
    names = ["model", "project", "key", "end_user", "upstream", "status", "id", "tag:team", "tag:"]
    assert parse_filters(dict.fromkeys(names, "")) == LedgerFilters()


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"key": "first key"}, "key"),
        ({"project": "1"}, "project"),
        ({"upstream": "x" * 400}, "upstream"),
        ({"status": "bad"}, "status"),
        ({"status": "٤٢٩"}, "status"),
        ({"id": "12"}, "id"),
        ({"id": "zzzz"}, "id"),
        ({"id": ID + "00"}, "id"),
        ({"model": "a\x00b"}, "model"),
        ({"tag:a\x00": "b"}, "tag:a"),
    ],
)
def test_what_cannot_be_read_is_named(params: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        parse_filters(params)
    assert caught.value.field == field
