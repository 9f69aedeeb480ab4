"""An event of Stripe's that was given up says so, and of whom it tells, so that it can be tried again by hand; who heard
of one hears of its end."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0017_prices_and_failing_channels")]
    operations = [
        migrations.AlterModelOptions("stripeevent", {"verbose_name": "stripe event"}),
        migrations.AddField("stripeevent", "given_up_at", models.DateTimeField(blank=True, null=True)),
        # With a default of the table's own: servers of the version before write rows beside it.
        migrations.AddField(
            "stripeevent", "customer", models.CharField(blank=True, db_default="", default="", max_length=64)
        ),
        migrations.RunSQL(
            "UPDATE billing_stripeevent SET given_up_at = coalesce(waits_until, received_at)"
            " WHERE applied_at IS NULL AND tries >= 20",
            migrations.RunSQL.noop,
        ),
        # There was no end to be told of, so nobody has switched it off.
        migrations.RunSQL(
            "UPDATE billing_alertrule SET tells_recovery = true WHERE kind = 'stripe_event'",
            migrations.RunSQL.noop,
        ),
    ]
