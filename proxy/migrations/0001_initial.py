"""The ledger and the semantic cache as models. Their tables are written in SQL, in the migrations that follow."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from costhub.lib import clock


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="CacheAnswer",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("org_id", models.UUIDField()),
                ("scope", models.BinaryField()),
                ("entries", models.IntegerField(default=1)),
                ("rights", models.IntegerField(default=0)),
                ("wrongs", models.IntegerField(default=0)),
            ],
            options={
                "db_table": "proxy_cacheanswer",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="CacheEntry",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("org_id", models.UUIDField()),
                ("scope", models.BinaryField()),
                ("answer_id", models.BigIntegerField()),
                ("model", models.TextField()),
                ("tags", ArrayField(base_field=models.TextField())),
                ("question", models.TextField()),
                ("packed", models.BinaryField()),
                ("created_at", models.DateTimeField(default=clock.now)),
                ("expires_at", models.DateTimeField()),
            ],
            options={
                "db_table": "proxy_cacheentry",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="CacheLookup",
            fields=[
                ("request_id", models.UUIDField(primary_key=True, serialize=False)),
                ("org_id", models.UUIDField()),
                ("at", models.DateTimeField(default=clock.now)),
                ("asked", models.TextField()),
                ("entry_id", models.UUIDField(null=True)),
                ("answer_id", models.BigIntegerField(null=True)),
                ("kept_question", models.TextField(default="")),
                ("similarity", models.FloatField(default=0)),
                ("features", ArrayField(base_field=models.FloatField(), null=True)),
                ("is_guarded", models.BooleanField(default=False)),
                ("veto", models.TextField(default="")),
                ("likelihood", models.FloatField(null=True)),
                ("threshold", models.FloatField(null=True)),
                ("was_served", models.BooleanField(default=False)),
                ("is_shadow", models.BooleanField(default=False)),
                ("is_recheck", models.BooleanField(default=False)),
                ("share", models.FloatField(default=1)),
                ("right", models.BooleanField(null=True)),
            ],
            options={
                "db_table": "proxy_cachelookup",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="CacheGate",
            fields=[
                ("org_id", models.UUIDField(primary_key=True, serialize=False)),
                ("means", ArrayField(base_field=models.FloatField())),
                ("scales", ArrayField(base_field=models.FloatField())),
                ("weights", ArrayField(base_field=models.FloatField())),
                ("likelihoods", ArrayField(base_field=models.FloatField())),
                ("kappa", models.FloatField()),
                ("learned_from", models.IntegerField()),
                ("fitted_at", models.DateTimeField(default=clock.now)),
            ],
            options={
                "db_table": "proxy_cachegate",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="LedgerEntry",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "started_at", "id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("id", models.UUIDField()),
                ("started_at", models.DateTimeField()),
                ("org_id", models.UUIDField()),
                ("project_id", models.UUIDField()),
                ("key_id", models.UUIDField()),
                ("end_user", models.TextField(default="")),
                ("tags", models.JSONField(default=dict)),
                ("session", models.TextField(default="")),
                ("kind", models.TextField(default="call")),
                ("corrects", models.UUIDField(null=True)),
                ("endpoint", models.TextField(default="")),
                ("request_model", models.TextField(default="")),
                ("response_model", models.TextField(default="")),
                ("upstream_id", models.UUIDField(null=True)),
                ("provider", models.TextField(default="")),
                ("attempts", models.JSONField(default=list)),
                ("is_stream", models.BooleanField(default=False)),
                ("input_tokens", models.BigIntegerField(default=0)),
                ("cache_read_input_tokens", models.BigIntegerField(default=0)),
                ("cache_write_input_tokens", models.BigIntegerField(default=0)),
                ("output_tokens", models.BigIntegerField(default=0)),
                ("reasoning_tokens", models.BigIntegerField(default=0)),
                ("audio_input_tokens", models.BigIntegerField(default=0)),
                ("audio_output_tokens", models.BigIntegerField(default=0)),
                ("usage", models.JSONField(default=dict)),
                ("list_cost", models.BigIntegerField(default=0)),
                ("effective_cost", models.BigIntegerField(default=0)),
                ("savings", models.JSONField(default=dict)),
                ("price_id", models.UUIDField(null=True)),
                ("adjustment_id", models.UUIDField(null=True)),
                ("service_tier", models.TextField(default="")),
                ("is_estimated", models.BooleanField(default=False)),
                ("is_overrun", models.BooleanField(default=False)),
                ("held", models.BigIntegerField(default=0)),
                ("cache_status", models.TextField(default="")),
                ("route_reason", models.TextField(default="")),
                ("would_refuse", models.JSONField(default=list)),
                ("status", models.IntegerField(default=0)),
                ("error_code", models.TextField(default="")),
                ("finish_reason", models.TextField(default="")),
                ("duration_us", models.BigIntegerField(default=0)),
                ("first_byte_us", models.BigIntegerField(null=True)),
                ("overhead_us", models.BigIntegerField(null=True)),
                ("recorded_at", models.DateTimeField()),
            ],
            options={
                "db_table": "proxy_ledgerentry",
                "managed": False,
            },
        ),
    ]
