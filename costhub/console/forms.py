"""Forms: what people typed, read by the same rules as the API's bodies, and what to type instead beside each field."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TypeVar
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.http import HttpRequest

from costhub.lib.errors import AppError, Conflict, Forbidden, InvalidField, NotFound
from costhub.lib.keyspace import form_key
from costhub.lib.money import Nanos, parse_usd
from costhub.lib.redis import client
from tenants.access import Actor, find_uuid
from tenants.api.parsing import check_text

Kind = TypeVar("Kind", bound=StrEnum)
Done = TypeVar("Done")

MAX_CHARACTERS: Final = 5_000
#: for so long a form that was sent is known by its mark
_ONCE_SECONDS: Final = 3_600
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")
#: commas only where they separate thousands: others write 10,50 for what is 10.50 here
_USD: Final = re.compile(r"\$?[+-]?([0-9]{1,20}|[0-9]{1,3}(,[0-9]{3}){1,6})(\.[0-9]{1,20})?")
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")
_SENT_BEFORE: Final = (
    "This form was sent before: look whether it is done already, and open the form again if it is not."
)
_CHANGED: Final = (
    "Somebody has changed this since you opened the form. Below is what you typed: compare it with what stands now, and"
    " save again to replace that."
)


@dataclass(frozen=True, slots=True)
class Field:
    """A field as the page asks for it. ``kind`` is an input's type, or select, checks, textarea, checkbox, hidden. Of a
    file the form has the name; the view reads ``request.FILES``. A range has ``bounds``."""

    name: str
    label: str
    kind: str = "text"
    help: str = ""
    choices: Sequence[tuple[str, str]] = ()
    is_required: bool = False
    placeholder: str = ""
    most: int = MAX_CHARACTERS
    bounds: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Asked:
    """A field with what stands in it and what is wrong with that. ``curve``: of a slider the chart along which it
    slides, with the ``template`` of that and of the ``table`` below."""

    field: Field
    value: Any
    error: str
    curve: Mapping[str, Any] | None = None

    @property
    def id(self) -> str:
        """The input's id."""
        return f"field-{self.field.name}"


