"""What narrows a view of the ledger, as the console's addresses and the API's query strings spell it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import Q

from costhub.lib.errors import InvalidField

#: A call is refused when CostHub answered it with a 4xx and sent nothing upstream; any other error is a failure.
REFUSED: Final = Q(status__gte=400, status__lt=500, attempts=[])
FAILED: Final = ~Q(status__gte=200, status__lt=400) & ~REFUSED

UNPRICED: Final = Q(error_code="model_not_priced")
#: the same in the view that is added up, which has no codes
_UNPRICED_LINES: Final = Q(unpriced__gt=0)
#: An answer that was delivered although no price version stands on its row: nobody can say what it should have cost.
UNATTRIBUTED: Final = Q(status__gte=200, status__lt=400, price_id=None)

STATUSES: Final = {
    "ok": Q(status__gte=200, status__lt=400),
    "failed": FAILED,
    "refused": REFUSED,
    "2xx": Q(status__gte=200, status__lt=300),
    "4xx": Q(status__gte=400, status__lt=500),
    "5xx": Q(status__gte=500, status__lt=600),
    "unpriced": UNPRICED,
    "unattributed": UNATTRIBUTED,
    "without_price": UNPRICED | UNATTRIBUTED,
}
#: statuses that also look at what was sent upstream, or at the price: sums know neither
BY_ROW: Final = frozenset({"failed", "refused", "unpriced", "unattributed", "without_price"})
#: what a call may have none of, beside a tag
_WITHOUT: Final = {"model": Q(request_model=""), "end_user": Q(end_user=""), "upstream": Q(upstream_id=None)}


@dataclass(frozen=True, slots=True)
class LedgerFilters:
    """What rows must have; None and empty mean any. ``end_user=""`` means the calls without one, as does
    ``without="end_user"``, which may also be ``model``, ``upstream`` or ``tag:<name>``. ``keys``: of any of these."""

    start: datetime | None = None
    end: datetime | None = None
    model: str | None = None
    project: UUID | None = None
    key: UUID | None = None
    end_user: str | None = None
    upstream: UUID | None = None
    status: str | None = None
    request_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    without: str = ""
    keys: tuple[UUID, ...] = ()

    def condition(self, *, of_lines: bool = False) -> Q:
        """The filters as a condition on rows of the ledger, or of the view of it that is added up.

        Raises InvalidField for a status, a request id or a name in ``without`` that cannot be one.
        """
        columns = {"started_at__gte": self.start, "started_at__lt": self.end, "end_user": self.end_user}
        wanted = self._shared(of_lines=of_lines) & Q(
            **{column: value for column, value in columns.items() if value is not None}
        )
        if self.tags:
            wanted &= Q(tags__contains=dict(self.tags))
        if self.without:
            wanted &= _without(self.without)
        if self.request_id:
            low, high = _id_range(self.request_id)
            # A correction belongs to the call that it corrects.
            wanted &= Q(id__gte=low, id__lte=high) | Q(corrects__gte=low, corrects__lte=high)
        return wanted

    def rollup_condition(self) -> Q:
        """All but the bounds as a condition on rollups, of a cube that is split by ``names``."""
        wanted = self._shared()
        if self.end_user is not None:
            wanted &= Q(subject=self.end_user)
        for name, value in self.tags.items():
            wanted &= Q(name=name, subject=value)
        return wanted

    def names(self) -> frozenset[str]:
        """What is filtered by, the bounds left out. ``id`` stands for what only rows know."""
        given = {
            "model": self.model is not None,
            "project": self.project is not None,
            "key": self.key is not None or bool(self.keys),
            "end_user": self.end_user is not None,
            "upstream": self.upstream is not None,
            "status": bool(self.status),
            "id": bool(self.request_id or self.without) or self.status in BY_ROW,
        }
        return frozenset(
            [*(name for name, is_given in given.items() if is_given), *(f"tag:{name}" for name in self.tags)]
        )

    def _shared(self, *, of_lines: bool = False) -> Q:
        columns = {
            "request_model": self.model,
            "project_id": self.project,
            "key_id": self.key,
            "upstream_id": self.upstream,
        }
        wanted = Q(**{column: value for column, value in columns.items() if value is not None})
        if self.keys:
            wanted &= Q(key_id__in=self.keys)
        if of_lines and self.status == "unpriced":
            return wanted & _UNPRICED_LINES
        if of_lines and self.status == "without_price":
            return wanted & (_UNPRICED_LINES | UNATTRIBUTED)
        return wanted & _status_condition(self.status) if self.status else wanted


def parse_filters(
    params: Mapping[str, str], *, start: datetime | None = None, end: datetime | None = None
) -> LedgerFilters:
    """Read ``model``, ``project``, ``key``, ``end_user``, ``upstream``, ``status``, ``id``, ``tag:<name>`` and
    ``without``.

    A parameter that is absent or empty filters nothing. Raises InvalidField naming the parameter that cannot be read.
    """
    filters = LedgerFilters(
        start=start,
        end=end,
        model=params.get("model") or None,
        project=_uuid(params, "project"),
        key=_uuid(params, "key"),
        end_user=params.get("end_user") or None,
        upstream=_uuid(params, "upstream"),
        status=params.get("status") or None,
        request_id=(params.get("id") or "").strip().lower() or None,
        tags={name[4:]: value for name, value in params.items() if name.startswith("tag:") and name[4:] and value},
        without=params.get("without", ""),
    )
    filters.condition()
    for name, value in params.items():
        if "\x00" in value or "\x00" in name:
            raise InvalidField("A filter cannot hold the character NUL.", field=name.replace("\x00", ""))
    return filters


def _status_condition(text: str) -> Q:
    if text in STATUSES:
        return STATUSES[text]
    # 0: of a worker that died
    if text == "0" or (text.isascii() and text.isdigit() and len(text) == 3):
        return Q(status=int(text))
    raise InvalidField(f"status: give {', '.join(STATUSES)}, or a number such as 429.", field="status")


def _without(name: str) -> Q:
    if name.startswith("tag:") and name != "tag:":
        return ~Q(tags__has_key=name[4:])
    if name not in _WITHOUT:
        raise InvalidField(f"without: give {', '.join(_WITHOUT)}, or tag:<name>.", field="without")
    return _WITHOUT[name]


def _id_range(text: str) -> tuple[UUID, UUID]:
    """The first and last id that begin with the digits given: ids are found by their beginning too."""
    digits = text.replace("-", "")
    if not 4 <= len(digits) <= 32 or any(digit not in "0123456789abcdef" for digit in digits):
        raise InvalidField(
            "id: paste a request id, or at least the first 4 of its hexadecimal digits, as in 019ab3f2.", field="id"
        )
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def _uuid(params: Mapping[str, str], name: str) -> UUID | None:
    text = params.get(name)
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise InvalidField(f"{name}: give the id of a {name}, as the list of {name}s shows it.", field=name) from None
