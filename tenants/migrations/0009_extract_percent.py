"""How much of passages is kept where a policy leaves some out."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0008_status_pages")]
    operations = [
        migrations.AddField(
            "compressionpolicy", "extract_percent", models.PositiveSmallIntegerField(default=0, db_default=0)
        )
    ]
