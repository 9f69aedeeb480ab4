"""Whether prompts get the mark behind which a provider keeps them in a cache of its own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0005_console")]
    operations = [
        migrations.AddField("cachepolicy", "marks_prompts", models.BooleanField(default=False)),
    ]
