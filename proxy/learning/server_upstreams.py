"""The upstream by which an organisation reaches one of our own servers of models."""

from typing import Any

from django.conf import settings
from django.db.models import Q

from costhub.lib.origins import parse_origin
from proxy.learning.upstream_credentials import make_credential
from tenants.access import Actor
from tenants.actions.upstreams import create_upstream
from tenants.choices import UpstreamKind
from tenants.models import Upstream


def find_server_upstream(actor: Actor, name: str, url: str, **terms: Any) -> Upstream:
    """The organisation's upstream for the server at ``url``, made with this name and ``create_upstream``'s ``terms``
    where there is none. Raises as that does."""
    # Something else may be behind the same port, at another path.
    is_it = Q(base_url=url.rstrip("/")) | Q(name=name)
    found = Upstream.objects.filter(is_it, org=actor.org, origin=parse_origin(url.rstrip("/")).origin).first()
    if found is not None:
        return found
    return create_upstream(
        actor=actor,
        name=name,
        kind=UpstreamKind.OPENAI_COMPATIBLE,
        base_url=url,
        credential=make_credential(actor.org.pk, settings.KEY_PEPPER),
        **terms,
    )
