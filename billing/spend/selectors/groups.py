"""What sums may be grouped by, and how each source of them spells it."""

from collections.abc import Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db.models import DateField, DateTimeField, Expression, F, Func, Model, TextField, Value
from django.db.models.functions import Cast, Coalesce, Concat

from billing.spend.core.cubes import EACH_TAG, TAG
from billing.spend.models import DayRollup, LedgerLine
from costhub.lib.errors import InvalidField

GROUPS: Final = ("model", "project", "key", "end_user", "upstream", "day", "hour", "status")
MAX_GROUPS: Final = 4

_COLUMNS: Final = {
    "model": "request_model",
    "project": "project_id",
    "key": "key_id",
    "upstream": "upstream_id",
    "status": "status",
    # The page of the cache asks by these two; nobody else may.
    "cache": "cache_state",
    "price": "price_id",
}


class _EachTag(Func):
    """A row for each tag."""

    template = "(jsonb_each_text(%(expressions)s)).key || '=' || (jsonb_each_text(%(expressions)s)).value"
    set_returning = True


def check_groups(group_by: Sequence[str]) -> list[str]:
    """The groups without repetitions. Raises InvalidField for one that there is not, or too many."""
    for name in group_by:
        if name not in GROUPS and not (name.startswith(TAG) and len(name) > len(TAG) and "\x00" not in name):
            raise InvalidField(f"group_by: give some of {', '.join(GROUPS)} or tag:<name>.", field="group_by")
    names = list(dict.fromkeys(group_by))
    if len(names) > MAX_GROUPS:
        raise InvalidField(f"group_by: give at most {MAX_GROUPS} groups.", field="group_by")
    return names


def expression_for(name: str, model: type[Model], zone: ZoneInfo, *, is_rest: bool = False) -> Expression | F:
    """A group's key on rows of the ledger, of quarters or of days. ``is_rest``: of rows that have no such tag."""
    if name in _COLUMNS:
        return F(_COLUMNS[name])
    if name == "day":
        return F("day") if model is DayRollup else _local_day(model, zone)
    if name == "hour":
        if model is DayRollup:
            # Asked for beside others only: whoever asks by the hour is not answered from days.
            return Cast(Value(None), DateTimeField())
        # The form with a zone keeps the two hours apart that autumn gives one name.
        parts: list[Any] = [Value("hour"), F(_moment(model)), Value(zone.key)]
        return Func(*parts, function="date_trunc", output_field=DateTimeField())
    if name == EACH_TAG:
        if model is LedgerLine:
            return _EachTag("tags", output_field=TextField())
        return Concat(F("name"), Value("="), F("subject"), output_field=TextField())
    if model is not LedgerLine:
        return Value("", output_field=TextField()) if is_rest else F("subject")
    if name == "end_user":
        return F("end_user")
    tag = Func(F("tags"), Value(name[len(TAG) :]), function="jsonb_extract_path_text", output_field=TextField())
    return Coalesce(tag, Value(""), output_field=TextField())


def _local_day(model: type[Model], zone: ZoneInfo) -> Cast:
    # A date, not the instant of its midnight: where midnight comes twice, both hours are of the one day.
    local = Func(Value(zone.key), F(_moment(model)), function="timezone", output_field=DateTimeField())
    return Cast(local, DateField())


def _moment(model: type[Model]) -> str:
    return "started_at" if model is LedgerLine else "quarter"
