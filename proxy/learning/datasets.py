"""Datasets: made, filled by calls, teacher runs and imports, and frozen as versions."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import numpy as np
import orjson
from django.db import IntegrityError, transaction
from django.db.models import Max, Q, QuerySet

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.moments import from_ms, to_ms
from proxy.cache.embedder import Model
from proxy.edges.capture import place_of
from proxy.learning.assembly import Assembled, NothingLeft, Recipe, Vectors, assemble
from proxy.learning.choices import ExampleKind, JobState, Verdict, VersionState
from proxy.learning.consent import Consent, is_covered, list_consents
from proxy.learning.conversations import Example, NoExample, pack, read_call, read_jsonl, unpack, write_jsonl
from proxy.learning.judging import JUDGES, refuse_poor, refuse_unread
from proxy.learning.models import (
    CapturedCall,
    Dataset,
    DatasetVersion,
    LearnedExample,
    ProviderTuning,
    Student,
    TrainingJob,
    TunedModel,
)
from proxy.learning.people import NAME, Find, count_characters, find_kept, take_out
from proxy.learning.scrubbing import scrub
from proxy.learning.sealing import EXAMPLE, Unreadable, seal, unseal
from tenants.access import Actor, job_scope
from tenants.actions.audit import record
from tenants.choices import Permission
from tenants.models import LanguageModel, Route

_log = logging.getLogger(__name__)

#: the most that one version is made of: the newest
MOST_EXAMPLES: Final = 10_000
MOST_DATASETS: Final = 200
#: what one transaction reads
_BATCH: Final = 500
#: examples whose names are taken out in one transaction, and for how long a turn of the job does it, which is as often:
#: other slow jobs have their turns in between. One that took more than a quarter of that leaves the rest of its work to
#: the next
_LOOKED_OVER: Final = 50
LOOK_FOR_SECONDS: Final = 15.0
_TURN_LEFT: Final = 4
#: characters of an example that is looked over: half a minute
MOST_LOOKED_OVER: Final = 200_000

#: one in so many is looked over
_FEW: Final = 20
#: reasons to leave examples out that say something of all of them
_SUSPICIOUS: Final = {
    "contradictory": "ask what others ask and were answered otherwise: the teacher is not sure, or somebody has mixed "
    "in wrong answers.",
    "outvoted": "were left out since their neighbours all have one other answer: look for wrong or poisoned ones.",
    "refusal": "were refused by the teacher: ask it otherwise.",
    "judged poor": "were called poor by the judge: another teacher may be worth its price.",
}

Embed = Callable[[Sequence[str]], Vectors]


def create_dataset(
    *,
    actor: Actor,
    name: str,
    teacher: str,
    held_out_percent: int = 20,
    near_per_mille: int = 970,
    drops_outvoted: bool = True,
    takes_out_names: bool = True,
    region: str = "",
) -> Dataset:
    """A dataset of what one model answers. Raises InvalidField for what cannot be, Conflict where the name is taken."""
    actor.check(Permission.WRITE_SETTINGS)
    if not name.strip() or len(name) > 120:
        raise InvalidField("Give a name of at most 120 characters.", field="name")
    if not LanguageModel.objects.filter(org=actor.org, name=teacher).exists():
        raise InvalidField("Give one of the organisation's models.", field="teacher")
    if not 1 <= held_out_percent <= 90:
        raise InvalidField("Hold out from 1 to 90 per cent.", field="held_out_percent")
    if not 500 <= near_per_mille <= 1_000:
        raise InvalidField("Give 500 to 1000; 1000 counts only identical texts as equal.", field="near_per_mille")
    if region and not (len(region) == 2 and region.isascii() and region.isupper()):
        raise InvalidField("Give a country's two letters, such as US, or leave it out.", field="region")
    if Dataset.objects.filter(org=actor.org).count() >= MOST_DATASETS:
        raise Conflict(f"There are {MOST_DATASETS} datasets: delete one that is not needed.")
    dataset = Dataset(
        org=actor.org,
        name=name,
        teacher=teacher,
        held_out_percent=held_out_percent,
        near_per_mille=near_per_mille,
        drops_outvoted=drops_outvoted,
        takes_out_names=takes_out_names,
        region=region,
    )
    try:
        with transaction.atomic():
            dataset.save(force_insert=True)
            record(actor, "created", dataset, name=name, teacher=teacher)
    except IntegrityError as error:
        raise Conflict("There is a dataset of this name already.", field="name") from error
    return dataset


def delete_dataset(*, actor: Actor, dataset: Dataset) -> None:
    """The dataset goes, with its examples, versions, jobs and students. Raises Conflict while a training on it uses
    what is not charged yet: with its row nobody would know of it; and while what was trained on it answers calls, which
    would find nobody there."""
    actor.check(Permission.WRITE_SETTINGS)
    with transaction.atomic():
        jobs = TrainingJob.objects.filter(org=actor.org, version__dataset=dataset, segment_from__isnull=False)
        # With its row nobody would know of the file that the provider has, either.
        has_more = Q(state=JobState.RUNNING.value) | ~Q(remote_file="")
        tunings = ProviderTuning.objects.filter(has_more, org=actor.org, version__dataset=dataset)
        if jobs.exists() or tunings.exists():
            raise Conflict("A training on this dataset is running: cancel it, and wait until it is charged.")
        if served := _find_served(actor, dataset):
            raise Conflict(f"What was trained on this dataset answers calls of {served}: serve it no longer first.")
        record(actor, "deleted", dataset, name=dataset.name)
        dataset.delete()


def _find_served(actor: Actor, dataset: Dataset) -> str:
    """A name by which calls reach what was trained on a dataset; empty where there is none."""
    students = Student.objects.filter(org=actor.org, job__version__dataset=dataset).exclude(route="")
    tuned = TunedModel.objects.filter(org=actor.org, job__version__dataset=dataset).exclude(model="")
    provided = ProviderTuning.objects.filter(org=actor.org, version__dataset=dataset).exclude(route="")
    names = [
        *(route for rows in (students, provided) for route in rows.values_list("route", flat=True)),
        *tuned.values_list("model", flat=True),
    ]
    routes = Route.objects.filter(org=actor.org, name__in=names)
    models = LanguageModel.objects.filter(org=actor.org, name__in=names, is_active=True)
    answers = [*routes.values_list("name", flat=True), *models.values_list("name", flat=True)]
    return min(answers, default="")


def import_lines(*, actor: Actor, dataset: Dataset, lines: str) -> int:
    """Add examples of OpenAI's fine-tuning JSONL, scrubbed. Gives how many. Raises InvalidField, naming the line."""
    actor.check(Permission.WRITE_SETTINGS)
    source, now = uuid4(), clock.now()
    examples = read_jsonl(lines, source=str(source), at_ms=to_ms(now))
    with transaction.atomic():
        store_examples(dataset, ExampleKind.IMPORT, [(example, number, "") for number, example in enumerate(examples)])
        record(actor, "imported", dataset, source=source, examples=len(examples))
    return len(examples)


