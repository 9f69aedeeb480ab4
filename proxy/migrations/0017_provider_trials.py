"""Models that a provider has trained are trusted step by step, as those are that were trained here."""

from django.db import migrations, models
from django.db.models.functions import Now

from costhub.lib import clock
from tenants.schema import enumeration

STAGES = enumeration("shadow", "canary", "promoted", "rolled_back", "withdrawn")


def trusted():
    """What each kind has, with a default for rows that the release before makes."""
    return {
        "floor_per_mille": models.PositiveSmallIntegerField(db_default=900, default=900),
        "stage": models.CharField(choices=STAGES, db_default="shadow", default="shadow", max_length=12),
        "canary_percent": models.PositiveSmallIntegerField(db_default=10, default=10),
        "route": models.CharField(blank=True, db_default="", default="", max_length=200),
        "reason": models.TextField(blank=True, db_default="", default=""),
        "compared": models.PositiveIntegerField(db_default=0, default=0),
        "answered": models.PositiveIntegerField(db_default=0, default=0),
        "agreed": models.PositiveIntegerField(db_default=0, default=0),
        "compared_until": models.DateTimeField(db_default=Now(), default=clock.now),
        "recent": models.TextField(blank=True, db_default="", default=""),
    }


def tried():
    """And each that is not sure of itself before it was tried."""
    return {
        "threshold": models.FloatField(db_default=1.01, default=1.01),
        "trials": models.JSONField(db_default=[], default=list, editable=False),
    }


class Migration(migrations.Migration):
    dependencies = [("proxy", "0016_names")]
    operations = [
        *(migrations.AlterField("student", name, field) for name, field in trusted().items()),
        *(migrations.AlterField("tunedmodel", name, field) for name, field in {**trusted(), **tried()}.items()),
        *(migrations.AddField("providertuning", name, field) for name, field in {**trusted(), **tried()}.items()),
        migrations.AddField("providertuning", "unsure", models.PositiveIntegerField(db_default=0, default=0)),
        migrations.AddField("providertuning", "api_key", models.BinaryField(editable=False, null=True)),
        migrations.AddField("providertuning", "trials_cap_nanos", models.BigIntegerField(null=True)),
        migrations.AddField("providertuning", "trials_nanos", models.BigIntegerField(db_default=0, default=0)),
        migrations.AddField("providertuning", "trials_error", models.TextField(blank=True, db_default="", default="")),
    ]
