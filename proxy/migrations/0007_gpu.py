"""Hours of servers are rows of kind ``gpu``, as all hours of GPUs are. The word ``serving`` stays allowed: an event that
was on its way when this ran is no dead letter for it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("proxy", "0006_cache")]
    operations = [migrations.RunSQL("UPDATE proxy_ledgerentry SET kind = 'gpu' WHERE kind = 'serving'")]
