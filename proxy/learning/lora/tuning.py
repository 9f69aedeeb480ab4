"""A job's adapter, from its examples to what is served: the part of the worker that needs PyTorch."""

import hashlib
import logging
from typing import Final

from django.conf import settings

from costhub.lib import clock
from proxy.learning.checkpoints import Checkpoints
from proxy.learning.choices import JobState
from proxy.learning.conversations import Example
from proxy.learning.interruptions import Interruption
from proxy.learning.leases import Lease, keep_job, store_tuned
from proxy.learning.lora.adapter_files import AdapterFiles, write_adapter
from proxy.learning.lora.bases import UnknownBase, find_base, read_template
from proxy.learning.lora.language_models import Prepared, UnusableBase, prepare
from proxy.learning.lora.learner import LoraLearner
from proxy.learning.lora.sealed import ADAPTER, SERVED, seal_bytes
from proxy.learning.lora.texts import Encoded, encode_all
from proxy.learning.material import Material, TooLittle, check_consent, read_material
from proxy.learning.models import TunedModel
from proxy.learning.renewing import run_while_renewing
from proxy.learning.training import Ended, train
from tenants.access import org_scope
from tenants.models import Organization

_log = logging.getLogger(__name__)

#: held-out examples that it is tested on: the newest ones
MOST_TESTED: Final = 200
#: an adapter is a row of the database
MOST_ADAPTER_BYTES: Final = 64 * 1024 * 1024


def tune(
    lease: Lease,
    checkpoints: Checkpoints,
    interruption: Interruption,
    *,
    save_seconds: float,
    beat_seconds: float,
) -> JobState:
    """Train a job's adapter to its end, or until a notice comes; from the last checkpoint on where there is one.

    Raises TooLittle, for what is wrong with the base model too, what the loop raises, and MemoryError in words.
    """
    material = read_material(lease)
    loaded = _load(lease, material, interruption, beat_seconds)
    if loaded is None:
        return JobState.WAITING
    prepared, examples, tests = loaded
    learner = LoraLearner(prepared, examples, material.course, _name_rows(material))
    watch = _Watch(lease, material, learner, interruption, beat_seconds)
    outcome = train(
        learner, checkpoints, interruption, watch.beat, save_seconds=save_seconds, beat_seconds=beat_seconds
    )
    _log.info("a training ended", extra={"job": str(lease.job_id), "how": outcome.ended.value, "step": outcome.step})
    if outcome.ended is Ended.INTERRUPTED:
        return JobState.WAITING
    tuned = learner.score(tests, watch.rest)
    plain = learner.score(tests, watch.rest, with_adapter=False) if tuned is not None else None
    if tuned is None or plain is None:
        # Everything is learned, and safe: who goes on has only this to do.
        return JobState.WAITING
    files = write_adapter(prepared.model, material.job.base_model)
    evaluation = {
        "trained_on": len(examples),
        "left_out": len(material.train) - len(examples),
        "tokens": learner.tokens,
        "steps": learner.steps,
        "device": str(prepared.device),
        # Tokens that the base reads at once, where it says so: it is served with no more.
        "reads": _find_reads(prepared),
        "tuned": tuned.dump(),
        "base": plain.dump(),
    }
    watch.beat(None)
    store_tuned(lease, _make_row(material, files, evaluation))
    return JobState.DONE


class _Watch:
    """Looks after the lease, the money and the consent between two steps, and within long ones."""

    def __init__(
        self, lease: Lease, material: Material, learner: LoraLearner, interruption: Interruption, seconds: float
    ) -> None:
        self._lease = lease
        self._material = material
        self._learner = learner
        self._interruption = interruption
        self._seconds = seconds
        self._next = clock.ends_in(seconds)

    def beat(self, loss: float | None) -> None:
        """Raises what ``keep_job`` and ``check_consent`` raise."""
        one = self._learner
        keep_job(self._lease, step=one.step, steps=one.steps, loss=loss, tokens=one.tokens)
        check_consent(self._lease, self._material)

    def rest(self) -> bool:
        """Between two tests."""
        if clock.monotonic_ns() >= self._next:
            self.beat(None)
            self._next = clock.ends_in(self._seconds)
        return self._interruption.is_noticed


