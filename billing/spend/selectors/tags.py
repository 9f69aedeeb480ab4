"""The names of the tags that an organisation's calls have."""

from datetime import datetime, timedelta
from typing import Final

from django.db import connection

from tenants.access import Actor
from tenants.choices import Permission

#: of so many calls the tags are looked at that no sum knows yet
_NEWEST: Final = 500
_DAYS: Final = 92
MOST: Final = 50


def list_tag_names(actor: Actor, now: datetime, since: datetime | None = None) -> list[str]:
    """In order, those of the last quarter of a year, or ``since`` then. Raises Forbidden if the actor may not see
    money."""
    actor.check(Permission.READ_MONEY)
    since = since or now - timedelta(days=_DAYS)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT name FROM (
                   SELECT DISTINCT name FROM billing_dayrollup WHERE org_id = %s AND cube = 'tags' AND day >= %s
                   UNION
                   SELECT DISTINCT jsonb_object_keys(tags) FROM (
                       SELECT tags FROM proxy_ledgerentry WHERE org_id = %s AND started_at >= %s
                       ORDER BY started_at DESC LIMIT %s) AS newest
               ) AS names WHERE name IS NOT NULL ORDER BY name LIMIT %s""",
            [actor.org.pk, since.date(), actor.org.pk, since, _NEWEST, MOST],
        )
        return [name for (name,) in cursor.fetchall()]
