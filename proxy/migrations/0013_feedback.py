"""What applications say of the answers that they got."""

from django.db import migrations, models

from tenants.schema import tenant_row, wall


class Migration(migrations.Migration):
    dependencies = [("proxy", "0012_trusted")]
    operations = [
        migrations.CreateModel(
            name="Feedback",
            fields=[*tenant_row(), ("request_id", models.UUIDField()), ("is_right", models.BooleanField())],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["org", "request_id"], name="one_word_on_a_call"),
                ]
            },
        ),
        migrations.RunSQL([*wall("proxy_feedback")], migrations.RunSQL.noop),
    ]
