"""Files that providers have of tunings that are over; how fast a training's present worker is; what tuned models were
compared on before anybody knew how sure they must be."""

import importlib

from django.db import migrations, models

from proxy.learning.orgs_with import define, exists

BEFORE = importlib.import_module("proxy.migrations.0012_trusted").CONDITIONS
#: organisations that have something to do, by what it is
CONDITIONS = BEFORE | {
    "provider tuning": exists("providertuning", "(row.state IN ('waiting', 'running') OR row.remote_file <> '')")
}


class Migration(migrations.Migration):
    dependencies = [("proxy", "0015_judges")]
    operations = [
        migrations.AddField("trainingjob", "pace_step", models.PositiveIntegerField(db_default=0, default=0)),
        migrations.AddField("trainingjob", "pace_from", models.DateTimeField(null=True)),
        migrations.AddField("tunedmodel", "unsure", models.PositiveIntegerField(db_default=0, default=0)),
        migrations.RunSQL(define(CONDITIONS), define(BEFORE)),
    ]
