"""What calls of routes leave behind to learn from, and what was learned. No text is kept: numbers that describe it."""

from typing import ClassVar, Final

from django.db import models

from costhub.lib import clock
from tenants.models.base import TenantRow

#: in a report: why labels taught nothing
REFUSED: Final = "refused"
#: in a report: from when on labels have said something else
DRIFTED_SINCE: Final = "drifted_since"
#: in a report: what was learned of each pair of neighbours of a router of more than two targets
PAIRS: Final = "pairs"

#: in a label's features, of routers of more than two targets: the dearer model that the answer was compared with, and
#: how often calls like this go to each model, in thousandths
COMPARED_WITH: Final = "compared_with"
SHARES: Final = "shares"

#: features, gains and shares of calls
_Number = models.FloatField  # noqa: TID251 - none of them is money


class RouteLabel(models.Model):
    """One answer of a route's model, as far as it is known whether it was right.

    ``features``: of the prompt and, in a cascade, of the answer, beside ``COMPARED_WITH`` and ``SHARES``. ``share``:
    how often a call like this was sent to this model. ``gain``: by how much the strong model's answer was better,
    where both answered; ``right`` is null while nobody knows.
    """

    id = models.UUIDField(primary_key=True)
    org_id = models.UUIDField()
    route_id = models.UUIDField()
    request_id = models.UUIDField()
    at = models.DateTimeField(default=clock.now)
    model = models.TextField()
    task = models.TextField(default="")
    is_strong = models.BooleanField(default=False)
    share = _Number(default=1)
    features = models.JSONField(default=dict)
    gain = _Number(null=True)
    right = models.BooleanField(null=True)

    class Meta:
        managed: ClassVar[bool] = False
        db_table = "proxy_routelabel"

    def __str__(self) -> str:
        return f"{self.model} for {self.request_id}"


class Feedback(TenantRow):
    """What an application has said of the answer to one of its calls; of several words the last one counts."""

    request_id = models.UUIDField()
    is_right = models.BooleanField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["org", "request_id"], name="one_word_on_a_call")]

    def __str__(self) -> str:
        return f"{'right' if self.is_right else 'wrong'}: {self.request_id}"


class LearnedRoute(models.Model):
    """What a route has learned at one time: numbers in ``packed``, and a ``report`` for people. The numbers are never
    changed."""

    id = models.UUIDField(primary_key=True)
    org_id = models.UUIDField()
    route_id = models.UUIDField()
    made_at = models.DateTimeField(default=clock.now)
    kind = models.TextField()
    labels = models.IntegerField()
    packed = models.BinaryField()
    report = models.JSONField(default=dict)

    class Meta:
        managed: ClassVar[bool] = False
        db_table = "proxy_learnedroute"

    def __str__(self) -> str:
        return f"learned from {self.labels} labels at {self.made_at:%Y-%m-%d %H:%M}"
