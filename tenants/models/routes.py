"""Routes: names that callers ask for, behind which a policy chooses the model; and how prompts are shortened."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from tenants.choices import Compression, Mode, PromptState, RouteKind
from tenants.models.base import TenantRow


class Route(TenantRow):
    """A virtual model as it is now. ``policy`` is what ``route_snapshots.RouteSnapshot`` has beside the columns."""

    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=16, choices=[(kind.value, kind.value) for kind in RouteKind])
    mode = models.CharField(max_length=8, choices=[(mode.value, mode.value) for mode in Mode])
    policy = models.JSONField(default=dict)
    version = models.PositiveIntegerField(default=1)
    # The id of what was learned for it and is in use, if anything.
    learned = models.CharField(max_length=36, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org", "name"], name="route_names_are_unique")]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class RouteVersion(TenantRow):
    """A route as it was from one change to the next. Never changed."""

    route_id = models.UUIDField()
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=16)
    mode = models.CharField(max_length=8)
    policy = models.JSONField(default=dict)
    made_by = models.CharField(max_length=254)

    class Meta:
        verbose_name = "route version"
        constraints = [models.UniqueConstraint(fields=["org", "route_id", "number"], name="one_route_version_a_number")]

    def __str__(self) -> str:
        return f"version {self.number}"


class CompressionPolicy(TenantRow):
    """How prompts are shortened: of one model or route, or where ``model`` is empty of all without a policy of their
    own."""

    model = models.CharField(max_length=200, blank=True)
    mode = models.CharField(max_length=8, choices=[(mode.value, mode.value) for mode in Mode])
    methods = ArrayField(
        models.CharField(max_length=16, choices=[(method.value, method.value) for method in Compression])
    )
    # Of the words, when pruning; 0: words of grammar are dropped, and no others.
    keep_percent = models.PositiveSmallIntegerField(default=0)
    # Of passages or turns, by their length, when those are left out; 0: as much as their question needs.
    extract_percent = models.PositiveSmallIntegerField(default=0, db_default=0)
    # The model that says how surprising words are, where they are pruned by that.
    scorer = models.CharField(max_length=200, blank=True)
    # Of the calls, left as they are to compare with.
    holdout_percent = models.PositiveSmallIntegerField(default=2)

    class Meta:
        verbose_name = "compression policy"
        verbose_name_plural = "compression policies"
        constraints = [models.UniqueConstraint(fields=["org", "model"], name="one_compression_policy_a_model")]

    def __str__(self) -> str:
        return f"{self.model or 'every model'}: {self.mode}"


class SystemPrompt(TenantRow):
    """Shorter words for one system prompt, a version of them. At most one version of a prompt is approved, and is sent
    in its place. The texts are never changed: other words are another version."""

    # SHA-256 of the original, by which a call's is known.
    digest = models.CharField(max_length=64)
    number = models.PositiveIntegerField()
    original = models.TextField()
    shorter = models.TextField()
    state = models.CharField(max_length=8, choices=[(state.value, state.value) for state in PromptState])
    made_by = models.CharField(max_length=254)
    decided_by = models.CharField(max_length=254, blank=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "system prompt"
        constraints = [
            models.UniqueConstraint(fields=["org", "digest", "number"], name="one_system_prompt_a_number"),
            models.UniqueConstraint(
                fields=["org", "digest"],
                condition=models.Q(state=PromptState.APPROVED.value),
                name="one_approved_version_a_system_prompt",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.digest[:8]} v{self.number}"
