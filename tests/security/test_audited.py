"""Whatever changes something of an organisation writes its entry into the audit log, in the transaction of the change.

Every address of the URLconf that takes a method that is no look (the management API, the console's forms, a directory's
SCIM, an operator's pages, a person's account, and what lies below ``/v1`` beside calls) is followed through the
functions that it names, down to the one that appends entries. A new one that does not get there fails here, unless the
table says why it need not. What a directory and an operator do is also done, and its entries counted. That entry and
change are of one transaction is ``ATOMIC_REQUESTS``, from which the views below are excepted by name.
"""

import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import pytest
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, resolve

from costhub.console import urls as console
from proxy import paths
from proxy.batches import api as batches_api
from tenants.access import org_scope
from tenants.actions.audit import record
from tenants.actions.tokens import create_token
from tenants.choices import Role
from tenants.models import AuditEntry
from tests.console.client import Visit
from tests.console.test_forged_posts import NEEDS
from tests.console.test_staff import make_operator
from tests.tenants.api.endpoints import Endpoint, endpoints
from tests.tenants.api.test_scim import Directory
from tests.world import World, close_scopes

OURS: Final = ("billing.", "costhub.", "proxy.", "tenants.")
LOOKS: Final = "it only looks and computes"
TRIES: Final = "it sends one message or call, as its own jobs do, and sets nothing"
STRIPES: Final = "it asks Stripe for the address of a page; what is done there comes back as an event"
GONE: Final = "the log goes with its organisation, which was a demo"
#: methods of the API that write no entry, and why
UNAUDITED: Final = {
    "POST /billing-account/portal": STRIPES,
    "POST /channels/{id}/test": TRIES,
    "POST /remove-demo": GONE,
    "POST /roi": LOOKS,
    "POST /route-playground": LOOKS,
    "POST /system-prompt-preview": LOOKS,
    "POST /upstream-bills": LOOKS,
    "POST /upstreams/{id}/test": TRIES,
    "POST /wallet/checkout": STRIPES,
    "POST /what-if": LOOKS,
}
#: forms of the console, by the name of their address
UNAUDITED_FORMS: Final = {
    "buy-credits": STRIPES,
    "remove-demo": GONE,
    "test-channel": TRIES,
    "test-upstream": TRIES,
    "visit-portal": STRIPES,
}
_SELF: Final = "somebody's own account, which is no organisation's: it is told by mail"
_IN: Final = "signing in and out changes no organisation; who came in from where is the person's list of sessions"
#: views outside of the API and of an organisation's forms that take more than looks and write no entry, and why. A name
#: that ends in a dot is a package
UNAUDITED_VIEWS: Final = {
    "allauth.account.": _SELF,
    "allauth.mfa.": _SELF,
    "allauth.socialaccount.": _IN,
    "allauth.usersessions.": _SELF,
    "billing.invoices.api.webhooks.receive_stripe": "Stripe's own word, kept as it came; what it changes has entries",
    "costhub.console.alerts.unsubscribe": "a person's own mails",
    "costhub.console.alerts.choose_mails": "a person's own mails",
    "costhub.console.bill_table.bill_table": LOOKS,
    "costhub.console.hints.add_v1": "it says that /v1 was left out",
    "costhub.console.learning.reckon": LOOKS,
    "costhub.console.plans.new_plan": "a version of a plan is no organisation's; which one each has is in its own log",
    "costhub.console.routes.try_route": LOOKS,
    "costhub.console.sign_in.home": "it leads to somewhere else",
    "costhub.console.sign_in.reauthenticate": _IN,
    "costhub.console.sign_in.sign_in": _IN,
    "costhub.console.sign_in.sign_out": _IN,
    "costhub.console.sign_in.find_sign_on_page": _IN,
    "costhub.console.single_sign_on.refuse_logout": _IN,
    "costhub.console.single_sign_on.take_assertion": _IN,
    "costhub.ops.operations.healthz": LOOKS,
    "costhub.ops.operations.readyz": LOOKS,
    "costhub.ops.operations.show_metrics": LOOKS,
    "tenants.api.document.show_document": LOOKS,
    "tenants.api.problems.answer_unknown_path": LOOKS,
    "tenants.api.scim_groups.GroupsView.post": "roles are what groups there are: it refuses",
    "tenants.api.scim_groups.GroupView.delete": "roles are what groups there are: it refuses",
    "tenants.api.scim_groups.GroupView.post": "roles are what groups there are: it refuses",
}
_CALLS: Final = (
    "a key's calls and what belongs to them: the ledger has a row of each, and its content is the caller's own"
)
#: below /v1, beside calls: no console's or API's change of an organisation
UNAUDITED_CALLS: Final = {
    "DELETE chat/completions/{}": _CALLS,
    "DELETE responses/{}": _CALLS,
    "POST chat/completions/{}": _CALLS,
    "POST costhub/estimate": LOOKS,
    "POST messages/count_tokens": LOOKS,
    "POST realtime/*": LOOKS,
    "POST responses/input_tokens": LOOKS,
    "POST responses/{}/cancel": _CALLS,
    "DELETE files/{}": _CALLS,
    "POST batches": _CALLS,
    "POST batches/{}/cancel": _CALLS,
    "POST files": _CALLS,
    "POST messages/batches": _CALLS,
    "POST messages/batches/{}/cancel": _CALLS,
    "DELETE messages/batches/{}": _CALLS,
}
#: outside of the request's transaction: they wait for others, and the one that writes has its own
NOT_ATOMIC: Final = {
    "costhub.console.live.live",
    "costhub.console.sign_in.sign_in",
    "costhub.console.status_page.status_page",
    "costhub.console.upstreams.test_upstream",
    "costhub.ops.operations.healthz",
    "costhub.ops.operations.readyz",
    "costhub.ops.operations.show_metrics",
    "tenants.api.upstreams.UpstreamTestView",
}


