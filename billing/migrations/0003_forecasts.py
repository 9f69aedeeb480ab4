"""Forecasts and anomalies, under row-level security like every tenant row."""

import costhub.lib.clock
import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


def protect(apps, schema_editor):
    role = schema_editor.quote_name(settings.DATABASES["default"]["USER"])
    inside = "org_id = ANY ((SELECT costhub_orgs())::uuid[])"
    for table in ("billing_forecast", "billing_anomaly"):
        for statement in [
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY owner_sees_all ON {table} TO CURRENT_USER USING (true) WITH CHECK (true)",
            f"CREATE POLICY tenant ON {table} TO {role} USING ({inside}) WITH CHECK ({inside})",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}",
        ]:
            schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0002_alerts'),
    ]

    operations = [
        migrations.CreateModel(
            name='Anomaly',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=costhub.lib.clock.now, editable=False)),
                ('scope', models.CharField(choices=[('organization', 'organization'), ('project', 'project'), ('key', 'key'), ('end_user', 'end_user'), ('model', 'model'), ('tag', 'tag'), ('session', 'session')], max_length=16)),
                ('subject', models.CharField(blank=True, max_length=200)),
                ('unit', models.CharField(choices=[('day', 'day'), ('hour', 'hour')], max_length=4)),
                ('starts', models.DateTimeField()),
                ('severity', models.CharField(choices=[('high', 'high'), ('low', 'low')], max_length=4)),
                ('actual', models.BigIntegerField()),
                ('expected', models.BigIntegerField()),
                ('low', models.BigIntegerField()),
                ('high', models.BigIntegerField()),
                ('cause', models.CharField(choices=[('calls', 'calls'), ('tokens', 'tokens'), ('price', 'price')], max_length=6)),
                ('calls', models.BigIntegerField()),
                ('tokens', models.BigIntegerField()),
                ('price', models.BigIntegerField()),
                ('driver_dimension', models.CharField(blank=True, max_length=16)),
                ('driver_subject', models.CharField(blank=True, max_length=200)),
                ('driver_excess', models.BigIntegerField(default=0)),
                ('org', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.organization')),
            ],
            options={
                'verbose_name_plural': 'anomalies',
                'indexes': [models.Index(fields=['org', '-created_at', '-id'], name='anomalies_newest_first')],
                'constraints': [models.UniqueConstraint(fields=('org', 'scope', 'subject', 'unit', 'starts'), name='one_anomaly_a_bucket')],
            },
        ),
        migrations.CreateModel(
            name='Forecast',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=costhub.lib.clock.now, editable=False)),
                ('scope', models.CharField(choices=[('organization', 'organization'), ('project', 'project'), ('key', 'key'), ('end_user', 'end_user'), ('model', 'model'), ('tag', 'tag'), ('session', 'session')], max_length=16)),
                ('subject', models.CharField(blank=True, max_length=200)),
                ('month', models.DateField()),
                ('spent', models.BigIntegerField()),
                ('expected', models.BigIntegerField(null=True)),
                ('low', models.BigIntegerField(null=True)),
                ('high', models.BigIntegerField(null=True)),
                ('method', models.CharField(choices=[('not_enough_history', 'not_enough_history'), ('run_rate', 'run_rate'), ('recent_weeks', 'recent_weeks'), ('smoothing', 'smoothing')], max_length=20)),
                ('days_of_history', models.PositiveIntegerField()),
                ('first_day', models.DateField()),
                ('running', models.JSONField(default=list)),
                ('backtest_error', models.PositiveIntegerField(null=True)),
                ('backtest_coverage', models.PositiveIntegerField(null=True)),
                ('widening', models.PositiveIntegerField()),
                ('tested_on', models.DateField()),
                ('made_at', models.DateTimeField()),
                ('org', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('org', 'scope', 'subject', 'month'), name='one_forecast_a_month')],
            },
        ),
        migrations.RunPython(protect),
    ]
