"""Files that were uploaded here, named in a message. No upstream knows them: what they hold is put in the place of
their name, where a message may hold it, and a name that stands anywhere else is refused. Pure."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from proxy.core.body_fields import read_object, write_object
from proxy.core.weight import SMALL_BYTES, weigh
from proxy.errors import FileNamed, InvalidRequest

Json = dict[str, Any]

#: before the digits of a file's UUIDv7
FILE: Final = "file-"
#: that of no provider: OpenAI's have fewer signs, Azure's other UUIDs
_OURS: Final = re.compile(FILE + "[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}")

#: what messages stand in, by format
_SAID: Final = ("messages", "input")
#: and what stands within them: what a turn says, and what a tool has given
_WITHIN: Final = ("content", "output")
PDF: Final = "application/pdf"
TEXT: Final = "text/plain"
#: how a file begins that is no text
_MARKS: Final[Mapping[bytes, str]] = {
    b"%PDF-": PDF,
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
_WEBP: Final = re.compile(rb"RIFF.{4}WEBP", re.DOTALL)


#: parts that hold pictures only
_OF_PICTURES: Final = frozenset({"input_image", "image"})


class Named(NamedTuple):
    """A file's name in a message: the ``place`` of the field, and the part that it is in, by its list and number."""

    file_id: str
    place: str
    parts: list[Any]
    number: int


class Held(NamedTuple):
    """What a file holds, and how it is called."""

    filename: str
    content: bytes


_LEAST_TEXT: Final = Held("file", b".")
_LEAST_PICTURE: Final = Held("file", b"\x89PNG\r\n\x1a\n")


def check_named(held: Any, place: str) -> None:
    """Raise FileNamed where what stands at a place of a body, or anything within it, names a file of ``/v1/files`` by
    its id: the upstream would say that there is none."""
    if isinstance(held, dict):
        for name, value in held.items():
            if name == "file_id":
                _check_id(value, f"{place}.{name}")
            elif name == "file_ids" and isinstance(value, list):
                for number, one in enumerate(value):
                    _check_id(one, f"{place}.{name}[{number}]")
            elif isinstance(value, dict | list):
                check_named(value, f"{place}.{name}")
    elif isinstance(held, list):
        for number, one in enumerate(held):
            check_named(one, f"{place}[{number}]")


def find_named(body: Json) -> Iterator[Named]:
    """The files that a body's messages name where what they hold may stand."""
    for name in _SAID:
        yield from _find_in(body.get(name), name)


def stand_in(raw: bytes, most_bytes: int) -> bytes:
    """A body, as JSON, with the least that a file can hold in the place of each that its messages name: no other costs
    less. Takes as long as the whole is large. Raises what ``put_files`` does."""
    body = read_object(raw)
    named = list(find_named(body))
    least = {
        one.file_id: _LEAST_PICTURE if one.parts[one.number]["type"] in _OF_PICTURES else _LEAST_TEXT for one in named
    }
    return put_files(body, named, least, most_bytes)


def put_files(body: Json, named: Sequence[Named], files: Mapping[str, Held], most_bytes: int) -> bytes:
    """The body, as JSON, with what the named files hold in the place of their names; ``body`` is changed. Raises
    InvalidRequest where a file cannot stand there, and where all of it comes to more than ``most_bytes``, or to more
    values than any body may hold. Takes as long as the whole is large."""
    for one in named:
        part = one.parts[one.number]
        one.parts[one.number] = _PUT[part["type"]](part, files[one.file_id], one.place)
    raw = write_object(body)
    if len(raw) > most_bytes:
        raise too_long(named[-1].place, most_bytes)
    if len(raw) > SMALL_BYTES:
        for _ in weigh(raw):
            pass
    return raw


def too_long(place: str, most_bytes: int) -> InvalidRequest:
    """The error of a body that is too long with the file that a place of it names."""
    return InvalidRequest(
        f"With the file that {place} names the body is longer than {most_bytes} bytes, the most that is taken here: give"
        " a smaller one, or a part of it.",
        param=place,
        code="request_too_large",
    )


def find_media_type(content: bytes) -> str:
    """What a file holds, by its first bytes: a PDF, a picture, or text; empty for anything else."""
    for mark, media_type in _MARKS.items():
        if content.startswith(mark):
            return media_type
    if _WEBP.match(content):
        return "image/webp"
    return TEXT if _read_text(content) is not None else ""


# Where they stand


