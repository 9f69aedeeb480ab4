"""A tuned model that is served, as a model of an upstream with a price; and its files, for who serves it elsewhere."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from django.conf import settings
from django.db import transaction

from costhub.lib.errors import Conflict
from proxy.learning.choices import TunedState
from proxy.learning.distilled_routes import check_one_route, drop_route, put_route
from proxy.learning.lora.archive import whole, write_tar
from proxy.learning.lora.bases import UnknownBase, find_base
from proxy.learning.lora.merging import CannotMerge, merge
from proxy.learning.lora.sealed import ADAPTER, SERVED, Unreadable, open_bytes
from proxy.learning.lora.trials import find_trust
from proxy.learning.models import TunedModel
from proxy.learning.server_upstreams import find_server_upstream
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.models import create_model, update_model
from tenants.actions.pricing import create_price
from tenants.choices import Permission, Tokenizer
from tenants.models import LanguageModel

UPSTREAM: Final = "tuned"
#: a process that is not there yet takes seconds to start
TIMEOUT_MS: Final = 120_000


def deploy_tuned(
    *, actor: Actor, tuned: TunedModel, input_per_million: Decimal, output_per_million: Decimal, route: str = ""
) -> TunedModel:
    """Serve it as a model of its name at this price, in USD per million tokens; from then on it is compared with its
    teacher. With ``route`` calls of that name are asked of it first, and of the teacher where it is not sure, as far as
    it is trusted: while it is in the shadow, by the teacher alone.

    Raises Conflict where there is no server of tuned models, nothing is left of it, llama.cpp does not know its kind,
    the name is taken, or it has another route; InvalidField for a price or a route that cannot be.
    """
    actor.check(Permission.WRITE_SETTINGS)
    if not settings.TUNED_URL:
        raise Conflict(
            "No server of tuned models is known: start `costhub tuned-server`, and set COSTHUB_TUNED_URL to where it is."
        )
    _check_ready(tuned)
    if not tuned.served:
        raise Conflict(
            "llama.cpp serves no adapters of this kind of model: export it, serve it elsewhere, such as with vLLM, and "
            "add a model with student_of."
        )
    with transaction.atomic():
        rows = TunedModel.objects.select_related("job__version__dataset").defer("adapter", "served")
        tuned = rows.select_for_update(of=("self",)).get(pk=tuned.pk)
        # Consent may have been withdrawn a moment ago.
        _check_ready(tuned)
        teacher = tuned.job.version.dataset.teacher
        found = LanguageModel.objects.filter(org=actor.org, name=tuned.model).first() if tuned.model else None
        if found is None:
            found = create_model(
                actor=actor,
                name=tuned.name,
                upstream=find_server_upstream(actor, UPSTREAM, settings.TUNED_URL, timeout_ms=TIMEOUT_MS),
                upstream_model=tuned.name,
                context_window=tuned.context,
                max_output_tokens=tuned.context // 2,
                tokenizer=Tokenizer.BYTES,
                student_of=teacher if LanguageModel.objects.filter(org=actor.org, name=teacher).exists() else "",
            )
        else:
            update_model(actor=actor, model=found, is_active=True)
        create_price(
            actor=actor, model=found, input_per_million=input_per_million, output_per_million=output_per_million
        )
        check_one_route(actor, tuned.route, route or tuned.route, upstream_model=tuned.name, teacher=teacher)
        tuned.route = route or tuned.route
        if tuned.route:
            put_route(actor, tuned.route, model=found.name, teacher=teacher, trust=find_trust(tuned))
        record(actor, "deployed", tuned, model=found.name, route=tuned.route)
        tuned.model = found.name
        tuned.save(update_fields=["model", "route"])
    return tuned


def retire_tuned(*, actor: Actor, tuned: TunedModel) -> TunedModel:
    """Serve it no longer: calls to its model are refused, and its route goes, with the name that calls had for it."""
    actor.check(Permission.WRITE_SETTINGS)
    teacher = tuned.job.version.dataset.teacher
    with transaction.atomic():
        # It before its route, as whoever moves it: nobody waits for each other in a circle.
        rows = TunedModel.objects.select_related("job__version__dataset").defer("adapter", "served")
        tuned = rows.select_for_update(of=("self",)).get(pk=tuned.pk)
        drop_route(actor, tuned.route, upstream_model=tuned.name, teacher=teacher)
        switch_off(actor, tuned)
        record(actor, "retired", tuned, model=tuned.model, route=tuned.route)
        tuned.route = ""
        tuned.save(update_fields=["route"])
    return tuned


def switch_off(actor: Actor, tuned: TunedModel) -> None:
    """Have its model refuse calls, where it has one."""
    found = LanguageModel.objects.filter(org=actor.org, name=tuned.model).first() if tuned.model else None
    if found is not None:
        update_model(actor=actor, model=found, is_active=False)


def export_tuned(*, actor: Actor, tuned: TunedModel) -> bytes:
    """Its files as a tar archive: peft's two, and llama.cpp's where there is one. Weights may say what they were
    taught, so that only who may export what people said may have them, and has shown a moment ago who they are. Raises
    StaleSession, and Conflict where nothing is left of it."""
    files = [
        whole("adapter_config.json", json.dumps(tuned.config, indent=2, sort_keys=True).encode()),
        whole("adapter_model.safetensors", _open(actor, tuned, ADAPTER, tuned.adapter)),
    ]
    if tuned.served:
        files.append(whole("adapter.gguf", _open(actor, tuned, SERVED, tuned.served)))
    actor.check_fresh()
    record(actor, "exported", tuned, sha256=tuned.sha256)
    return b"".join(write_tar(files))


def export_merged(*, actor: Actor, tuned: TunedModel) -> Iterator[bytes]:
    """The same of its base model with the adapter in it, made as it is read: ``merged.gguf`` where the base is such a
    file, else the files of a folder of Hugging Face's form. Raises Conflict also where the base model does not lie on
    this machine, or is of a kind that is not merged here."""
    adapter = _open(actor, tuned, ADAPTER, tuned.adapter)
    served = _open(actor, tuned, SERVED, tuned.served) if tuned.served else b""
    actor.check_fresh()
    try:
        base = find_base(tuned.base_model, settings.BASE_MODELS_DIR)
        files = merge(base, peft=adapter, config=tuned.config, gguf=served)
    except (UnknownBase, CannotMerge) as error:
        raise Conflict(str(error)) from error
    record(actor, "exported", tuned, sha256=tuned.sha256, merged=True)
    return write_tar(files)


def _open(actor: Actor, tuned: TunedModel, what: str, sealed: bytes | memoryview) -> bytes:
    actor.check(Permission.WRITE_SETTINGS)
    actor.check_fresh()
    _check_ready(tuned)
    try:
        return open_bytes(actor.org, tuned.pk, what, sealed)
    except Unreadable as error:
        raise Conflict(str(error)) from error


def _check_ready(tuned: TunedModel) -> None:
    if tuned.state != TunedState.READY.value:
        raise Conflict("What this model has learned was withdrawn: nothing of it is left. It is trained again.")
