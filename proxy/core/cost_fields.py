"""What a call cost, as a stream tells it at its end."""

from collections.abc import Mapping
from functools import cache

import orjson


def name_fields(fields: Mapping[str, str]) -> dict[str, str]:
    """The headers that tell a cost, as fields of an object."""
    return dict(zip(map(_name_field, fields), fields.values(), strict=True))


def write_comment(fields: Mapping[str, str]) -> bytes:
    """Comment lines, which clients ignore and people can read."""
    return "".join([f": {name}: {value}\n" for name, value in fields.items()]).encode()


@cache
def _name_field(header: str) -> str:
    """There are a handful, and every stream tells them."""
    return header.removeprefix("x-costhub-").replace("-", "_")


def add_cost(event: bytes, fields: Mapping[str, str]) -> bytes:
    """The event with the cost as a further field of its object: what stands in it already stays as it came."""
    end = event.rfind(b"}")
    if end < 0 or event[end + 1 :].strip() or event[:end].rstrip().endswith(b"{"):
        return event
    return b'%b,"costhub":%b%b' % (event[:end], orjson.dumps(name_fields(fields)), event[end:])
