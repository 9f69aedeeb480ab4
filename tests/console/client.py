"""The console as a browser without scripts uses it."""

import re
from html import unescape
from typing import Any, cast

from asgiref.sync import async_to_sync
from django.http import HttpResponse, StreamingHttpResponse

from tenants.access import org_scope
from tenants.models import User
from tests.world import close_scopes, make_client


class Visit:
    """A signed-in person. Each request starts and ends with no organisation open, as in ``tests.world.Api``."""

    def __init__(self, user: User | None) -> None:
        self.client = make_client()
        if user is not None:
            self.client.force_login(user)

    def get(self, path: str, **headers: str) -> HttpResponse:
        """GET."""
        return self._send("get", path, headers=headers)

    def post(self, path: str, values: dict[str, Any] | None = None) -> HttpResponse:
        """POST a form."""
        return self._send("post", path, values or {})

    def submit(self, path: str, **values: Any) -> HttpResponse:
        """Open a form and send it as it stands, with ``values`` typed over; None unticks a box."""
        filled = read_form(self.get(path).content.decode())
        return self.post(path, {name: value for name, value in {**filled, **values}.items() if value is not None})

    def press(self, page: str, address: str, **values: str) -> HttpResponse:
        """Press the button of ``page`` that leads to ``address``, with ``values`` typed beside it."""
        return self.post(address, read_button(self.get(page).content.decode(), address) | values)

    def _send(self, method: str, *parts: Any, **options: Any) -> HttpResponse:
        close_scopes()
        try:
            response: HttpResponse = getattr(self.client, method)(*parts, **options)
        finally:
            close_scopes()
        return response


def read_form(html: str) -> dict[str, Any]:
    """What stands in the page's form of fields."""
    found = re.search(r'<form class="card form"(.*?)</form>', html, re.DOTALL)
    assert found is not None, "there is no form"
    return _read_fields(found[1])


def read_forms(html: str, path: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Of each of a page's forms the method, the address and what stands in it, its buttons among that. ``path``: the
    page's own."""
    forms = []
    for head, body in re.findall(r"<form\b([^>]*)>(.*?)</form>", html, re.DOTALL):
        attributes = {name: unescape(value) for name, value in re.findall(r'(\w+)="([^"]*)"', head)}
        action = attributes.get("action", "").partition("#")[0].partition("?")[0] or path
        buttons = dict.fromkeys(re.findall(r'<button\b[^>]*\sname="(\w+)"', body, re.DOTALL), "")
        forms.append((attributes.get("method", "get"), action, buttons | _read_fields(body)))
    return forms


def _read_fields(form: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for tag in re.findall(r"<input\b[^>]*>", form, re.DOTALL):
        attributes = {name: unescape(value) for name, value in re.findall(r'(\w+)="([^"]*)"', tag)}
        name = attributes.get("name", "")
        if attributes.get("type") == "checkbox":
            if re.search(r"\bchecked\b", tag):
                values[name] = [*values.get(name, []), attributes["value"]]
        elif name:
            values[name] = attributes.get("value", "")
    for name, body in re.findall(r'<select\b[^>]*name="(\w+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        options = re.findall(r'<option value="([^"]*)"( selected)?', body)
        chosen = next((value for value, mark in options if mark), options[0][0] if options else "")
        values[name] = unescape(chosen)
    for name, body in re.findall(r'<textarea\b[^>]*name="(\w+)"[^>]*>(.*?)</textarea>', form, re.DOTALL):
        values[name] = unescape(body)
    values.pop("csrfmiddlewaretoken", None)
    return values


def read_button(html: str, address: str) -> dict[str, str]:
    """What the first button of a page that leads to ``address`` sends, hidden."""
    found = re.search(rf'<form [^>]*action="{re.escape(address)}"(.*?)</form>', html, re.DOTALL)
    assert found is not None, f"no button leads to {address}"
    hidden = re.findall(r'type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', found[1])
    return {name: unescape(value) for name, value in hidden if name != "csrfmiddlewaretoken"}


def text_of(response: HttpResponse) -> str:
    """The words of a page, one space between them."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def rows_of(response: HttpResponse) -> list[str]:
    """The words of each row of the page's first list."""
    body = re.search(r"<tbody>(.*?)</tbody>", response.content.decode(), re.DOTALL)
    parts = re.findall(r"<tr>(.*?)</tr>", body[1], re.DOTALL) if body else []
    return [" ".join(unescape(re.sub(r"<[^>]+>", " ", part)).split()) for part in parts]


def read_stream(response: HttpResponse) -> str:
    """All that a page sends in parts, as text, without the mark that says UTF-8."""
    assert response.status_code == 200
    streamed = cast(StreamingHttpResponse, response)

    async def read() -> bytes:
        return b"".join([part async for part in streamed])

    try:
        return async_to_sync(read)().decode("utf-8-sig")
    finally:
        close_scopes()


def refresh(row: Any) -> None:
    """Read a tenant's row again: a visit leaves no organisation open."""
    with org_scope(row.org_id if hasattr(row, "org_id") else row.pk):
        row.refresh_from_db()


def error_of(response: HttpResponse) -> str:
    """What the page says is wrong."""
    found = re.findall(r'role="alert"[^>]*>(.*?)</p>', response.content.decode(), re.DOTALL)
    return " ".join(unescape(" ".join(found)).split())
