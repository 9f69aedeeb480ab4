"""A kept answer is its caller's own: the same one, replayed from a cache, may be kept by others of the organisation.
A batch's line knows the ledger event of its answer, so that a worker's death between both costs nobody more."""

from django.db import migrations, models

TABLE = "ALTER TABLE proxy_storedanswer"


class Migration(migrations.Migration):
    dependencies = [("proxy", "0005_routes")]
    operations = [
        migrations.RunSQL(
            [
                f"{TABLE} DROP CONSTRAINT proxy_storedanswer_org_id_answer_id_key",
                f"{TABLE} ADD CONSTRAINT stored_answers_of_a_caller"
                " UNIQUE (org_id, project_id, answer_id, kind, end_user)",
            ]
        ),
        migrations.RunSQL(
            "ALTER TABLE proxy_batchline ADD COLUMN event bytea",
            state_operations=[migrations.AddField("batchline", "event", models.BinaryField(null=True))],
        ),
    ]