def store_examples(
    dataset: Dataset, kind: ExampleKind, examples: Sequence[tuple[Example, int, str]], *, model: str = ""
) -> None:
    """Scrub, seal and store examples, each with its place in its source and its end user; those that are there already
    stay as they are. Inside an open organisation."""
    rows = []
    for example, number, end_user in examples:
        cleaned, found = scrub(example, dataset.region or None)
        row = LearnedExample(
            org=dataset.org,
            dataset=dataset,
            kind=kind.value,
            source=UUID(example.source),
            number=number,
            at=from_ms(example.at_ms),
            model=model or dataset.teacher,
            end_user=end_user,
            scrubbed=dict(found),
        )
        row.sealed = seal(dataset.org, f"{EXAMPLE} {row.pk}", pack(cleaned))
        rows.append(row)
    LearnedExample.objects.bulk_create(rows, ignore_conflicts=True)


def gather_calls(org_id: UUID, dataset_id: UUID) -> int:
    """Make examples of the captured calls that the dataset's teacher answered and it does not have yet. Gives how many
    were looked at."""
    looked_at = 0
    after = UUID(int=0)
    while True:
        with job_scope(org_id) as actor:
            dataset = Dataset.objects.filter(org=actor.org, pk=dataset_id).select_related("org").first()
            if dataset is None:
                return looked_at
            known = LearnedExample.objects.filter(org=actor.org, dataset=dataset, kind=ExampleKind.CALL.value)
            calls = list(
                CapturedCall.objects.filter(org=actor.org, teacher=dataset.teacher, pk__gt=after)
                .exclude(pk__in=known.values("source"))
                .order_by("pk")[:_BATCH]
            )
            _store_calls(dataset, calls)
        if not calls:
            return looked_at
        looked_at += len(calls)
        after = calls[-1].pk


