"""How fast a kept stream is given again."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0005_cache")]
    operations = [
        migrations.AddField("cachepolicy", "replay_ms", models.PositiveSmallIntegerField(default=0)),
    ]
