"""``costhub gpu-worker``: a worker as a process of its own, as the settings say."""

from functools import partial
from importlib.util import find_spec
from typing import Final

from django.conf import settings
from django.db import close_old_connections
from threadpoolctl import threadpool_limits

from proxy.cache.embedder import load_model
from proxy.learning.checkpoints import open_store
from proxy.learning.choices import JobKind
from proxy.learning.datasets import embed_with
from proxy.learning.gpu_worker import GpuWorker
from proxy.learning.interruptions import Interruption

#: sums that are added up by several threads are rounded otherwise each time
_THREADS: Final = 1
#: what the training of adapters imports, of encoders and of language models
_EXTRA: Final = ("torch", "transformers", "peft", "safetensors", "gguf", "sentence_transformers")


def list_kinds() -> list[JobKind]:
    """The kinds of jobs that this installation can do."""
    return list(JobKind) if all(find_spec(name) for name in _EXTRA) else [JobKind.HEAD]


def run_worker(*, is_once: bool = False, name: str = "", threads: int = _THREADS) -> int:
    """Work until a notice comes, or with ``is_once`` until no job is there. With one of the ``threads`` a training that
    was interrupted ends with the same bits. Gives the number of jobs that were brought to an end. Raises StoreFailed
    where the settings name no place for checkpoints."""
    store = open_store(settings.CHECKPOINTS_URL)
    interruption = Interruption()
    interruption.listen_to_signals()
    if settings.INSTANCE_METADATA_URL:
        interruption.poll_cloud(settings.INSTANCE_METADATA_URL)
    embed = embed_with(partial(load_model, settings.CACHE_EMBEDDER))
    worker = GpuWorker(
        *(store, embed, interruption),
        name=name,
        kinds=prepare_kinds(threads),
        save_seconds=settings.CHECKPOINT_SECONDS,
        # A connection that was cut, or is old, is made anew.
        on_idle=close_old_connections,
    )
    try:
        with threadpool_limits(threads):
            return worker.run(is_once=is_once)
    finally:
        interruption.stop()


def prepare_kinds(threads: int) -> list[JobKind]:
    """The same, with PyTorch held to so many threads where it is there: several that find the processor busy wait for
    each other most of the time."""
    kinds = list_kinds()
    if kinds != [JobKind.HEAD]:
        import torch  # noqa: PLC0415 - seconds that only a worker pays

        torch.set_num_threads(threads)
    return kinds