def _store_calls(dataset: Dataset, calls: Sequence[CapturedCall]) -> None:
    consents = list_consents(dataset.org)
    for model in {call.model for call in calls}:
        examples = []
        for call in calls:
            if call.model != model or not is_covered(consents, call.model, call.at):
                continue
            try:
                prompt, answer = open_call(call, dataset)
            except (NoExample, Unreadable):
                continue
            examples.append((Example(str(call.pk), to_ms(call.at), prompt, answer), 0, call.end_user))
        store_examples(dataset, ExampleKind.CALL, examples, model=model)


def open_call(call: CapturedCall, owner: Dataset) -> tuple[tuple[Any, ...], str]:
    """A captured call's conversation and answer. Raises NoExample, Unreadable."""
    said = orjson.loads(unseal(owner.org, place_of(str(call.pk)), bytes(call.sealed)))
    return read_call({"messages": said["messages"]}, said["answer"].encode(), said["content_type"])


def request_version(*, actor: Actor, dataset: Dataset) -> DatasetVersion:
    """Have a version made of what there is; a job does it. Raises Conflict while one is being made."""
    actor.check(Permission.WRITE_SETTINGS)
    with transaction.atomic():
        # Two at once would take one number.
        Dataset.objects.select_for_update().get(pk=dataset.pk)
        versions = DatasetVersion.objects.filter(org=actor.org, dataset=dataset)
        if versions.filter(state=VersionState.WAITING.value).exists():
            raise Conflict("A version of this dataset is being made: wait for it.")
        number = (versions.aggregate(last=Max("number"))["last"] or 0) + 1
        version = DatasetVersion.objects.create(org=actor.org, dataset=dataset, number=number)
        record(actor, "requested", version, dataset=dataset.name, number=number)
    return version


def build_version(
    org_id: UUID, version_id: UUID, embed: Embed, find: Find | None = None, *, seconds: float = LOOK_FOR_SECONDS
) -> None:
    """Make a version that waits; one that cannot be made says why. Names and addresses that ``find`` finds are taken
    out of its examples first, once of each, for so many ``seconds`` at the most: then the version goes on waiting, for
    a next turn; what comes meanwhile is not waited for. Without ``find``, which is for texts that somebody has made up,
    and where the dataset says so, they stay."""
    with job_scope(org_id) as actor:
        version = _waiting(actor, version_id)
        if version is None:
            return
        dataset = version.dataset
    gather_calls(org_id, dataset.pk)
    finder = find if dataset.takes_out_names else None
    if finder is not None and not take_people_out(org_id, dataset, finder, seconds, asked_at=version.created_at):
        return
    with job_scope(org_id) as actor:
        rows, examples = open_examples(actor, dataset)
    recipe = Recipe(dataset.held_out_percent, dataset.near_per_mille / 1_000, dataset.drops_outvoted)
    needs_vectors = (recipe.near < 1 or recipe.drops_outvoted) and examples
    try:
        # The model takes its time, and no transaction waits for it.
        vectors = embed([example.question for example in examples]) if needs_vectors else None
        poor = {one.source for one, row in zip(examples, rows, strict=True) if row.verdict == Verdict.POOR.value}
        judges = [*JUDGES, refuse_poor(poor)]
        if finder is not None:
            unread = {one.source for one, row in zip(examples, rows, strict=True) if NAME not in row.scrubbed}
            judges.append(refuse_unread(unread))
        made = assemble(examples, vectors, recipe, judges)
    except NothingLeft as error:
        with job_scope(org_id) as actor:
            if version := _waiting(actor, version_id):
                version.state, version.error = VersionState.FAILED.value, str(error)
                version.save(update_fields=["state", "error"])
        return
    # It brings what pages, which know this module, have no use for.
    from proxy.learning.vocabulary import count_unknown  # noqa: PLC0415

    unknown = count_unknown(examples[place].question for place in (*made.train, *made.held_out))
    with job_scope(org_id) as actor:
        if version := _waiting(actor, version_id):
            _freeze(version, rows, made, recipe, unknown)