@dataclass(slots=True)
class Form:
    """A form for a person. ``initial`` is what stands in it at first: of something that is there, its values.
    ``curves``: what sliders slide along, by their fields' names."""

    fields: Sequence[Field]
    initial: Mapping[str, Any] = field(default_factory=dict)
    is_edit: bool = False
    values: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    error: str = ""
    status: int = 200
    curves: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    _mark: str = ""

    def __post_init__(self) -> None:
        self.values = {
            each.name: self.initial.get(each.name, [] if each.kind == "checks" else "") for each in self.fields
        }

    @property
    def asked(self) -> list[Asked]:
        """The fields in order. What was typed as a secret is typed anew: it stands on no page."""
        shown = {each.name: "" if each.kind == "password" else self.values[each.name] for each in self.fields}
        return [
            Asked(each, shown[each.name], self.errors.get(each.name, ""), self.curves.get(each.name))
            for each in self.fields
        ]

    @property
    def has_file(self) -> bool:
        """Whether it is sent in parts."""
        return any(each.kind == "file" for each in self.fields)

    @property
    def once(self) -> str:
        """A mark by which a second sending of the same form is known. One that is shown again, because what was sent
        did not do, keeps its mark: whoever does it elsewhere may have done it all the same."""
        return self._mark or str(uuid4())

    @property
    def seen(self) -> str:
        """A digest of what stands there, by which a change of somebody else's is noticed."""
        shown = json.dumps(
            {each.name: self.initial.get(each.name) for each in self.fields}, sort_keys=True, default=str
        )
        return hashlib.blake2b(shown.encode(), digest_size=12).hexdigest()

    def put_back(self, sent: Mapping[str, list[str]]) -> None:
        """Have what was sent before stand in the fields, but for passwords and the like."""
        for each in self.fields:
            texts = sent.get(each.name, [])
            if each.kind == "checks":
                self.values[each.name] = texts
            elif each.kind == "checkbox":
                self.values[each.name] = bool(texts)
            elif each.kind not in {"password", "file"} and texts:
                self.values[each.name] = texts[0]

    def text(self, name: str) -> str:
        """What was typed, without blanks around it."""
        value = self.values[name]
        return value.strip() if isinstance(value, str) else ""

    def flag(self, name: str) -> bool:
        """Whether a box is ticked."""
        return bool(self.values[name])

    def many(self, name: str) -> list[str]:
        """What is ticked of a list."""
        return list(self.values[name])

    def listed(self, name: str) -> list[str]:
        """What was typed with commas, blanks or line ends between."""
        return re.split(r"[\s,]+", self.text(name)) if self.text(name) else []

    def money(self, name: str) -> Nanos:
        """Nano-USD. Raises InvalidField."""
        return read_usd(self.text(name), name)

    def decimal(self, name: str) -> Decimal | None:
        """A decimal number; None for an empty field. Raises InvalidField."""
        text = self.text(name)
        if not text:
            return None
        if not _DECIMAL.fullmatch(text):
            raise InvalidField("Give a decimal number, such as 0.15.", field=name)
        return Decimal(text)

    def whole(self, name: str) -> int:
        """A whole number. Raises InvalidField."""
        if not _WHOLE.fullmatch(self.text(name)):
            raise InvalidField("Give a whole number, such as 60.", field=name)
        return int(self.text(name))

    def wholes(self, name: str) -> list[int]:
        """Whole numbers with commas between. Raises InvalidField."""
        parts = [part.strip() for part in self.text(name).split(",") if part.strip()]
        if len(parts) > 100 or not all(_WHOLE.fullmatch(part) for part in parts):
            raise InvalidField("Give whole numbers with commas between, such as 50, 80, 100.", field=name)
        return [int(part) for part in parts]

    def moment(self, name: str, zone: str) -> datetime | None:
        """A moment of the organisation's clocks; None for an empty field. Raises InvalidField."""
        text = self.text(name)
        if not text:
            return None
        try:
            found = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
            # At the ends of the calendar there is a moment here that is none in UTC, and could not be stored.
            found.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise InvalidField("Give a day and time, such as 2026-12-31 18:00.", field=name) from error
        return found

    def choice(self, name: str, kind: type[Kind]) -> Kind:
        """One value of an enumeration. Raises InvalidField."""
        if self.text(name) not in set(kind):
            raise InvalidField(f"Choose one of: {', '.join(kind)}.", field=name)
        return kind(self.text(name))

    @property
    def wrong(self) -> str:
        """What is wrong, for a page that does not show the form again."""
        return self.error or next(iter(self.errors.values()), "")

    def note(self, error: AppError) -> None:
        """Show an error beside its field, or above the form."""
        self.status = error.http_status
        name = (error.field or "").partition(".")[0].partition("[")[0]
        if name in self.values:
            self.errors[name] = error.message
        else:
            self.error = error.message

    def submit(self, request: HttpRequest, actor: Actor | None, act: Callable[["Form"], Done]) -> Done | None:
        """Read what was sent and do it, all of it or nothing. None where something is to be typed anew: the form then
        says what. Raises Forbidden, and NotFound for something that is not there at all."""
        mark = ""
        try:
            self._read(request)
            with transaction.atomic():
                self._check_seen(request)
                mark = _claim(request.POST.get("once", ""))
                self._mark = mark
                return act(self)
        except Forbidden:
            _release(mark)
            raise
        except AppError as error:
            _release(mark)
            if isinstance(error, NotFound) and error.field is None:
                raise
            self.note(error)
            return None

    def try_out(self, request: HttpRequest, act: Callable[["Form"], Done]) -> Done | None:
        """What ``act`` gives for what was sent, and nothing done: whatever it stores is taken back. None where
        something is to be typed anew, as the form then says. Raises Forbidden."""
        try:
            self._read(request)
            with transaction.atomic():
                found = act(self)
                transaction.set_rollback(True)
        except Forbidden:
            raise
        except AppError as error:
            self.note(error)
            return None
        return found

    def _read(self, request: HttpRequest) -> None:
        """Take what was sent, so that it stands in the fields whatever is wrong with it."""
        sent = request.POST
        wrong: InvalidField | None = None
        for each in self.fields:
            value: Any
            if each.kind == "checks":
                value = [str(one) for one in sent.getlist(each.name)][:1_000]
            elif each.kind == "checkbox":
                value = each.name in sent
            elif each.kind == "file":
                file = request.FILES.get(each.name)
                value = (getattr(file, "name", "") or "file") if file else ""
            else:
                value = str(sent.get(each.name, ""))
            self.values[each.name] = value
            try:
                for text in value if isinstance(value, list) else [value] if isinstance(value, str) else []:
                    check_text(text, each.name)
                    if len(text) > each.most:
                        raise InvalidField(f"Give at most {each.most:,} characters.", field=each.name)
                if each.is_required and not value:
                    raise InvalidField("Fill this in.", field=each.name)
            except InvalidField as error:
                # What cannot be stored need not be sent back either.
                self.values[each.name] = [] if isinstance(value, list) else str(value)[:200].replace("\x00", "")
                self.errors[each.name], wrong = error.message, wrong or error
        if wrong is not None:
            raise wrong

    def _check_seen(self, request: HttpRequest) -> None:
        if self.is_edit and request.POST.get("seen", self.seen) != self.seen:
            raise Conflict(_CHANGED)


def read_usd(text: str, name: str) -> Nanos:
    """Nano-USD as people type them into the field ``name``. Raises InvalidField."""
    if not _USD.fullmatch(text) and "," in text:
        raise InvalidField(
            "Give an amount in USD with a point before the cents, such as 10.50; a comma separates thousands only,"
            " as in 1,250.00.",
            field=name,
        )
    try:
        if not _USD.fullmatch(text):
            raise ValueError(text)
        return parse_usd(text.removeprefix("$").replace(",", ""))
    except ValueError as error:
        raise InvalidField("Give an amount in USD with at most 9 decimal places, such as 10.00.", field=name) from error


def check_email(form: Form, name: str = "email") -> str:
    """An e-mail address that was typed. Raises InvalidField."""
    try:
        validate_email(form.text(name))
    except ValidationError as error:
        raise InvalidField("Give an e-mail address, such as ada@acme.example.", field=name) from error
    return form.text(name)


def check_confirmed(request: HttpRequest, name: str) -> None:
    """Raise InvalidField unless what is to be ended for good was named."""
    if request.POST.get("confirm", "").strip() != name:
        raise InvalidField(f"Nothing was done. Type {name} exactly to confirm it.", field="confirm")


def _claim(mark: str) -> str:
    """Take a form's mark. Raises Conflict where it was taken before."""
    if find_uuid(mark) is None:
        return ""
    if not client().set(form_key(mark), "1", nx=True, ex=_ONCE_SECONDS):
        raise Conflict(_SENT_BEFORE)
    return mark


def _release(mark: str) -> None:
    if mark:
        client().delete(form_key(mark))
