"""Whatever changes something of an organisation writes its entry into the audit log, in the transaction of the change.

Every method of the management API that is not a look, and every form of the console, is followed through the functions
that it names, down to the one that appends entries. A new one that does not get there fails here, unless the table
says why it need not. That entry and change are of one transaction is ``ATOMIC_REQUESTS``, from which the views below
are excepted by name.
"""

import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import pytest
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver, resolve

from costhub.console import urls as console
from tenants.actions.audit import record
from tests.console.test_forged_posts import NEEDS
from tests.tenants.api.endpoints import Endpoint, endpoints

OURS: Final = ("billing.", "costhub.", "proxy.", "tenants.")
LOOKS: Final = "it only looks and computes"
TRIES: Final = "it sends one message or call, as its own jobs do, and sets nothing"
STRIPES: Final = "it asks Stripe for the address of a page; what is done there comes back as an event"
GONE: Final = "the log goes with its organisation, which was a demo"
#: methods of the API that write no entry, and why
UNAUDITED: Final = {
    "POST /billing-account/portal": STRIPES,
    "POST /channels/{id}/test": TRIES,
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
