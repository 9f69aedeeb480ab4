"""Students with an encoder of their own."""

from django.db import migrations, models

from tenants.schema import enumeration


class Migration(migrations.Migration):
    dependencies = [("proxy", "0013_feedback")]
    operations = [
        migrations.AddField("student", "encoder", models.BinaryField(editable=False, null=True)),
        migrations.AlterField(
            "trainingjob",
            "kind",
            models.CharField(choices=enumeration("head", "encoder", "lora"), default="head", max_length=8),
        ),
    ]
