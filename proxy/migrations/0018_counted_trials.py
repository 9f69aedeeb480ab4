"""What comparisons of a provider's model have cost is added up once, and a prompt that gets no answer is passed over."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("proxy", "0017_provider_trials")]
    operations = [
        migrations.AddField("providertuning", "trials_counted_nanos", models.BigIntegerField(db_default=0, default=0)),
        migrations.AddField("providertuning", "trials_counted_until", models.DateTimeField(null=True)),
        migrations.AddField("providertuning", "trials_failed", models.PositiveSmallIntegerField(db_default=0, default=0)),
    ]
