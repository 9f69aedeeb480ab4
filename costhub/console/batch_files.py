"""The console's form that hands in a batch, and the download of a batch's files.

What it does is what a caller of ``/v1/files`` and ``/v1/batches`` does, with a key of theirs: so the same bounds hold,
the same money is held, and the same words refuse.
"""

import asyncio
import hashlib
import json
from typing import Any, Final, cast

import httpx2
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods

from costhub.console.forms import Field, Form
from costhub.console.pages import show_form
from costhub.console.sign_in import org_page
from costhub.lib.errors import AppError, Forbidden, InvalidField, NotFound
from costhub.lib.net import Fetched
from costhub.lib.objects import Objects
from costhub.lib.secrets import digest_of
from proxy.batches.create import ENDPOINTS
from proxy.batches.ids import object_path
from proxy.batches.oversight import access_batch, list_files_of
from proxy.batches.sealed_files import SealedFiles
from proxy.learning.asking import check_own_key, gate_to_proxy
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.choices import Permission
from tenants.models import ApiKey
from tenants.sealed_rows import Sealer

#: what a page takes of a file: the body of a form is bounded, and holds a little beside it
MOST_BYTES: Final = settings.MAX_PAGE_BODY_BYTES - 64 * 1024
#: a file is read and priced line by line before the proxy answers; pages wait for a statement no longer
_SECONDS: Final = 25.0
_PART_BYTES: Final = 256 * 1024
_LEAD: Final = (
    "Many calls that nobody waits for, as one file: a JSON object a line, with custom_id, method, url and body. What all"
    " of them may cost is held at once, and what they do not cost is free again."
)


@require_http_methods(["GET", "POST"])
@org_page
def new_batch(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a batch."""
    actor.check(Permission.READ_MONEY)
    actor.check(Permission.WRITE_KEYS)
    megabytes = MOST_BYTES // 1_000_000
    fields = [
        Field(
            "file",
            "File of calls",
            "file",
            is_required=True,
            help=f"JSONL, up to {megabytes} MB. A larger one is handed in by the API: POST /v1/files, then /v1/batches.",
        ),
        Field("endpoint", "Endpoint of its lines", "select", choices=[(name, name) for name in ENDPOINTS], most=100),
        Field(
            "api_key",
            "API key that calls",
            "password",
            help="Its budgets, limits and models hold, and its project pays. It is used for this, and not kept.",
            is_required=True,
            most=100,
        ),
    ]
    form = Form(fields, {"endpoint": next(iter(ENDPOINTS))})
    if request.method == "POST":
        name = form.submit(request, actor, lambda form: _hand_in(request, actor, form))
        if name is not None:
            return redirect("batch", slug=actor.org.slug, batch_id=name)
    return show_form(request, actor, "batches", "Batches", form, "New batch", submit_label="Hand it in", lead=_LEAD)


@require_GET
@org_page
def download(request: HttpRequest, actor: Actor, batch_id: str, part: str) -> HttpResponse:
    """A file of a batch, for who may make a key of its project and could read it with that; the audit log has it."""
    actor.check(Permission.READ_MONEY)
    batch = access_batch(actor, batch_id)
    actor.check(Permission.WRITE_KEYS, batch.project_id)
    actor.check_fresh()
    file = next((each.file for each in list_files_of(batch) if each.part == part), None)
    if file is None:
        raise NotFound("There is no such file any more.")
    sealer = Sealer(str(actor.org.pk), bytes(actor.org.data_key))
    stored, path = SealedFiles(Objects(settings.FILES_URL), sealer), object_path(file.org_id, file.pk)
    if file.bytes:
        try:
            # Before the answer has begun: what the store has lost is told as such.
            asyncio.run(stored.read(path, 0, 1))
        except FileNotFoundError as error:
            raise NotFound("There is no such file any more.") from error
    record(actor, "exported", batch, part=part, bytes=file.bytes)
    answer = StreamingHttpResponse(stored.stream(path, _PART_BYTES), content_type="application/jsonl")
    answer.headers["Content-Disposition"] = f'attachment; filename="{batch.pk}-{part}.jsonl"'
    # Pages know one kind of answer; what is sent piece by piece has all that they use of it.
    return cast(HttpResponse, answer)


def _hand_in(request: HttpRequest, actor: Actor, form: Form) -> str:
    """The batch's name. Raises InvalidField with the proxy's own words."""
    file, api_key = request.FILES.get("file"), form.text("api_key")
    assert isinstance(file, UploadedFile), "the form asks for it"
    if form.text("endpoint") not in ENDPOINTS:
        raise InvalidField("Choose one of the list.", field="endpoint")
    if not file.size:
        raise InvalidField("The file is empty: give one with a JSON object a line.", field="file")
    check_own_key(actor, api_key)
    key = ApiKey.objects.filter(org=actor.org, digest=digest_of(api_key, settings.KEY_PEPPER)).first()
    if key is None:
        raise InvalidField("There is no such key.", field="api_key")
    actor.check(Permission.WRITE_KEYS, key.project_id)
    name, content = file.name or "calls.jsonl", file.read()
    upload = httpx2.Request(
        "POST",
        f"{settings.PROXY_URL}/v1/files",
        data={"purpose": "batch"},
        files={"file": (name, content, "application/jsonl")},
    )
    # Whoever sends the form again, because no answer came, has one batch; with another file it is another one.
    said = [form.once, name, hashlib.sha256(content).hexdigest(), form.text("endpoint")]
    once = hashlib.sha256(json.dumps(said).encode()).hexdigest()
    stored = _ask("files", api_key, upload.read(), upload.headers["content-type"], f"{once}-file")
    asked = {"input_file_id": stored["id"], "endpoint": form.text("endpoint"), "completion_window": "24h"}
    made = _ask("batches", api_key, json.dumps(asked).encode(), "application/json", once)
    record(
        actor,
        "created",
        access_batch(actor, str(made["id"])),
        file=name[:200],
        endpoint=form.text("endpoint"),
        key=key.pk,
    )
    return str(made["id"])


def _ask(path: str, api_key: str, content: bytes, content_type: str, once: str) -> dict[str, Any]:
    headers = {
        "authorization": f"Bearer {api_key}",
        "content-type": content_type,
        "idempotency-key": once,
    }
    try:
        answer = gate_to_proxy().fetch_now(
            "POST",
            f"{settings.PROXY_URL}/v1/{path}",
            headers=headers,
            content=content,
            timeout_seconds=_SECONDS,
        )
    except Forbidden:
        raise
    except AppError as error:
        raise InvalidField(f"The proxy does not answer: {error.message}", field="file") from error
    return _read(answer)


def _read(answer: Fetched) -> dict[str, Any]:
    try:
        body = json.loads(answer.body)
        if answer.status == 200:
            return cast(dict[str, Any], body)
        message = str(body["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = f"The proxy answered {answer.status}."
    raise InvalidField(message[:500], field="api_key" if answer.status in {401, 403} else "file")
