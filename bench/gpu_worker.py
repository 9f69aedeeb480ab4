"""What an interruption costs a training, and what its checkpoints do.

python -m bench.gpu_worker [--kind head|lora] [--rounds 2] [--blocks 6]

``costhub gpu-worker`` is started on one job, ended with SIGTERM, started again, killed with kill -9 some while after
its first checkpoint, and taken over by another one that waits for that; checkpoints, one every 20 s as by default, go
to a folder. Then a learner makes its steps in blocks of some seconds, in turns without checkpoints and with one a
second, and the processor's time of both is compared. ``lora`` is SmolLM2 with an adapter, and wants the extra
(``.venv-learning/bin/python -m bench.gpu_worker --kind lora``).
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.rollups import servers

if TYPE_CHECKING:
    from proxy.learning.models import TrainingJob
    from proxy.learning.training import Learner

SAVE_SECONDS = 20
#: between a worker's first step and what happens to it
TRAINED_SECONDS = 4.0
#: the same before a kill: one checkpoint is safe, and the next is not due yet
BEFORE_KILL_SECONDS = 33.0
BLOCK_SECONDS = 5.0
LOOK_SECONDS = 0.02
#: until a worker has loaded its model, on a busy machine
START_SECONDS = 180.0
COURSES: dict[str, dict[str, Any]] = {
    "head": {"epochs": 10_000, "batch_rows": 1, "rate_millionths": 100},
    "lora": {"kind": "lora", "base_model": "smollm2-135m-instruct", "rank": 4, "epochs": 50, "batch_rows": 4},
}


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu_worker")
    parser.add_argument("--kind", choices=list(COURSES), default="head")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--blocks", type=int, default=6)
    options = parser.parse_args(arguments)
    with servers(), tempfile.TemporaryDirectory(prefix="costhub-bench-") as folder:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "costhub.settings",
            "COSTHUB_CHECKPOINTS_URL": (Path(folder) / "checkpoints").as_uri(),
            "COSTHUB_CHECKPOINT_SECONDS": str(SAVE_SECONDS),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        import django  # noqa: PLC0415 - the settings read where the database is

        django.setup()
        from django.core.management import call_command  # noqa: PLC0415

        call_command("migrate", database="owner", verbosity=0)
        figures: dict[str, list[float]] = {}
        for number in range(options.rounds):
            for name, value in _interrupt(options.kind, number):
                figures.setdefault(name, []).append(value)
        for name, values in figures.items():
            print(f"{name}: {', '.join(f'{value:.2f}' for value in values)}", flush=True)
        _compare(options.kind, options.blocks, Path(folder))
    return 0


def _interrupt(kind: str, number: int) -> Iterator[tuple[str, float]]:
    """One job's story, as names and figures."""
    job = _make_job(kind, f"{kind}-{number}")
    with _worker() as (first, began):
        _wait(first, lambda: _read(job).step > 0)
        yield "s from the start of a worker to its first step", time.perf_counter() - began
        time.sleep(TRAINED_SECONDS)
        told = time.perf_counter()
        first.send_signal(signal.SIGTERM)
        first.wait(60)
        yield "s from SIGTERM to the end of the process", time.perf_counter() - told
    left = _read(job)
    assert left.state == "waiting", (left.state, left.error)
    yield "steps lost after SIGTERM", left.step - _safe_step(job)

    with _worker() as (second, began):
        _wait(second, lambda: _read(job).step > left.step)
        yield "s from the start of a worker to its first step, resumed", time.perf_counter() - began
        time.sleep(BEFORE_KILL_SECONDS)
        with _worker() as (third, _):
            # It is loaded, and waits for a job.
            time.sleep(TRAINED_SECONDS)
            killed, safe_at, fence = time.time(), _safe_since(), _read(job).fence
            second.kill()
            second.wait()
            dead = _read(job)
            yield "s of work lost after kill -9", killed - safe_at
            yield "steps lost after kill -9, at the least", dead.step - _safe_step(job)
            _wait(third, lambda: (now := _read(job)).fence > fence and now.pace_from is not None)
            yield "s from kill -9 to another worker's first step", time.time() - killed
            third.send_signal(signal.SIGTERM)
            third.wait(60)
    _cancel(job)