def _load(
    lease: Lease, material: Material, interruption: Interruption, beat_seconds: float
) -> tuple[Prepared, list[Encoded], list[Encoded]] | None:
    """The model and its examples, however long that takes; None where a notice came in between."""
    next_beat = clock.ends_in(beat_seconds)

    def rest() -> bool:
        nonlocal next_beat
        if clock.monotonic_ns() >= next_beat:
            keep_job(lease)
            next_beat = clock.ends_in(beat_seconds)
        return interruption.is_noticed

    return run_while_renewing(lambda: _prepare(material), rest, interruption)


def _prepare(material: Material) -> tuple[Prepared, list[Encoded], list[Encoded]]:
    job = material.job
    if len(material.train) < 2 or not material.held_out:
        raise TooLittle(
            f"{len(material.train)} examples to learn from and {len(material.held_out)} to test on are left: two and "
            "one are the least."
        )
    try:
        base = find_base(job.base_model, settings.BASE_MODELS_DIR)
        chat_template = read_template(base)
        prepared = prepare(base, rank=job.rank, seed=job.seed)
    except (UnknownBase, UnusableBase) as error:
        raise TooLittle(str(error)) from error

    reads = _find_reads(prepared)
    if reads is not None and reads < job.sequence_tokens:
        raise TooLittle(f"The base model reads {reads:,} tokens at the most: lower sequence_tokens to that.")
    size = sum(one.numel() * one.element_size() for one in prepared.model.parameters() if one.requires_grad)
    if size > MOST_ADAPTER_BYTES:
        raise TooLittle(f"The adapter has {size:,} bytes, {MOST_ADAPTER_BYTES:,} are the most: lower the rank.")

    def read(examples: list[Example]) -> list[Encoded]:
        try:
            return encode_all(prepared.tokenizer, examples, job.sequence_tokens, chat_template)
        except Exception as error:
            # Templates are programs, and refuse what they were not written for: a system's message, a turn twice.
            why = str(error).partition("\n")[0][:300]
            raise TooLittle(f"The model's chat template does not take these examples: {why}") from error

    examples, tests = read(material.train), read(material.held_out)[-MOST_TESTED:]
    if not examples or not tests:
        raise TooLittle(
            f"Of {len(material.train)} examples {len(examples)} are of at most {job.sequence_tokens} tokens, and of "
            f"{len(material.held_out)} to test on {len(tests)}: raise sequence_tokens."
        )
    return prepared, examples, tests


def _find_reads(prepared: Prepared) -> int | None:
    reads = getattr(prepared.model.config, "max_position_embeddings", None)
    return reads if isinstance(reads, int) and reads > 0 else None


def _name_rows(material: Material) -> str:
    job = material.job
    course = f"{job.base_model}:{job.rank}:{job.sequence_tokens}:{material.course}"
    return hashlib.sha256(f"{material.rows}:{course}".encode()).hexdigest()


def _make_row(material: Material, files: AdapterFiles, evaluation: dict[str, object]) -> TunedModel:
    job = material.job
    row = TunedModel(
        org_id=job.org_id,
        job=job,
        name=job.name,
        base_model=job.base_model,
        config=files.config,
        sha256=hashlib.sha256(files.peft).hexdigest(),
        size=len(files.peft),
        evaluation=evaluation,
        withdrawn=material.withdrawn,
    )
    with org_scope(job.org_id):
        org = Organization.objects.get(pk=job.org_id)
    row.adapter = seal_bytes(org, row.pk, ADAPTER, files.peft)
    row.served = seal_bytes(org, row.pk, SERVED, files.gguf) if files.gguf else b""
    return row
