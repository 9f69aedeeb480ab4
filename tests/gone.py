"""What is committed stays in the database of the run, where jobs, sweeps and workers would find it in later tests: the
organisations of a test that is over are gone for whoever looks for work over all organisations.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from django.db import connections
from django.db.backends.utils import CursorWrapper

from billing.invoices.models import StripeEvent
from costhub.lib import clock
from tenants.access import list_org_ids, org_scope
from tenants.models import Organization
from tests.world import World, make_world

#: the shard of organisations whose test is over
GONE: Final = 32_000

# Every function by which the product looks over all organisations tells whose rows it has found. Kept are the product's
# own words, rights and arguments; what migrations define tomorrow is covered by itself.
_WAYS_ACROSS: Final = """
    SELECT pg_get_functiondef(oid), prosrc,
           (SELECT string_agg(quote_ident(name), ', ' ORDER BY place)
            FROM unnest(proargnames, proargmodes) WITH ORDINALITY AS argument (name, mode, place) WHERE mode = 't')
    FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND prosecdef
          AND prolang = (SELECT oid FROM pg_language WHERE lanname = 'sql') AND 'org_id' = ANY (proargnames)
          AND position('org.shard = ' IN prosrc) = 0"""
_BUT_FOR_THE_GONE: Final = """
    SELECT found.* FROM ({query}) AS found ({columns})
    WHERE NOT EXISTS (SELECT FROM public.tenants_organization AS org WHERE org.id = found.org_id AND org.shard = {gone})
"""


def hide_the_gone(cursor: CursorWrapper) -> None:
    """Have the database's ways across all organisations pass over those that are gone. Once, as the tables' owner."""
    cursor.execute(_WAYS_ACROSS)
    for definition, query, columns in cursor.fetchall():
        narrowed = _BUT_FOR_THE_GONE.format(query=query.strip().rstrip(";"), columns=columns, gone=GONE)
        cursor.execute(definition.replace(query, narrowed))


def leave(*org_ids: UUID) -> None:
    """These are gone, and so is what Stripe has told by now and nobody has looked at."""
    with org_scope(*org_ids):
        Organization.objects.filter(pk__in=org_ids).update(shard=GONE)
    StripeEvent.objects.filter(applied_at=None).update(applied_at=clock.now())


def leave_everybody() -> None:
    """Nobody is left, however they came to be here."""
    if org_ids := list_org_ids():
        leave(*org_ids)


@contextmanager
def committed_world() -> Iterator[World]:
    """The named world, under names that nobody else has, for as long as the block lasts."""
    world = make_world(unique=True)
    connections.close_all()
    try:
        yield world
    finally:
        # Whatever the test did to its connection, or to the server.
        connections.close_all()
        leave(world.acme.org.pk, world.mallcorp.org.pk)
        connections.close_all()
