"""Answers that a model judges before they are learned from, runs with a cap of their own, and what neighbours contradict
left out where nobody says otherwise."""

from django.db import migrations, models

from tenants.schema import enumeration


class Migration(migrations.Migration):
    dependencies = [("proxy", "0014_encoders")]
    operations = [
        migrations.AlterField("dataset", "drops_outvoted", models.BooleanField(default=True)),
        migrations.AddField(
            "learnedexample",
            "verdict",
            models.CharField(blank=True, choices=enumeration("good", "poor"), db_default="", default="", max_length=4),
        ),
        migrations.AddField(
            "teacherrun", "judge", models.CharField(blank=True, db_default="", default="", max_length=200)
        ),
        migrations.AddField("teacherrun", "cap_nanos", models.BigIntegerField(null=True)),
    ]