def take_people_out(org_id: UUID, dataset: Dataset, find: Find, seconds: float, *, asked_at: datetime) -> bool:
    """Take names and addresses out of the dataset's newest examples that nobody has looked over, for so many seconds,
    those up to ``asked_at`` first. Says whether none of these is left, and the turn has time for what comes next; what
    was done stays done. Of what came after that moment as much is looked over as that time allows. Examples above
    ``MOST_LOOKED_OVER`` characters are left as they are, and are in no version."""
    with job_scope(org_id) as actor:
        rows, examples = open_examples(actor, dataset)
    kept = find_kept(examples, [row.end_user for row in rows])
    unread = [
        (row, example)
        for row, example in zip(rows, examples, strict=True)
        if NAME not in row.scrubbed and count_characters(example) <= MOST_LOOKED_OVER
    ]
    # Or a dataset whose calls never stop would have no version.
    waiting = sorted(unread, key=lambda one: one[0].at > asked_at)
    due = sum(row.at <= asked_at for row, _ in unread)
    # Opening takes its time, too, and the more the larger the dataset is: it is not taken from that of looking.
    is_over, is_late = clock.ends_in(seconds), clock.ends_in(seconds / _TURN_LEFT)
    cleaned: list[tuple[LearnedExample, Example, Mapping[str, int]]] = []
    done, has_time = 0, True
    for row, example in waiting:
        if done and clock.monotonic_ns() >= (is_over if done < due else is_late):
            break
        # The model takes its time, and no transaction waits for it.
        cleaned.append((row, *take_out(example, find, kept)))
        done += 1
        if done == due:
            has_time = clock.monotonic_ns() < is_late
        if len(cleaned) == _LOOKED_OVER:
            _store_cleaned(org_id, dataset, cleaned)
            cleaned.clear()
    _store_cleaned(org_id, dataset, cleaned)
    return done >= due and has_time


def _store_cleaned(
    org_id: UUID, dataset: Dataset, cleaned: Sequence[tuple[LearnedExample, Example, Mapping[str, int]]]
) -> None:
    with job_scope(org_id) as actor:
        # Consent may have gone meanwhile: a tombstone stays one.
        there = list_examples(actor, dataset).filter(pk__in=[row.pk for row, _, _ in cleaned], sealed__isnull=False)
        still = {row.pk: row for row in there.select_for_update(of=("self",))}
        changed = []
        for row, example, found in cleaned:
            if (now := still.get(row.pk)) is None or NAME in now.scrubbed:
                continue
            # A kind of which nothing was found was looked for: NAME says so of an example.
            now.scrubbed = now.scrubbed | found
            now.sealed = seal(actor.org, f"{EXAMPLE} {now.pk}", pack(example))
            changed.append(now)
        LearnedExample.objects.bulk_update(changed, ["scrubbed", "sealed"])


def _waiting(actor: Actor, version_id: UUID) -> DatasetVersion | None:
    return (
        DatasetVersion.objects.select_for_update(of=("self",))
        .filter(org=actor.org, pk=version_id, state=VersionState.WAITING.value)
        .select_related("dataset", "dataset__org")
        .first()
    )


def open_examples(actor: Actor, dataset: Dataset) -> tuple[list[LearnedExample], list[Example]]:
    """The dataset's newest examples that may be learned from. Inside an open organisation."""
    consents = list_consents(actor.org)
    rows, examples = [], []
    for row in list_examples(actor, dataset).filter(sealed__isnull=False).order_by("-at", "-number")[:MOST_EXAMPLES]:
        if not may_learn(consents, row):
            continue
        rows.append(row)
        examples.append(open_example(actor, row))
    return rows, examples


def may_learn(consents: Sequence[Consent], row: LearnedExample) -> bool:
    """What was withdrawn and not erased yet is not learned from either."""
    return row.kind != ExampleKind.CALL.value or is_covered(consents, row.model, row.at)


def open_example(actor: Actor, row: LearnedExample) -> Example:
    """What one says. Raises Unreadable."""
    text = unseal(actor.org, f"{EXAMPLE} {row.pk}", bytes(row.sealed or b""))
    # Imports and runs have one moment: their places are in the source, so that the order is always the same.
    return unpack(f"{row.source}/{row.number:09d}", to_ms(row.at), text)


