"""``costhub admin``: keys, budgets, requests for more, spend and exports from a shell, on the generated client."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, Protocol, TypeVar, cast

import httpx2

from costhub.client.generated import AuthenticatedClient
from costhub.client.generated.api.budget_requests import (
    deny_budget_request,
    grant_budget_request,
    list_budget_requests,
)
from costhub.client.generated.api.budgets import create_budget, list_budgets, update_budget
from costhub.client.generated.api.keys import create_key, list_keys, revoke_key, rotate_key
from costhub.client.generated.api.spend import get_spend
from costhub.client.generated.models import (
    ActionEnum,
    Denial,
    Grant,
    NewBudget,
    NewKeyBody,
    PatchedBudgetChanges,
    PeriodEnum,
    Problem,
    Rotation,
    ScopeEnum,
)
from costhub.client.generated.types import UNSET

TIMEOUT_SECONDS: Final = 60.0
#: rows that one page of the API has at most
PAGE: Final = 200

Found = TypeVar("Found")


class Shown(Protocol):
    """An answer of the generated client."""

    def to_dict(self) -> dict[str, Any]:
        """As the API sent it."""


class Refused(Exception):
    """The API said no, or cannot be reached: a sentence for whoever typed the command."""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add ``admin`` and everything below it to a parser's commands, and give it."""
    admin: argparse.ArgumentParser = commands.add_parser(
        "admin",
        help="keys, budgets, spend and exports of an organisation",
        description="Do from a shell what the console does. The token is an admin token of the organisation.",
    )
    admin.add_argument("--url", help="where CostHub is (default: COSTHUB_URL, or http://127.0.0.1:8000)")
    admin.add_argument("--token", help="an admin token, cha_... (better: COSTHUB_ADMIN_TOKEN, which no list shows)")
    admin.add_argument("--json", action="store_true", help="for programs")
    subjects = admin.add_subparsers(dest="subject", required=True, metavar="SUBJECT")

    keys = _verbs(subjects, "keys", "keys of the LLM API")
    _verb(keys, "list", _list_keys, "all keys, newest first").add_argument("--project", help="a project's name or id")
    new = _verb(keys, "create", _create_key, "make a key; its secret is shown this once")
    new.add_argument("name")
    new.add_argument("--project", help="a project's name or id")
    for option, what in (("model", "a model"), ("address", "a network"), ("endpoint", "a path")):
        new.add_argument(f"--{option}", action="append", default=[], help=f"{what} that it is kept to; repeatable")
    rotate = _verb(keys, "rotate", _rotate_key, "replace a key by a new one")
    rotate.add_argument("id")
    rotate.add_argument("--grace-seconds", type=int, default=0, help="for how long the old one works on (default: 0)")
    _verb(keys, "revoke", _revoke_key, "end a key for ever").add_argument("id")

    budgets = _verbs(subjects, "budgets", "budgets")
    _verb(budgets, "list", _list_budgets, "all budgets")
    budget = _verb(budgets, "create", _create_budget, "make a budget")
    budget.add_argument("limit", help='USD, such as "100.00"')
    budget.add_argument("--scope", choices=[one.value for one in ScopeEnum], default="organization")
    budget.add_argument("--subject", help="whom it is for; without it, each subject of the scope")
    budget.add_argument("--period", choices=[one.value for one in PeriodEnum], default="month")
    budget.add_argument("--action", choices=["block", "warn"], default="block")
    change = _verb(budgets, "set", _set_budget, "change a budget's limit")
    change.add_argument("id")
    change.add_argument("limit", help='USD, such as "100.00"')

    asked = _verbs(subjects, "requests-for-more", "who asks for more in a budget")
    _verb(asked, "list", _list_asked, "all of them")
    grant = _verb(asked, "grant", _grant, "say yes, or with an amount less")
    grant.add_argument("id")
    grant.add_argument("--amount", help='USD, such as "25.00"; without it all that was asked for')
    _verb(asked, "deny", _deny, "say no").add_argument("id")

    spend = subjects.add_parser("spend", help="what was spent", description="What was spent, by groups.")
    spend.set_defaults(run=_spend)
    spend.add_argument("--group-by", help="model, project, key, end_user, tag, upstream, day or hour")
    export = subjects.add_parser("export", help="calls, or FOCUS rows, as CSV", description="Write CSV.")
    export.set_defaults(run=_export)
    export.add_argument("what", choices=("requests", "focus"))
    export.add_argument("--output", type=Path, help="a file (default: standard output)")
    for command in (spend, export):
        command.add_argument("--from", dest="from_", help="a moment or a day (default: the first of the month)")
        command.add_argument("--to", help="a moment or a day (default: now)")
    return admin


