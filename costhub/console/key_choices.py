"""Keys as forms ask for them: by name, of which some are offered while one types. There may be ten thousand."""

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from costhub.console.sign_in import org_page
from costhub.lib.errors import InvalidField
from tenants.access import Actor, find_uuid
from tenants.choices import Permission
from tenants.selectors import list_keys

OFFERED: Final = 20


@require_GET
@org_page
def key_choices(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The first keys, by name, that have what is typed in theirs: options of a list."""
    actor.check(Permission.READ_MONEY)
    text = request.GET.get("key", "").replace("\x00", "").strip()[:200]
    rows = list_keys(actor).filter(name__icontains=text).order_by("name", "pk")
    return render(request, "console/_key_choices.html", {"names": list(rows.values_list("name", flat=True)[:OFFERED])})


def find_key(actor: Actor, text: str) -> tuple[str, str]:
    """The id and the name of the key that an address asks for by either; what is an id already stays one, with the
    name that it has. Raises InvalidField for a name that no key has, or several."""
    text = text.strip()
    if not text or "\x00" in text:
        return "", ""
    if find_uuid(text):
        return text, list_keys(actor).filter(pk=text).values_list("name", flat=True).first() or ""
    found = list(list_keys(actor).filter(name=text).values_list("pk", flat=True)[:2])
    if len(found) != 1:
        many = "Several keys are called so: open the one that you mean, and go on to its calls."
        raise InvalidField(f"key: {many if found else 'give the name of a key, whole, or its id.'}", field="key")
    return str(found[0]), text
