"""A kind of document is new: the invoice of credits that were bought. PostgreSQL has nothing to do."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0020_keys_and_sums")]
    operations = [
        migrations.AlterField(
            "invoice",
            "kind",
            models.CharField(
                choices=[(kind, kind) for kind in ("invoice", "credit_note", "debit_note", "prepayment")],
                default="invoice",
                max_length=12,
            ),
        ),
    ]