def names_of(code: CodeType) -> set[str]:
    """Every name that a function uses, and those inside of it."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= names_of(constant)
    return found


def called_by(function: FunctionType, owner: type | None) -> Iterator[tuple[FunctionType, type | None]]:
    """Functions of ours that a function names: its module's, those of modules that it names, methods of its class."""
    names = names_of(function.__code__)
    known = [function.__globals__.get(name) for name in names]
    known += [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    for value in list(known):
        if isinstance(value, ModuleType) and value.__name__.startswith(OURS):
            known += [getattr(value, name, None) for name in names]
        if inspect.isclass(value) and value.__module__.startswith(OURS):
            yield from ((made, value) for name in (*names, "__init__") if (made := _function(value, name)))
    for value in known:
        plain = inspect.unwrap(value) if callable(value) and not inspect.isclass(value) else None
        if isinstance(plain, FunctionType) and plain.__module__.startswith(OURS):
            yield plain, None
    if owner is not None:
        yield from ((found, owner) for name in names if (found := _function(owner, name)))


def _function(owner: type, name: str) -> FunctionType | None:
    value = inspect.getattr_static(owner, name, None)
    value = getattr(value, "__func__", value.fget if isinstance(value, property) else value)
    is_ours = isinstance(value, FunctionType) and value.__module__.startswith(OURS)
    return value if is_ours else None


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def reaches(function: Any, goal: FunctionType, owner: type | None = None) -> bool:
    """Whether a function comes to ``goal`` by what it names."""
    first: Any = function.__func__ if isinstance(function, MethodType) else inspect.unwrap(function)
    waiting, seen = [(first, owner)], {first}
    while waiting:
        current, current_owner = waiting.pop()
        if current is goal:
            return True
        for found in called_by(current, current_owner):
            if found[0] not in seen:
                seen.add(found[0])
                waiting.append(found)
    return False


def handler_of(endpoint: Endpoint) -> tuple[Any, type]:
    """The method that answers an endpoint, and its class."""
    view = resolve("/api/v1" + endpoint.path_of("0").replace("{increase_id}", "0")).func
    owner: type = view.cls  # type: ignore[attr-defined]
    verb = endpoint.method.lower()
    return getattr(owner, getattr(view, "actions", {}).get(verb, verb)), owner


#: what appends an entry
RECORD: Final[Any] = record
WRITES: Final = [endpoint for endpoint in endpoints() if endpoint.method != "GET"]
FORMS: Final = {str(found.name): found for found in console.urlpatterns if isinstance(found, URLPattern)}


@pytest.mark.parametrize("endpoint", WRITES, ids=str)
def test_a_method_of_the_api_writes_its_entry(endpoint: Endpoint) -> None:
    method, owner = handler_of(endpoint)
    assert reaches(method, RECORD, owner) != (str(endpoint) in UNAUDITED), UNAUDITED.get(str(endpoint))


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_a_form_of_the_console_writes_its_entry(name: str) -> None:
    view = FORMS[name].callback
    assert reaches(view, RECORD) != (name in UNAUDITED_FORMS)


METHODS: Final = ("post", "put", "patch", "delete")


def find_writers() -> Iterator[tuple[str, str, Any, Any]]:
    """(address, name of what answers, function, class) of whatever outside of the API, and of an organisation's forms
    above, may take a method that is no look. A page that a test of forms has found to take none is left out."""
    for address, entry in walk_urls(get_resolver()):
        if address.startswith("api/v1/") and address != "api/v1/stripe/webhook":
            continue
        view = entry.callback
        owner = getattr(view, "cls", getattr(view, "view_class", None))
        if owner is None:
            plain = inspect.unwrap(view)
            if entry.name not in NEEDS:
                yield address, f"{plain.__module__}.{plain.__qualname__}", view, None
            continue
        for method in METHODS:
            function = getattr(owner, getattr(view, "actions", {}).get(method, method), None)
            if function is not None:
                yield address, f"{owner.__module__}.{owner.__qualname__}.{method}", function, owner


def walk_urls(resolver: URLResolver, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Every pattern with its whole address."""
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from walk_urls(entry, before + str(entry.pattern))
        else:
            assert isinstance(entry, URLPattern)
            yield before + str(entry.pattern), entry


def reason_of(name: str) -> str:
    """The key of the table that says why a view needs no entry; empty where none does."""
    return next(
        (known for known in UNAUDITED_VIEWS if name == known or (known.endswith(".") and name.startswith(known))), ""
    )


def test_whatever_takes_more_than_looks_writes_its_entry(world: World) -> None:
    """The pages among them are asked: who answers 405 to each method takes looks alone."""
    used, silent = set(), []
    ada = Visit(world.ada).client
    for address, name, function, owner in find_writers():
        if reaches(function, RECORD, owner):
            assert not reason_of(name), f"{name} does write one"
        elif reason := reason_of(name):
            used.add(reason)
        elif owner is not None or not takes_looks_alone(ada, address):
            silent.append(f"{name} at {address}")
    assert silent == []
    assert UNAUDITED_VIEWS.keys() - used == set()


def takes_looks_alone(client: Client, address: str) -> bool:
    path = re.sub(r"<(?:\w+:)?(\w+)>", lambda part: {"slug": "acme", "form": "pdf"}.get(part[1], "1"), address)
    statuses = set()
    for method in METHODS:
        close_scopes()
        statuses.add(client.generic(method.upper(), f"/{path}").status_code)
    return statuses == {405}


def test_what_lies_below_v1_beside_calls_is_said(world: World) -> None:
    handlers = {f"{path.method} {'/'.join(path.parts)}": path.handler for path in paths._PATHS if path.method != "GET"}
    written = {name for name, handler in handlers.items() if reaches(handler, RECORD)}
    assert written == {"POST costhub/requests/{}/feedback"}
    of_batches = {name for name in UNAUDITED_CALLS if {"files", "batches"} & set(name.split(" ")[1].split("/"))}
    assert UNAUDITED_CALLS.keys() == (handlers.keys() - written) | of_batches
    told = {
        f"{method} {what}{'/{}' if has_name else ''}{f'/{verb}' if verb else ''}"
        for (what, has_name, verb), methods in batches_api._METHODS.items()
        for method in methods.split(" or ")
        if method != "GET"
    }
    assert of_batches == told


def count_entries(world: World) -> int:
    with org_scope(world.acme.org.pk):
        return AuditEntry.objects.filter(org=world.acme.org).count()


def test_each_change_of_a_directory_has_its_entry(world: World) -> None:
    with org_scope(world.acme.org.pk):
        directory = Directory(create_token(actor=world.acme.owner, name="directory", role=Role.ADMIN).secret)
    zoe = {"userName": "zoe@acme.example"}
    counts, path = [count_entries(world)], ""

    def send(method: str, where: str, body: Any = None) -> Any:
        status, answer = directory.send(method, where, body)
        assert status in {200, 201, 204}, answer
        counts.append(count_entries(world))
        return answer

    path = f"/Users/{send('POST', '/Users', zoe)['id']}"
    send("PUT", path, zoe | {"active": False})
    send("PATCH", path, {"Operations": [{"op": "replace", "path": "active", "value": True}]})
    members = [{"value": path.removeprefix("/Users/")}]
    send("PATCH", "/Groups/developer", {"Operations": [{"op": "add", "path": "members", "value": members}]})
    send("DELETE", path)
    send("GET", "/Users")
    assert [after - before for before, after in pairwise(counts)] == [1, 1, 1, 1, 1, 0]


def test_each_act_of_an_operator_has_its_entry(world: World) -> None:
    Visit(world.ada).post("/o/acme/settings/visits", {"allow": "yes"})
    olga, counts = Visit(make_operator()), [count_entries(world)]
    for act in ("close", "reopen", "visit", "leave"):
        olga.post(f"/staff/{world.acme.org.pk}/{act}", {"reason": "They asked for it.", "confirm": "acme"})
        counts.append(count_entries(world))
    # Who closes or opens says why, and the organisation has changed.
    assert [after - before for before, after in pairwise(counts)] == [2, 2, 1, 1]


def views(resolver: URLResolver) -> Iterator[Any]:
    """What answers, below every address."""
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from views(entry)
        else:
            assert isinstance(entry, URLPattern)
            yield entry.callback


def test_all_of_it_is_one_transaction() -> None:
    assert settings.DATABASES["default"]["ATOMIC_REQUESTS"] is True
    found = set()
    for view in views(get_resolver()):
        if getattr(view, "_non_atomic_requests", None):
            plain = getattr(view, "cls", inspect.unwrap(view))
            found.add(f"{plain.__module__}.{plain.__qualname__}")
    assert found == NOT_ATOMIC


def test_one_that_writes_nothing_is_found_out() -> None:
    from tenants.actions.keys import revoke_key
    from tenants.selectors import list_keys

    assert reaches(revoke_key, RECORD)
    assert not reaches(list_keys, RECORD)
