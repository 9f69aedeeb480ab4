"""Keys whose calls are told no amounts."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0010_cache_holdout")]
    operations = [
        # With a default of the table's own: servers of the version before write rows beside it.
        migrations.AddField("apikey", "hides_amounts", models.BooleanField(db_default=False, default=False)),
    ]