def run(options: argparse.Namespace, *, url: str, token: str) -> int:
    """Run one command. Gives the exit code: 0 done, 1 refused (a sentence on stderr says why)."""
    if not token:
        print("Give an admin token: set COSTHUB_ADMIN_TOKEN, or use --token.", file=sys.stderr)
        return 1
    client = AuthenticatedClient(
        base_url=url.rstrip("/").removesuffix("/v1"),
        token=token,
        timeout=cast(Any, httpx2.Timeout(TIMEOUT_SECONDS)),
        httpx_args={"trust_env": False},
    )
    try:
        with client:
            options.run(client, options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads it has enough, as `head` does: what is still to be written goes nowhere, at the end too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    except httpx2.HTTPError as error:
        print(f"{url} cannot be reached: {error}. Is CostHub running there?", file=sys.stderr)
        return 1
    return 0


def _verbs(subjects: Any, name: str, what: str) -> Any:
    parser = subjects.add_parser(name, help=what, description=f"{what.capitalize()}.")
    return parser.add_subparsers(dest="verb", required=True, metavar="VERB")


def _verb(verbs: Any, name: str, action: Callable[[AuthenticatedClient, Any], None], what: str) -> Any:
    parser = verbs.add_parser(name, help=what, description=f"{what.capitalize()}.")
    parser.set_defaults(run=action)
    return parser


def _list_keys(client: AuthenticatedClient, options: Any) -> None:
    rows = _all(lambda cursor: list_keys.sync(
        client=client, limit=PAGE, cursor=cursor or UNSET, project=options.project or UNSET
    ))  # fmt: skip
    _print(options, rows, "id", "name", "prefix", "project_name", "end_user", "revoked_at")


def _create_key(client: AuthenticatedClient, options: Any) -> None:
    body = NewKeyBody(
        name=options.name,
        project=options.project or UNSET,
        models=options.model,
        addresses=options.address,
        endpoints=options.endpoint,
    )
    _print(options, [_got(create_key.sync(client=client, body=body))], "id", "name", "secret")


def _rotate_key(client: AuthenticatedClient, options: Any) -> None:
    body = Rotation(grace_seconds=options.grace_seconds)
    _print(options, [_got(rotate_key.sync(options.id, client=client, body=body))], "id", "name", "secret")


def _revoke_key(client: AuthenticatedClient, options: Any) -> None:
    _print(options, [_got(revoke_key.sync(options.id, client=client))], "id", "name", "revoked_at")


def _list_budgets(client: AuthenticatedClient, options: Any) -> None:
    rows = _all(lambda cursor: list_budgets.sync(client=client, limit=PAGE, cursor=cursor or UNSET))
    _print(options, rows, *_BUDGET)


def _create_budget(client: AuthenticatedClient, options: Any) -> None:
    body = NewBudget(
        scope=ScopeEnum(options.scope),
        subject=options.subject or UNSET,
        period=PeriodEnum(options.period),
        limit=options.limit,
        action=ActionEnum(options.action),
    )
    _print(options, [_got(create_budget.sync(client=client, body=body))], *_BUDGET)


def _set_budget(client: AuthenticatedClient, options: Any) -> None:
    body = PatchedBudgetChanges(limit=options.limit)
    _print(options, [_got(update_budget.sync(options.id, client=client, body=body))], *_BUDGET)


def _list_asked(client: AuthenticatedClient, options: Any) -> None:
    rows = _all(lambda cursor: list_budget_requests.sync(client=client, limit=PAGE, cursor=cursor or UNSET))
    _print(options, rows, *_ASKED, "reason")


def _grant(client: AuthenticatedClient, options: Any) -> None:
    body = Grant(amount=options.amount or UNSET)
    _print(options, [_got(grant_budget_request.sync(options.id, client=client, body=body))], *_ASKED)


def _deny(client: AuthenticatedClient, options: Any) -> None:
    _print(options, [_got(deny_budget_request.sync(options.id, client=client, body=Denial()))], *_ASKED)


def _spend(client: AuthenticatedClient, options: Any) -> None:
    found = _got(
        get_spend.sync(
            client=client,
            group_by=options.group_by or UNSET,
            from_=options.from_ or UNSET,
            to=options.to or UNSET,
        )
    )
    if options.json:
        print(json.dumps(found.to_dict(), indent=2))
        return
    rows = [group.to_dict() | {"group": " ".join(map(str, group.group.to_dict().values()))} for group in found.data]
    rows.append(found.total.to_dict() | {"group": "total"})
    _print_table(rows, ("group", "requests", "input_tokens", "output_tokens", "list_cost", "effective_cost"))


def _export(client: AuthenticatedClient, options: Any) -> None:
    is_calls = options.what == "requests"
    path = "/api/v1/requests" if is_calls else "/api/v1/spend/focus"
    query = {"format": "csv" if is_calls else None, "from": options.from_, "to": options.to}
    given: dict[str, Any] | None = {name: value for name, value in query.items() if value}
    try:
        with ExitStack() as stack:
            file: IO[bytes] | None = None
            while given is not None:
                with client.get_httpx_client().stream("GET", path, params=given) as answer:
                    if answer.status_code != 200:
                        answer.read()
                        raise Refused(_sentence(answer))
                    chunks = answer.iter_bytes()
                    if file is None:
                        file = stack.enter_context(options.output.open("wb")) if options.output else sys.stdout.buffer
                    else:
                        chunks = _skip_line(chunks)
                    for chunk in chunks:
                        file.write(chunk)
                    # One answer has so many calls at most.
                    following = answer.links.get("next")
                given = dict(httpx2.URL(following["url"]).params) if following else None
    except OSError as error:
        if options.output is None:
            raise
        raise Refused(f"{options.output} cannot be written: {error.strerror}. Give another file.") from error


def _skip_line(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """All after the first line, which names the columns once more."""
    for chunk in chunks:
        _, end, rest = chunk.partition(b"\n")
        if end:
            yield rest
            break
    yield from chunks


_BUDGET: Final = ("id", "scope", "subject", "period", "limit", "action", "is_active")
_ASKED: Final = ("id", "asked_by", "amount", "granted", "state", "until")


def _got(answer: Found | Problem | None) -> Found:
    if isinstance(answer, Problem):
        raise Refused(answer.detail)
    if answer is None:
        raise Refused("CostHub gave an answer that this command does not know: is it of another version?")
    return answer


def _all(ask: Callable[[str | None], Any]) -> list[Shown]:
    """All pages of a list."""
    rows: list[Shown] = []
    cursor: str | None = None
    while True:
        page = _got(ask(cursor))
        rows += page.data
        cursor = page.next_
        if cursor is None:
            return rows


def _print(options: Any, rows: Sequence[Shown], *columns: str) -> None:
    shown = [row.to_dict() for row in rows]
    if options.json:
        print(json.dumps(shown, indent=2))
    else:
        _print_table(shown, columns)


def _print_table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    cells = [[*columns], *([_plain(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _plain(value: Any) -> str:
    """One line of what can be seen: names are people's, and a terminal obeys what cannot."""
    text = "" if value is None else str(value)
    return "".join(character if character.isprintable() else "?" for character in text)


def _sentence(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"CostHub answered {answer.status_code}."
