"""The tables of learning: what was captured, datasets and their versions, training jobs, and what came out of them.

What people said is sealed with their organisation's key, each row for itself; nothing of it is searched by SQL.
"""

from typing import Final

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from costhub.lib import clock
from proxy.learning.choices import NEVER, ExampleKind, JobKind, JobState, Stage, TunedState, Verdict, VersionState
from tenants.models.base import TenantRow

_MODEL_CHARACTERS: Final = 200
#: tokens of a conversation with a tuned model, where its examples were shorter
_LEAST_CONTEXT: Final = 2_048
#: likelihoods, losses and shares
_Number = models.FloatField  # noqa: TID251 - none of them is money


def _choices(
    kind: type[ExampleKind | JobKind | JobState | Stage | TunedState | Verdict | VersionState],
) -> list[tuple[str, str]]:
    return [(member.value, member.value) for member in kind]


class CapturedCall(TenantRow):
    """A call that was kept, under its request's id. ``sealed``: its messages and its answer, as the wire had them."""

    at = models.DateTimeField()
    project_id = models.UUIDField()
    model = models.CharField(max_length=_MODEL_CHARACTERS)
    #: the model that answered, by the tenant's name for it
    teacher = models.CharField(max_length=_MODEL_CHARACTERS)
    end_user = models.TextField(blank=True)
    sealed = models.BinaryField(editable=False)
    expires_at = models.DateTimeField()

    class Meta:
        verbose_name = "captured call"
        indexes = [
            models.Index(fields=["org", "teacher", "at"], name="captured_calls_of_a_teacher"),
            models.Index(fields=["org", "expires_at"], name="captured_calls_that_end"),
        ]

    def __str__(self) -> str:
        return f"call {self.pk} of {self.model}"