@contextmanager
def _worker() -> Iterator[tuple["subprocess.Popen[bytes]", float]]:
    """``costhub gpu-worker`` as a process, and when it was started."""
    began = time.perf_counter()
    command = [sys.executable, "-W", "ignore", "-m", "costhub.cli", "gpu-worker"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process, began
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", is_so: Callable[[], bool]) -> None:
    ends = time.perf_counter() + START_SECONDS
    while not is_so():
        assert process.poll() is None, "the worker has ended"
        assert time.perf_counter() < ends, "the worker does not get there"
        time.sleep(LOOK_SECONDS)


def _make_job(kind: str, name: str) -> "TrainingJob":
    from proxy.learning.choices import JobKind  # noqa: PLC0415
    from proxy.learning.jobs import create_training_job  # noqa: PLC0415
    from tenants.access import org_scope  # noqa: PLC0415
    from tests.proxy.learning.rows import fill, make_dataset, make_version  # noqa: PLC0415
    from tests.world import make_world  # noqa: PLC0415

    acme = make_world(unique=True).acme
    dataset = make_dataset(acme, name)
    fill(acme, dataset, 135)
    version = make_version(acme, dataset)
    course = COURSES[kind] | {"kind": JobKind(kind)}
    with org_scope(acme.org.pk):
        return create_training_job(actor=acme.owner, version=version, project=acme.project, name=name, **course)


def _read(job: "TrainingJob") -> "TrainingJob":
    from tenants.access import org_scope  # noqa: PLC0415

    with org_scope(job.org_id):
        return type(job).objects.get(pk=job.pk)


def _cancel(job: "TrainingJob") -> None:
    from proxy.learning.choices import JobState  # noqa: PLC0415
    from tenants.access import org_scope  # noqa: PLC0415

    with org_scope(job.org_id):
        type(job).objects.filter(pk=job.pk).update(state=JobState.CANCELLED.value)


def _safe_step(job: "TrainingJob") -> int:
    """Of the newest checkpoint that is whole."""
    from proxy.learning.checkpoints import Checkpoints, open_store  # noqa: PLC0415

    found = Checkpoints(open_store(os.environ["COSTHUB_CHECKPOINTS_URL"]), str(job.pk), 0).load()
    return found.step if found is not None else 0


def _safe_since() -> float:
    """When the newest manifest was written."""
    folder = Path(os.environ["COSTHUB_CHECKPOINTS_URL"].removeprefix("file://"))
    return max(path.stat().st_mtime for path in folder.rglob("manifests/*.json"))


def _compare(kind: str, blocks: int, folder: Path) -> None:
    """Blocks of steps in turns, without checkpoints and with one a second: what one costs."""
    from proxy.learning.checkpoint_writer import CheckpointWriter  # noqa: PLC0415
    from proxy.learning.checkpoints import Checkpoints, open_store  # noqa: PLC0415

    learner = _make_learner(kind)
    checkpoints = Checkpoints(open_store((folder / "compared").as_uri()), "job", 1)
    checkpoints.take_over()
    writer = CheckpointWriter(checkpoints)
    cpu: dict[bool, list[float]] = {False: [], True: []}
    wall: dict[bool, list[float]] = {False: [], True: []}
    saves = 0
    for block in range(2 * blocks):
        # In turns, and each first every other time.
        is_saving = block % 4 in (1, 2)
        steps, began, began_cpu = 0, time.perf_counter(), time.process_time()
        next_save = began
        while (now := time.perf_counter()) < began + BLOCK_SECONDS:
            learner.take_step(lambda: False)
            steps += 1
            if is_saving and now >= next_save:
                writer.submit(learner.step, learner.dump())
                next_save, saves = now + 1, saves + 1
        writer.flush(30)
        cpu[is_saving].append((time.process_time() - began_cpu) / steps)
        wall[is_saving].append((time.perf_counter() - began) / steps)
    writer.close(30)
    size = sum(len(part) for part in learner.dump().values())
    for name, found in (("processor", cpu), ("clock", wall)):
        without, with_one = median(found[False]), median(found[True])
        more = with_one / without - 1
        print(
            f"a step, by the {name}: {without * 1000:.3f} ms without checkpoints, {with_one * 1000:.3f} with one a "
            f"second ({more:+.2%}), so {more / SAVE_SECONDS:+.3%} with one every {SAVE_SECONDS} s"
        )
    print(f"{saves} checkpoints of {size:,} bytes, {2 * blocks} blocks of {BLOCK_SECONDS:.0f} s", flush=True)


def _make_learner(kind: str) -> "Learner":
    if kind == "lora":
        from costhub.stack.model_server import MODEL  # noqa: PLC0415
        from tests.learning.tuner import make_learner  # noqa: PLC0415

        return make_learner("", MODEL, 1_000)
    from proxy.learning.head import Course  # noqa: PLC0415
    from proxy.learning.head_learner import HeadLearner  # noqa: PLC0415
    from tests.proxy.learning.trainer import make_lesson  # noqa: PLC0415

    return HeadLearner(make_lesson(), Course(10_000, 64, 0.01, 3))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
