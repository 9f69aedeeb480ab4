"""``multipart/form-data`` as it comes: fields in memory, the one file straight into the store."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from costhub.lib.objects import Writer
from proxy.errors import InvalidRequest

MAX_FIELD_BYTES: Final = 4_096
MAX_FIELDS: Final = 16
MAX_NAME_CHARACTERS: Final = 255
_MAX_BOUNDARY: Final = 200


@dataclass(slots=True)
class Upload:
    """What a form holds. ``size`` is the file's, in bytes; the file is there where ``filename`` is not None."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str | None = None
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def summary(self) -> bytes:
        """What the same upload has again, whatever its client writes between the parts."""
        return orjson.dumps([self.fields, self.filename, self.digest.hexdigest()], option=orjson.OPT_SORT_KEYS)


async def read_upload(headers: Mapping[str, str], parts: AsyncIterator[bytes], writer: Writer) -> Upload:
    """Read a form to its end, its file into ``writer``. Raises InvalidRequest for what is no such form."""
    form = _Form()
    parser = MultipartParser(
        find_boundary(headers),
        {
            "on_part_begin": form.begin_part,
            "on_header_field": form.add_to_name,
            "on_header_value": form.add_to_value,
            "on_header_end": form.end_header,
            "on_headers_finished": form.end_headers,
            "on_part_data": form.add,
            "on_part_end": form.end_part,
            "on_end": form.end,
        },
    )
    try:
        async for part in parts:
            parser.write(part)
            if form.pending:
                # Bytes of one part of the body: no more than the server reads at a time.
                data, form.pending = b"".join(form.pending), []
                form.upload.size += len(data)
                form.upload.digest.update(data)
                await writer.write(data)
    except MultipartParseError as error:
        raise _not_a_form() from error
    if not form.is_whole:
        raise _not_a_form()
    return form.upload


def find_boundary(headers: Mapping[str, str]) -> bytes:
    """What stands between the parts of a form. Raises InvalidRequest where its header does not say so."""
    kind, options = parse_options_header(headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= _MAX_BOUNDARY:
        raise InvalidRequest(
            "Send the file as multipart/form-data, with the fields file and purpose.",
            param="Content-Type",
            code="unsupported_content_type",
        )
    return boundary


class _Form:
    """What the parser calls: it pushes, and we may not wait in it."""

    def __init__(self) -> None:
        self.upload = Upload()
        self.pending: list[bytes] = []
        self.is_whole = False
        self._header = b""
        self._value = b""
        self._name = ""
        self._is_file = False
        self._text = b""
        self._parts = 0

    def begin_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_FIELDS + 1:
            raise InvalidRequest(f"A form has the file and {MAX_FIELDS} other fields at most.", param="file")
        self._name, self._is_file, self._text = "", False, b""

    def add_to_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
            filename = options.get(b"filename")
            if filename is not None:
                self._open_file(filename.decode("utf-8", "replace"))
        self._header = self._value = b""

    def _open_file(self, filename: str) -> None:
        if self._name != "file" or self.upload.filename is not None:
            raise InvalidRequest("Send one file, in the field file.", param=self._name[:MAX_FIELD_BYTES] or "file")
        name = "".join(sign for sign in filename if sign.isprintable()).rpartition("/")[2].rpartition("\\")[2]
        self.upload.filename = name[:MAX_NAME_CHARACTERS] or "file"
        self._is_file = True

    def end_headers(self) -> None:
        if not self._name:
            raise _not_a_form()
        if not self._is_file and self._name == "file":
            raise InvalidRequest("file must be a file.", param="file")

    def add(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.pending.append(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > MAX_FIELD_BYTES:
            raise InvalidRequest(f"{self._name[:100]} is too long.", param=self._name[:100])

    def end_part(self) -> None:
        if not self._is_file:
            self.upload.fields[self._name[:100]] = self._text.decode("utf-8", "replace")

    def end(self) -> None:
        self.is_whole = True


def _not_a_form() -> InvalidRequest:
    return InvalidRequest("The body is no whole multipart/form-data.", code="invalid_form")
