"""What a call cost, as a stream tells it at its end."""

from collections.abc import Mapping

import orjson


def name_fields(fields: Mapping[str, str]) -> dict[str, str]:
    """The headers that tell a cost, as fields of an object."""
    return {name.removeprefix("x-costhub-").replace("-", "_"): value for name, value in fields.items()}


def write_comment(fields: Mapping[str, str]) -> bytes:
    """Comment lines, which clients ignore and people can read."""
    return b"".join(f": {name}: {value}\n".encode() for name, value in fields.items())


def add_cost(event: bytes, fields: Mapping[str, str]) -> bytes:
    """The event with the cost as a further field of its object: what stands in it already stays as it came."""
    end = event.rfind(b"}")
    if end < 0 or event[end + 1 :].strip() or event[:end].rstrip().endswith(b"{"):
        return event
    return b'%b,"costhub":%b%b' % (event[:end], orjson.dumps(name_fields(fields)), event[end:])
