"""How many calls are asked although the cache might answer them, to compare with."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0009_extract_percent")]
    operations = [
        migrations.AddField("cachepolicy", "holdout_percent", models.PositiveSmallIntegerField(default=2, db_default=0))
    ]
