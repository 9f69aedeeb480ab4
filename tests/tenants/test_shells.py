"""Row-level security, asked by a connection that is not Django's."""

import psycopg
from django.conf import settings

from tests.world import World


def test_a_fresh_connection_of_a_shell_sees_nothing_either(committed_world: World) -> None:
    database = settings.DATABASES["default"]
    with psycopg.connect(
        host=str(database["HOST"]),
        port=str(database["PORT"]),
        user=str(database["USER"]),
        password=str(database["PASSWORD"]),
        dbname=str(database["NAME"]),
    ) as shell:
        assert shell.execute("SELECT count(*) FROM tenants_project").fetchone() == (0,)
        # A session-wide setting is the shell's own to make; it opens what it names and no more.
        shell.execute("SELECT set_config('costhub.orgs', %s, true)", [f"{{{committed_world.acme.org_id}}}"])
        assert shell.execute("SELECT DISTINCT org_id FROM tenants_project").fetchall() == [
            (committed_world.acme.org.pk,)
        ]
