"""What calls of routes leave behind to learn from, and what was learned, under row-level security like every tenant
row, and gone with their organisation."""

from django.db import migrations, models

import costhub.lib.clock
from tenants.schema import wall

ORG = "org_id uuid NOT NULL REFERENCES tenants_organization (id) ON DELETE CASCADE"
TABLES = {
    "proxy_routelabel": f"""
        id uuid PRIMARY KEY, {ORG}, route_id uuid NOT NULL, request_id uuid NOT NULL,
        at timestamptz NOT NULL DEFAULT now(), model text NOT NULL, task text NOT NULL DEFAULT '',
        is_strong boolean NOT NULL DEFAULT false, share double precision NOT NULL DEFAULT 1,
        features jsonb NOT NULL DEFAULT '{{}}', gain double precision, "right" boolean""",
    "proxy_learnedroute": f"""
        id uuid PRIMARY KEY, {ORG}, route_id uuid NOT NULL, made_at timestamptz NOT NULL DEFAULT now(),
        kind text NOT NULL, labels integer NOT NULL, packed bytea NOT NULL, report jsonb NOT NULL DEFAULT '{{}}'""",
}
INDEXES = [
    "CREATE INDEX route_labels_of_a_route ON proxy_routelabel (org_id, route_id, at)",
    "CREATE INDEX route_labels_of_a_request ON proxy_routelabel (org_id, request_id)",
    "CREATE INDEX learned_of_a_route ON proxy_learnedroute (org_id, route_id, made_at)",
]


class Migration(migrations.Migration):
    dependencies = [("proxy", "0005_batches")]
    operations = [
        migrations.CreateModel(
            name="RouteLabel",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("org_id", models.UUIDField()),
                ("route_id", models.UUIDField()),
                ("request_id", models.UUIDField()),
                ("at", models.DateTimeField(default=costhub.lib.clock.now)),
                ("model", models.TextField()),
                ("task", models.TextField(default="")),
                ("is_strong", models.BooleanField(default=False)),
                ("share", models.FloatField(default=1)),
                ("features", models.JSONField(default=dict)),
                ("gain", models.FloatField(null=True)),
                ("right", models.BooleanField(null=True)),
            ],
            options={"db_table": "proxy_routelabel", "managed": False},
        ),
        migrations.CreateModel(
            name="LearnedRoute",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("org_id", models.UUIDField()),
                ("route_id", models.UUIDField()),
                ("made_at", models.DateTimeField(default=costhub.lib.clock.now)),
                ("kind", models.TextField()),
                ("labels", models.IntegerField()),
                ("packed", models.BinaryField()),
                ("report", models.JSONField(default=dict)),
            ],
            options={"db_table": "proxy_learnedroute", "managed": False},
        ),
        migrations.RunSQL(
            [
                statement
                for table, columns in TABLES.items()
                for statement in (f"CREATE TABLE {table} ({columns})", *wall(table))
            ]
        ),
        migrations.RunSQL(INDEXES),
    ]
