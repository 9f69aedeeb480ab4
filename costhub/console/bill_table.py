"""The console's form that holds a table of any provider's against the ledger, as ``POST /upstream-bills`` does."""

from typing import Final

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from billing.spend.core.upstream_bill import Finding, Reconciled, read_table, reconcile_bill
from billing.spend.selectors.upstream_bill import MOST_DAYS, find_used
from costhub.console.bill_days import list_rows
from costhub.console.forms import Field, Form
from costhub.console.pages import show_form
from costhub.console.sign_in import org_page, works_when_read_only
from costhub.lib.errors import InvalidField
from tenants.access import Actor, access_row
from tenants.choices import Permission
from tenants.models import Upstream
from tenants.selectors import list_upstreams

_MOST_BYTES: Final = 900_000
#: of what differs
_MOST_SHOWN: Final = 200
#: what the table may call otherwise, and how that is asked for
_COLUMNS: Final = {
    "day": "Its column of days",
    "model": "Of models",
    "cost": "Of money, USD",
    "input_tokens": "Of input tokens",
    "output_tokens": "Of output tokens",
}
_LEAD: Final = (
    "A CSV that the provider gives, with a row a day and model, of money, tokens or both. It is compared and not kept."
)


@require_http_methods(["GET", "POST"])
@org_page
@works_when_read_only
def bill_table(request: HttpRequest, actor: Actor, upstream_id: str) -> HttpResponse:
    """The form, and below it what was found. Nothing is stored."""
    actor.check(Permission.READ_MONEY)
    row = access_row(list_upstreams(actor), actor, upstream_id)
    fields = [
        Field("file", "CSV", "file", is_required=True, help=f"Up to {_MOST_BYTES // 1_000} kB and {MOST_DAYS} days."),
        *(Field(name, label, placeholder=name, most=200) for name, label in _COLUMNS.items()),
    ]
    form, found = Form(fields), None
    if request.method == "POST":
        found = form.try_out(request, lambda form: _compare(request, actor, row, form))
    differing = [match for match in found.matches if match.finding is not Finding.AGREES] if found else []
    return show_form(
        request,
        actor,
        "upstreams",
        row.name,
        form,
        f"A bill of {row.name}",
        template="console/bill_table.html",
        back=reverse("upstream", args=[actor.org.slug, row.pk]),
        lead=_LEAD,
        submit_label="Compare",
        found=found,
        differing=len(differing),
        rows=list_rows(actor, row, differing, _MOST_SHOWN),
    )


def _compare(request: HttpRequest, actor: Actor, row: Upstream, form: Form) -> Reconciled:
    file = request.FILES.get("file")
    assert isinstance(file, UploadedFile), "the form asks for it"
    if (file.size or 0) > _MOST_BYTES:
        raise InvalidField(f"Give at most {_MOST_BYTES // 1_000} kB at once: fewer days or models.", field="file")
    try:
        text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidField("This is no CSV in UTF-8: save it as that.", field="file") from error
    columns = {name: form.text(name) for name in _COLUMNS if form.text(name)}
    try:
        bill = read_table(text, columns)
        return reconcile_bill(bill, find_used(actor, (day for day, _ in bill), row.pk))
    except InvalidField as error:
        # The reader knows no form: it says in which line, or which column is meant.
        place = error.field or ""
        where = f"{place.removeprefix('csv ').capitalize()}: " if place.startswith("csv line") else ""
        name = place.removeprefix("columns.")
        raise InvalidField(f"{where}{error.message}", field=name if name in _COLUMNS else "file") from error
