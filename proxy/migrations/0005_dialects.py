"""Answers that callers want to ask for again, under row-level security like every tenant row."""

from django.db import migrations, models

from costhub.lib import clock
from tenants.schema import app_role, wall

TABLE = """CREATE TABLE proxy_storedanswer (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id uuid NOT NULL REFERENCES tenants_organization (id) ON DELETE CASCADE, project_id uuid NOT NULL,
    end_user text NOT NULL, kind text NOT NULL, answer_id text NOT NULL, model text NOT NULL, metadata jsonb NOT NULL,
    packed bytea NOT NULL, created_at timestamptz NOT NULL, expires_at timestamptz NOT NULL,
    UNIQUE (org_id, answer_id))"""
INDEXES = [
    "CREATE INDEX stored_answers_of_a_project ON proxy_storedanswer (org_id, project_id, kind, id)",
    "CREATE INDEX stored_answers_that_end ON proxy_storedanswer (org_id, expires_at)",
]


class Migration(migrations.Migration):
    dependencies = [("proxy", "0004_semantic_cache"), ("tenants", "0004_dialects")]
    operations = [
        migrations.RunSQL([TABLE, *wall("proxy_storedanswer"), *INDEXES]),
        migrations.RunSQL([f"GRANT USAGE ON SEQUENCE proxy_storedanswer_id_seq TO {app_role()}"]),
        migrations.CreateModel(
            name="StoredAnswer",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("org_id", models.UUIDField()),
                ("project_id", models.UUIDField()),
                ("end_user", models.TextField()),
                ("kind", models.TextField()),
                ("answer_id", models.TextField()),
                ("model", models.TextField()),
                ("metadata", models.JSONField(default=dict)),
                ("packed", models.BinaryField()),
                ("created_at", models.DateTimeField(default=clock.now)),
                ("expires_at", models.DateTimeField()),
            ],
            options={"managed": False, "db_table": "proxy_storedanswer"},
        ),
    ]
