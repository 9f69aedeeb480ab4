"""Datasets say whether names of people and postal addresses are taken out of their examples."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("proxy", "0015_left_behind")]
    operations = [
        migrations.AddField("dataset", "takes_out_names", models.BooleanField(db_default=True, default=True)),
    ]