def _freeze(
    version: DatasetVersion, rows: Sequence[LearnedExample], made: Assembled, recipe: Recipe, unknown: int
) -> None:
    scrubbed: Counter[str] = Counter()
    for row in rows:
        scrubbed.update(row.scrubbed)
    chosen = [rows[place] for place in (*made.train, *made.held_out)]
    version.train = [rows[place].pk for place in made.train]
    version.held_out = [rows[place].pk for place in made.held_out]
    version.sha256 = made.sha256
    version.labels = dict(made.labels)
    version.lineage = {
        "teacher": version.dataset.teacher,
        "held_out_percent": recipe.held_out_percent,
        "near_per_mille": version.dataset.near_per_mille,
        "drops_outvoted": recipe.drops_outvoted,
        "examples": len(rows),
        "dropped": dict(made.dropped),
        "kinds": dict(Counter(row.kind for row in chosen)),
        "scripts": dict(made.scripts),
        "unknown_words": unknown,
        "scrubbed": dict(+scrubbed),
        "first": chosen[0].at.isoformat(),
        "last": chosen[-1].at.isoformat(),
        "previous": version.number - 1 or None,
    }
    version.state = VersionState.READY.value
    version.save()


def list_scripts(version: DatasetVersion) -> list[tuple[str, int]]:
    """How many questions are in which letters, the commonest first."""
    return sorted(version.lineage.get("scripts", {}).items(), key=lambda one: (-one[1], one[0]))


def list_version_warnings(version: DatasetVersion) -> list[str]:
    """What somebody should look at before a version is learned from."""
    told, found = version.lineage, []
    questions, unknown = sum(told.get("scripts", {}).values()), told.get("unknown_words", 0)
    if unknown * _FEW > questions:
        found.append(
            f"{unknown:,} of {questions:,} questions are in words that the encoder of students does not know, since it "
            "was trained on English: it tells such questions apart badly. Train one with an encoder of its own or an "
            "adapter of a language model, or make a dataset of each language."
        )
    dropped, examples = told.get("dropped", {}), told.get("examples", 0)
    for reason, why in _SUSPICIOUS.items():
        if dropped.get(reason, 0) * _FEW > examples:
            found.append(f"{dropped[reason]:,} of {examples:,} examples {why}")
    return found


def list_examples(actor: Actor, dataset: Dataset) -> QuerySet[LearnedExample]:
    """The dataset's examples, tombstones too."""
    return LearnedExample.objects.filter(org=actor.org, dataset=dataset)


def read_version(actor: Actor, version: DatasetVersion, *, held_out: bool) -> list[Example]:
    """The examples of a version's one part, in their order, without those that were withdrawn since. Raises Conflict
    where the version is not there."""
    if version.state != VersionState.READY.value:
        raise Conflict("This version has not been made.")
    ids = version.held_out if held_out else version.train
    rows = {row.pk: row for row in list_examples(actor, version.dataset).filter(pk__in=ids, sealed__isnull=False)}
    return [open_example(actor, rows[pk]) for pk in ids if pk in rows]


def count_withdrawn(version: DatasetVersion) -> int:
    """How many of a version's examples were withdrawn since it was made. Inside an open organisation."""
    ids = [*version.train, *version.held_out]
    return LearnedExample.objects.filter(org_id=version.org_id, pk__in=ids, sealed__isnull=True).count()


def export_version(*, actor: Actor, version: DatasetVersion, held_out: bool) -> bytes:
    """OpenAI's fine-tuning JSONL of a version's one part. Only who may change settings may read what people said, and
    has shown a moment ago who they are. Raises StaleSession."""
    actor.check(Permission.WRITE_SETTINGS)
    actor.check_fresh()
    examples = read_version(actor, version, held_out=held_out)
    record(actor, "exported", version, held_out=held_out, examples=len(examples))
    return write_jsonl(examples)


def embed_with(load: Callable[[], Model]) -> Embed:
    """What makes vectors of many texts, in batches, with a model that is loaded for the first of them."""
    loaded: list[Model] = []

    def embed(texts: Sequence[str]) -> Vectors:
        if not loaded:
            loaded.append(load())
        parts = [loaded[0].embed(texts[start : start + 256]) for start in range(0, len(texts), 256)]
        return np.vstack(parts).astype(np.float32) if parts else np.zeros((0, 384), np.float32)

    return embed