def _check_id(value: Any, place: str) -> None:
    if isinstance(value, str) and _OURS.fullmatch(value):
        raise FileNamed(
            f"{place} names a file of /v1/files here, which cannot be read from there: name it in a part of a message (a"
            " document, a picture or a text), or put what it holds into the message itself, as base64.",
            param=place,
        )


def _find_in(items: Any, place: str) -> Iterator[Named]:
    for number, item in enumerate(items if isinstance(items, list) else ()):
        if not isinstance(item, dict):
            continue
        here = f"{place}[{number}]"
        field, holder = _NAMING.get(str(item.get("type")), ("", ""))
        held = item.get(holder) if holder else item
        name = held.get("file_id") if field and isinstance(held, dict) else None
        if isinstance(name, str) and _OURS.fullmatch(name):
            yield Named(name, f"{here}.{field}", items, number)
            continue
        for within in _WITHIN:
            yield from _find_in(item.get(within), f"{here}.{within}")
        if isinstance(source := item.get("source"), dict):
            yield from _find_in(source.get("content"), f"{here}.source.content")


#: by the type of a part: where the name of a file stands in it, and in which of its objects
_NAMING: Final[Mapping[str, tuple[str, str]]] = {
    "file": ("file.file_id", "file"),
    "input_file": ("file_id", ""),
    "input_image": ("file_id", ""),
    "document": ("source.file_id", "source"),
    "image": ("source.file_id", "source"),
}


# What is put there


def _put_chat_file(part: Json, file: Held, place: str) -> Json:
    rest = _without(part, "type", "file")
    media_type = _get_media_type(file, place)
    if media_type == TEXT:
        return {"type": "text", "text": _read_text(file.content), **rest}
    if media_type == PDF:
        return {"type": "file", "file": {"filename": file.filename, "file_data": _as_url(file, PDF)}, **rest}
    return {"type": "image_url", "image_url": {"url": _as_url(file, media_type)}, **rest}


def _put_input_file(part: Json, file: Held, place: str) -> Json:
    rest = _without(part, "type", "file_id")
    media_type = _get_media_type(file, place)
    if media_type == TEXT:
        return {"type": "input_text", "text": _read_text(file.content)}
    if media_type == PDF:
        return {"type": "input_file", **rest, "filename": file.filename, "file_data": _as_url(file, PDF)}
    return {"type": "input_image", "image_url": _as_url(file, media_type)}


def _put_input_image(part: Json, file: Held, place: str) -> Json:
    return {**_without(part, "file_id"), "image_url": _as_url(file, _get_picture_type(file, place))}


def _put_document(part: Json, file: Held, place: str) -> Json:
    media_type = _get_media_type(file, place)
    if media_type == TEXT:
        return {**part, "source": {"type": "text", "media_type": TEXT, "data": _read_text(file.content)}}
    if media_type != PDF:
        raise _unfit(file, place, "holds a picture: name it in a block of type image")
    return {**part, "source": {"type": "base64", "media_type": PDF, "data": _encode(file)}}


def _put_image(part: Json, file: Held, place: str) -> Json:
    return {**part, "source": {"type": "base64", "media_type": _get_picture_type(file, place), "data": _encode(file)}}


_PUT: Final = {
    "file": _put_chat_file,
    "input_file": _put_input_file,
    "input_image": _put_input_image,
    "document": _put_document,
    "image": _put_image,
}


def _get_media_type(file: Held, place: str) -> str:
    media_type = find_media_type(file.content)
    if not media_type:
        raise _unfit(file, place, "holds neither a PDF nor a picture (PNG, JPEG, GIF, WebP) nor a text in UTF-8")
    return media_type


def _get_picture_type(file: Held, place: str) -> str:
    media_type = find_media_type(file.content)
    if not media_type.startswith("image/"):
        raise _unfit(file, place, "holds no picture (PNG, JPEG, GIF, WebP)")
    return media_type


def _unfit(file: Held, place: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"The file {file.filename} that {place} names {why}.", param=place, code="file_not_readable")


def _read_text(content: bytes) -> str | None:
    if b"\0" in content:
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _encode(file: Held) -> str:
    return base64.b64encode(file.content).decode()


def _as_url(file: Held, media_type: str) -> str:
    return f"data:{media_type};base64,{_encode(file)}"


def _without(part: Json, *names: str) -> Json:
    return {name: value for name, value in part.items() if name not in names}
