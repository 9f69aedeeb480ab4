"""Files, batches and their lines: under row-level security like every tenant row, and gone with their organisation.

A line moves through its states in place, tens of thousands to a batch, so that pages keep room for its next version.
"""

from django.db import migrations, models

import costhub.lib.clock
from tenants.schema import wall, way_across

ORG = "org_id uuid NOT NULL REFERENCES tenants_organization (id) ON DELETE CASCADE"
TABLES = {
    "proxy_storedfile": f"""
        id uuid PRIMARY KEY, {ORG}, project_id uuid NOT NULL, end_user text NOT NULL, filename text NOT NULL,
        purpose text NOT NULL, bytes bigint NOT NULL, created_at timestamptz NOT NULL, expires_at timestamptz""",
    "proxy_batch": f"""
        id uuid PRIMARY KEY, {ORG}, project_id uuid NOT NULL, key_id uuid NOT NULL, end_user text NOT NULL,
        tags jsonb NOT NULL, session text NOT NULL, endpoint text NOT NULL, model text NOT NULL, upstream_id uuid,
        input_file_id uuid NOT NULL, output_file_id uuid, error_file_id uuid, status text NOT NULL,
        is_remote boolean NOT NULL, is_pool boolean NOT NULL, first_deadline timestamptz, remote jsonb NOT NULL, metadata jsonb, errors jsonb,
        total integer NOT NULL, completed integer NOT NULL, failed integer NOT NULL,
        held bigint NOT NULL, spent jsonb NOT NULL, "row" jsonb NOT NULL, created_ms bigint NOT NULL,
        expires_at timestamptz NOT NULL, in_progress_at timestamptz, finalizing_at timestamptz,
        completed_at timestamptz, failed_at timestamptz, expired_at timestamptz, cancelling_at timestamptz,
        cancelled_at timestamptz, UNIQUE (org_id, id)""",
    "proxy_batchline": f"""
        batch_id uuid NOT NULL, number integer NOT NULL, {ORG}, custom_id text NOT NULL, starts bigint NOT NULL,
        length integer NOT NULL, amount bigint NOT NULL, max_output integer NOT NULL, state text NOT NULL,
        tries integer NOT NULL, again_at timestamptz, request_id uuid, answer bytea, cost bigint NOT NULL,
        body bytea, deadline_at timestamptz,
        PRIMARY KEY (batch_id, number),
        FOREIGN KEY (org_id, batch_id) REFERENCES proxy_batch (org_id, id) ON DELETE CASCADE""",
}
INDEXES = [
    "ALTER TABLE proxy_batchline SET (fillfactor = 70)",
    "CREATE INDEX files_of_a_project ON proxy_storedfile (org_id, project_id, id)",
    "CREATE INDEX files_that_end ON proxy_storedfile (expires_at) WHERE expires_at IS NOT NULL",
    "CREATE INDEX batches_of_a_project ON proxy_batch (org_id, project_id, id)",
    "CREATE INDEX batches_that_are_open ON proxy_batch (org_id) WHERE status IN ('pooling', 'in_progress', 'cancelling', 'finalizing')",
    "CREATE INDEX lines_by_call ON proxy_batchline (batch_id, request_id) WHERE request_id IS NOT NULL",
    "CREATE INDEX deferred_calls ON proxy_batchline (org_id, custom_id) WHERE deadline_at IS NOT NULL",
    "CREATE INDEX lines_that_wait ON proxy_batchline (batch_id, number) WHERE state IN ('waiting', 'running')",
]


def unmanaged(name, *fields):
    return migrations.CreateModel(
        name=name, fields=list(fields), options={"managed": False, "db_table": f"proxy_{name.lower()}"}
    )


def moments(*names):
    return [(name, models.DateTimeField(null=True)) for name in names]


class Migration(migrations.Migration):
    dependencies = [("proxy", "0005_learning")]
    operations = [
        migrations.RunSQL(
            [
                statement
                for table, columns in TABLES.items()
                for statement in (f"CREATE TABLE {table} ({columns})", *wall(table))
            ]
        ),
        migrations.RunSQL(INDEXES),
        # which organisations a worker need look at
        migrations.RunSQL(
            way_across(
                "costhub_orgs_with_batches",
                "",
                "TABLE (org_id uuid)",
                "SELECT DISTINCT org_id FROM public.proxy_batch"
                " WHERE status IN ('pooling', 'in_progress', 'cancelling', 'finalizing')",
            )
        ),
        unmanaged(
            "StoredFile",
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("org_id", models.UUIDField()),
            ("project_id", models.UUIDField()),
            ("end_user", models.TextField()),
            ("filename", models.TextField()),
            ("purpose", models.TextField()),
            ("bytes", models.BigIntegerField()),
            ("created_at", models.DateTimeField(default=costhub.lib.clock.now)),
            ("expires_at", models.DateTimeField(null=True)),
        ),
        unmanaged(
            "Batch",
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("org_id", models.UUIDField()),
            ("project_id", models.UUIDField()),
            ("key_id", models.UUIDField()),
            ("end_user", models.TextField()),
            ("tags", models.JSONField(default=dict)),
            ("session", models.TextField()),
            ("endpoint", models.TextField()),
            ("model", models.TextField()),
            ("upstream_id", models.UUIDField(null=True)),
            ("input_file_id", models.UUIDField()),
            ("output_file_id", models.UUIDField(null=True)),
            ("error_file_id", models.UUIDField(null=True)),
            ("status", models.TextField()),
            ("is_remote", models.BooleanField(default=False)),
            ("is_pool", models.BooleanField(default=False)),
            ("first_deadline", models.DateTimeField(null=True)),
            ("remote", models.JSONField(default=dict)),
            ("metadata", models.JSONField(null=True)),
            ("errors", models.JSONField(null=True)),
            ("total", models.IntegerField(default=0)),
            ("completed", models.IntegerField(default=0)),
            ("failed", models.IntegerField(default=0)),
            ("held", models.BigIntegerField(default=0)),
            ("spent", models.JSONField(default=dict)),
            ("row", models.JSONField(default=dict)),
            ("created_ms", models.BigIntegerField()),
            ("expires_at", models.DateTimeField()),
            *moments("in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at"),
            *moments("cancelling_at", "cancelled_at"),
        ),
        unmanaged(
            "BatchLine",
            ("pk", models.CompositePrimaryKey("batch_id", "number", blank=True, editable=False, primary_key=True, serialize=False)),
            ("batch_id", models.UUIDField()),
            ("number", models.IntegerField()),
            ("org_id", models.UUIDField()),
            ("custom_id", models.TextField()),
            ("starts", models.BigIntegerField()),
            ("length", models.IntegerField()),
            ("amount", models.BigIntegerField()),
            ("max_output", models.IntegerField()),
            ("state", models.TextField()),
            ("tries", models.IntegerField(default=0)),
            ("again_at", models.DateTimeField(null=True)),
            ("request_id", models.UUIDField(null=True)),
            ("answer", models.BinaryField(null=True)),
            ("cost", models.BigIntegerField(default=0)),
            ("body", models.BinaryField(null=True)),
            ("deadline_at", models.DateTimeField(null=True)),
        ),
    ]