class Dataset(TenantRow):
    """Examples to learn from, of one teacher's answers. The rest says how a version is made, see ``assembly.Recipe``;
    ``near_per_mille`` is the cosine from which questions count as one."""

    name = models.CharField(max_length=120)
    teacher = models.CharField(max_length=_MODEL_CHARACTERS)
    held_out_percent = models.PositiveSmallIntegerField(default=20)
    near_per_mille = models.PositiveSmallIntegerField(default=970)
    drops_outvoted = models.BooleanField(default=True)
    #: what has a form is taken out in any case, see ``scrubbing``
    takes_out_names = models.BooleanField(default=True, db_default=True)
    #: whose telephone numbers are known without a country's code
    region = models.CharField(max_length=2, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org", "name"], name="dataset_names_are_unique")]

    def __str__(self) -> str:
        return self.name


class LearnedExample(TenantRow):
    """One example of a dataset, scrubbed and sealed. ``source`` is the call, teacher run or import that it is from.

    Where consent is withdrawn ``sealed`` goes and the row stays: a tombstone, from which nothing can be read but that
    there was something, and which versions it was in.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    kind = models.CharField(max_length=8, choices=_choices(ExampleKind))
    source = models.UUIDField()
    #: its place among the others of an import or a teacher run
    number = models.PositiveIntegerField(default=0)
    at = models.DateTimeField()
    #: the model under whose consent it was kept
    model = models.CharField(max_length=_MODEL_CHARACTERS)
    end_user = models.TextField(blank=True)
    sealed = models.BinaryField(null=True, editable=False)
    #: how often something was taken out, by its kind
    scrubbed = models.JSONField(default=dict)
    #: what a judge said of the answer; empty: none was asked
    verdict = models.CharField(max_length=4, choices=_choices(Verdict), blank=True, default="", db_default="")
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "example"
        constraints = [models.UniqueConstraint(fields=["dataset", "source", "number"], name="examples_come_once")]
        indexes = [models.Index(fields=["org", "dataset", "at"], name="examples_of_a_dataset")]

    def __str__(self) -> str:
        return f"example {self.pk}"


class DatasetVersion(TenantRow):
    """A dataset at one moment: which examples, in which order, and the hash of what they said. It never changes; of its
    examples some are withdrawn, and names may be taken out of those that nobody had looked over by then."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=8, choices=_choices(VersionState), default=VersionState.WAITING.value)
    error = models.TextField(blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    train = ArrayField(models.UUIDField(), default=list)
    held_out = ArrayField(models.UUIDField(), default=list)
    #: how it was made, and what of: recipe, examples by kind and script, what was dropped for which reason
    lineage = models.JSONField(default=dict)
    labels = models.JSONField(default=dict)

    class Meta:
        verbose_name = "dataset version"
        constraints = [models.UniqueConstraint(fields=["dataset", "number"], name="versions_are_counted")]

    def __str__(self) -> str:
        return f"version {self.number}"


class TeacherRun(TenantRow):
    """Prompts that a teacher is to answer, or with ``judge`` a dataset's answers that this model is to judge, through
    the proxy, with a key of the organisation's, for at most ``cap_nanos``. It may be interrupted anywhere: each call
    has an ``Idempotency-Key`` of its own, so that none is paid for twice."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    state = models.CharField(max_length=10, choices=_choices(JobState), default=JobState.WAITING.value)
    error = models.TextField(blank=True)
    #: sealed: what is asked, with what is right where somebody has written it down; of a judge the examples, by id
    prompts = models.BinaryField(editable=False)
    judge = models.CharField(max_length=_MODEL_CHARACTERS, blank=True, default="", db_default="")
    #: null: only budgets end it
    cap_nanos = models.BigIntegerField(null=True)
    #: sealed, and gone with the end of the run
    api_key = models.BinaryField(null=True, editable=False)
    total = models.PositiveIntegerField()
    answered = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    cost_nanos = models.BigIntegerField(default=0)
    #: whether its calls have its tag, and when what they cost is to be read from the ledger; null: not any more
    is_tagged = models.BooleanField(default=False)
    settle_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "teacher run"

    def __str__(self) -> str:
        return f"{self.answered} of {self.total}"


class PaidReplay(TenantRow):
    """Captured calls of one model or route that another one is asked again, for at most ``cap_nanos``. ``pairs``: of
    each that was answered what it did cost and what it cost now, in nano-USD; ``cost_nanos`` is what was paid.

    It may be interrupted anywhere: each call has an ``Idempotency-Key`` of its own."""

    model = models.CharField(max_length=_MODEL_CHARACTERS)
    to = models.CharField(max_length=_MODEL_CHARACTERS)
    state = models.CharField(max_length=10, choices=_choices(JobState), default=JobState.WAITING.value)
    error = models.TextField(blank=True)
    #: the captured calls, by id
    calls = ArrayField(models.UUIDField(), default=list, editable=False)
    #: sealed, and gone with the end of the replay
    api_key = models.BinaryField(null=True, editable=False)
    cap_nanos = models.BigIntegerField()
    cost_nanos = models.BigIntegerField(default=0)
    pairs = models.JSONField(default=list)
    #: tries that brought no answer, by id (empty: nobody knows it) and the moment in ms: what each cost is still to be
    #: read from the ledger
    doubted = models.JSONField(default=list, editable=False)
    #: all calls that began before then are in ``cost_nanos``, answered or not
    counted_until = models.DateTimeField(null=True)
    #: whether its calls have its tag, and when what they cost is to be read from the ledger; null: not any more
    is_tagged = models.BooleanField(default=False)
    settle_at = models.DateTimeField(null=True)
    #: answers that said the same as the call's own, but for spaces, case and signs
    same = models.PositiveIntegerField(default=0)
    #: no answer came, or the call is no longer there
    failed = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = "paid replay"
        indexes = [models.Index(fields=["org", "state"], name="paid_replays_by_state")]

    def __str__(self) -> str:
        return f"{self.model} as {self.to}"


class TrainingJob(TenantRow):
    """A student, or an adapter of a language model, to be trained on a version. ``fence`` counts who has had it: only
    the last may say anything of it, and only until ``lease_until``. ``segment_*`` is the time of the present worker,
    which is charged when it ends."""

    version = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    project_id = models.UUIDField()
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=8, choices=_choices(JobKind), default=JobKind.HEAD.value)
    #: an adapter's: what it is one of, its rank, and the longest example that is learned from; an encoder has one too
    base_model = models.CharField(max_length=_MODEL_CHARACTERS, blank=True)
    rank = models.PositiveSmallIntegerField(default=0)
    sequence_tokens = models.PositiveIntegerField(default=0)
    seed = models.PositiveIntegerField(default=0)
    epochs = models.PositiveIntegerField(default=60)
    batch_rows = models.PositiveIntegerField(default=64)
    #: the learning rate, in millionths
    rate_millionths = models.PositiveIntegerField(default=10_000)
    #: what an hour of the worker costs, in nano-USD, and the most that the whole job may
    per_hour_nanos = models.BigIntegerField(default=0)
    most_nanos = models.BigIntegerField(null=True)
    #: the student's, see there
    floor_per_mille = models.PositiveSmallIntegerField(default=900)
    state = models.CharField(max_length=10, choices=_choices(JobState), default=JobState.WAITING.value)
    error = models.TextField(blank=True)
    fence = models.PositiveIntegerField(default=0)
    #: workers in a row that ended with it unforeseen, and the furthest step that any of them has made
    crashes = models.PositiveSmallIntegerField(default=0)
    crashed_at = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True)
    segment_from = models.DateTimeField(null=True)
    segment_until = models.DateTimeField(null=True)
    spent_nanos = models.BigIntegerField(default=0)
    #: of budgets' money, what is set aside for the present worker's time, in so many steps
    held_nanos = models.BigIntegerField(default=0)
    hold_steps = models.PositiveSmallIntegerField(default=0)
    step = models.PositiveIntegerField(default=0)
    steps = models.PositiveIntegerField(default=0)
    #: (step, loss) pairs, thinned out as they become many
    losses = models.JSONField(default=list)
    tokens = models.BigIntegerField(default=0)
    #: the first step that the present worker told of, and when: it is as fast as what came since
    pace_step = models.PositiveIntegerField(default=0, db_default=0)
    pace_from = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "training job"
        indexes = [models.Index(fields=["org", "state"], name="training_jobs_by_state")]

    def __str__(self) -> str:
        return self.name


class Trusted(TenantRow):
    """How far something that was trained is trusted.

    ``floor_per_mille``: the agreement with the teacher that the lower bound of its interval must clear."""

    #: likelihood from which it answers; what is below goes to the teacher
    threshold = _Number(default=0)
    floor_per_mille = models.PositiveSmallIntegerField(default=900, db_default=900)
    stage = models.CharField(
        max_length=12, choices=_choices(Stage), default=Stage.SHADOW.value, db_default=Stage.SHADOW.value
    )
    #: of a canary's questions, the share that it gets
    canary_percent = models.PositiveSmallIntegerField(default=10, db_default=10)
    #: the route that calls reach it by, where it is served
    route = models.CharField(max_length=_MODEL_CHARACTERS, blank=True, default="", db_default="")
    reason = models.TextField(blank=True, default="", db_default="")
    #: of calls since: how many it was compared on, answered, and answered as the teacher did
    compared = models.PositiveIntegerField(default=0, db_default=0)
    answered = models.PositiveIntegerField(default=0, db_default=0)
    agreed = models.PositiveIntegerField(default=0, db_default=0)
    #: the newest of them, and the newest outcomes, one character each: 1 agreed, 0 did not, - left to the teacher
    compared_until = models.DateTimeField(default=clock.now, db_default=Now())
    recent = models.TextField(blank=True, default="", db_default="")

    class Meta:
        abstract = True

    @property
    def teacher(self) -> str:
        """The model whose answers it learned from."""
        raise NotImplementedError


class Tried(Trusted):
    """What nobody knows the threshold of before it was tried."""

    threshold = _Number(default=NEVER, db_default=NEVER)
    #: answers that it was tried by: how sure it was, and whether it said what the teacher did
    trials = models.JSONField(default=list, db_default=[], editable=False)
    #: of those that it was compared on, how many before anybody knew that
    unsure = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        abstract = True


class Made(Trusted):
    """What a job has made, and its evaluation."""

    job = models.ForeignKey(TrainingJob, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    name = models.CharField(max_length=120)
    #: of the examples of its version, how many were withdrawn already when it was trained
    withdrawn = models.PositiveIntegerField(default=0)
    evaluation = models.JSONField(default=dict)

    class Meta:
        abstract = True

    @property
    def teacher(self) -> str:
        """The model whose answers it learned from."""
        return self.job.version.dataset.teacher


class ProviderTuning(Tried):
    """A model that a provider trains on a version, through its fine-tuning API. What it may cost at most is held until
    the provider says how many tokens it has trained on.

    Once it is there and served, ``api_key`` is what it is asked with on paper, and ``trials_cap_nanos`` the most that
    this may cost."""

    version = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    upstream_id = models.UUIDField()
    project_id = models.UUIDField()
    #: what our model of it is to be called, and which of the provider's it is made of
    name = models.CharField(max_length=_MODEL_CHARACTERS)
    base_model = models.CharField(max_length=_MODEL_CHARACTERS)
    epochs = models.PositiveSmallIntegerField(default=3)
    #: nano-USD for a million trained tokens
    per_million_nanos = models.BigIntegerField()
    #: the most tokens that it can train on, all epochs
    most_tokens = models.BigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=_choices(JobState), default=JobState.WAITING.value)
    error = models.TextField(blank=True)
    #: what the provider calls the file (until it has told, our name for it; empty: it has none), the job, and the model
    #: that came of it
    remote_file = models.CharField(max_length=200, blank=True)
    remote_job = models.CharField(max_length=200, blank=True)
    remote_model = models.CharField(max_length=_MODEL_CHARACTERS, blank=True)
    #: as the provider says it: its word for the state, and its newest events
    remote_state = models.CharField(max_length=40, blank=True)
    events = models.JSONField(default=list)
    trained_tokens = models.BigIntegerField(default=0)
    held_nanos = models.BigIntegerField(default=0)
    spent_nanos = models.BigIntegerField(default=0)
    #: the examples that were withdrawn already when it was sent
    withdrawn = models.PositiveIntegerField(default=0)
    is_cancelled = models.BooleanField(default=False)
    ended_at = models.DateTimeField(null=True)
    #: sealed, and gone when it is served no longer
    api_key = models.BinaryField(null=True, editable=False)
    trials_cap_nanos = models.BigIntegerField(null=True)
    trials_nanos = models.BigIntegerField(default=0, db_default=0)
    #: what the ledger has of it, up to which moment
    trials_counted_nanos = models.BigIntegerField(default=0, db_default=0)
    trials_counted_until = models.DateTimeField(null=True)
    #: turns in a row in which the first prompt got no answer
    trials_failed = models.PositiveSmallIntegerField(default=0, db_default=0)
    #: why it is not compared now; empty: it is, or nobody has tried
    trials_error = models.TextField(blank=True, default="", db_default="")

    class Meta:
        verbose_name = "provider tuning"
        indexes = [models.Index(fields=["org", "state"], name="provider_tunings_by_state")]

    def __str__(self) -> str:
        return self.name

    @property
    def teacher(self) -> str:
        """The model whose answers it learned from."""
        return self.version.dataset.teacher


class _Students(models.Manager["Student"]):
    """Without their encoders, which have megabytes and are asked for seldom: they are read where they are used."""

    def get_queryset(self) -> models.QuerySet["Student"]:
        return super().get_queryset().defer("encoder")


class Student(Made):
    """A classifier of questions."""

    labels = models.JSONField(default=list)
    weights = models.BinaryField(editable=False)
    #: what its own encoder has learned, sealed; null: it asks the usual one
    encoder = models.BinaryField(null=True, editable=False)
    #: of both, before they are sealed
    sha256 = models.CharField(max_length=64)
    #: the instructions that it has learned under, as ``frames`` writes them
    frames = models.JSONField(default=list)

    objects = _Students()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org", "name"], name="student_names_are_unique")]

    def __str__(self) -> str:
        return f"{self.name}: {self.stage}"


class TunedModel(Tried, Made):
    """An adapter that a job has made of a language model, sealed: weights may say what they were taught.

    ``adapter`` is peft's file (safetensors), ``config`` what stands beside it; ``served`` the same for llama.cpp
    (GGUF), empty where that does not know this kind of model."""

    base_model = models.CharField(max_length=_MODEL_CHARACTERS)
    state = models.CharField(max_length=9, choices=_choices(TunedState), default=TunedState.READY.value)
    adapter = models.BinaryField(editable=False)
    served = models.BinaryField(editable=False)
    config = models.JSONField(default=dict)
    #: the language model by which calls reach it; empty: none
    model = models.CharField(max_length=_MODEL_CHARACTERS, blank=True)
    #: of peft's file, before it is sealed, and its size
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = "tuned model"
        constraints = [models.UniqueConstraint(fields=["org", "name"], name="tuned_model_names_are_unique")]

    def __str__(self) -> str:
        return self.name

    @property
    def context(self) -> int:
        """Tokens that a conversation with it may have where it is served: no fewer than the longest example that it may
        have learned from, and no more than its base reads."""
        wanted = max(_LEAST_CONTEXT, self.job.sequence_tokens)
        return min(wanted, self.evaluation.get("reads") or wanted)
