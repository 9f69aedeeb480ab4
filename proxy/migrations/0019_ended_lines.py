"""When a line of a batch was out: a call whose answer came behind its deadline is told as one."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("proxy", "0018_counted_trials")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE proxy_batchline ADD COLUMN ended_at timestamptz",
            state_operations=[migrations.AddField("batchline", "ended_at", models.DateTimeField(null=True))],
        ),
    ]
