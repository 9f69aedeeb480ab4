"""What was typed into a form by somebody who has to confirm first that it is them: it stands in the form again when
they come back, and they send it anew. No link does it for them.

It lies in their session, sealed: people type keys of their providers, which are typed anew.
"""

import json
from typing import Final

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest

from costhub.console.forms import Form
from costhub.lib.secrets import UnusableCredential, open_own, seal_own

#: more is not kept, such as the lines of a dataset
MOST_CHARACTERS: Final = 65_536
_KEY: Final = "typed"
_ORIGIN: Final = "typed-form"
#: marks of a form that is sent anew with marks of its own
_MARKS: Final = frozenset({"csrfmiddlewaretoken", "once", "seen"})


def keep_typed(request: HttpRequest) -> None:
    """Keep what a form was sent with, for its page; what was kept before is forgotten."""
    values = {name: texts for name, texts in request.POST.lists() if name not in _MARKS}
    text = json.dumps({"path": request.path, "values": values})
    if len(text) <= MOST_CHARACTERS:
        request.session[_KEY] = seal_own(settings.MASTER_KEYS, _ORIGIN, text)


def put_typed_back(request: HttpRequest, form: Form) -> None:
    """Have what was kept for this page stand in its form, once."""
    if _KEY not in request.session:
        return
    try:
        kept = json.loads(open_own(settings.MASTER_KEYS, _ORIGIN, request.session[_KEY]))
    except UnusableCredential:
        kept = {}  # the master key has changed meanwhile
    if kept and kept["path"] != request.path:
        return
    del request.session[_KEY]
    if kept:
        form.put_back(kept["values"])
        messages.info(request, "Nothing was done yet: here is what you typed, to be sent again.")
