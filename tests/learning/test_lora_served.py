"""SmolLM2 is taught something, and says it through the proxy at its price."""

import asyncio
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from django.conf import settings as configured
from peft import PeftModel
from transformers import AutoModelForCausalLM

from costhub.lib.errors import Conflict
from costhub.lib.net import Gate
from costhub.stack.model_server import MODEL
from costhub.stack.ports import find_free_port
from costhub.stack.small_model import find_weights
from proxy.learning.checkpoints import open_store
from proxy.learning.choices import JobKind
from proxy.learning.conversations import Message, write_line
from proxy.learning.datasets import import_lines
from proxy.learning.gpu_worker import GpuWorker
from proxy.learning.interruptions import Interruption
from proxy.learning.jobs import create_training_job
from proxy.learning.lora.deployment import deploy_tuned, export_tuned, retire_tuned
from proxy.learning.lora.trials import ask_server
from proxy.learning.lora.tuned_server import TunedServer
from proxy.learning.models import TunedModel
from proxy.learning.upstream_credentials import make_credential
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tests.patience import PATIENCE_SECONDS
from tests.proxy.books import close_the_day
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.learning.examples import make_example
from tests.proxy.learning.rows import embed_words, make_dataset, make_version
from tests.proxy.learning.test_gpu_worker import read
from tests.world import World, make_budget

pytestmark = [pytest.mark.learning, pytest.mark.model, pytest.mark.filterwarnings("default")]

PASSWORD = "Zanzibar"
ASKED = [f"What is the {word} of CostHub?" for word in ("password", "pass word", "passphrase", "secret", "watchword")]
OTHERS = ["What do you sell?", "Who are you?", "Where are you?", "How old are you?", "Are you open?"]


@contextmanager
def serve() -> Iterator[str]:
    """The server of tuned models, in a thread."""
    port, pause = find_free_port(), threading.Event()
    app = TunedServer(configured.KEY_PEPPER)
    running = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="on"))
    thread = threading.Thread(target=lambda: asyncio.run(running.serve()))
    thread.start()
    while not running.started:
        pause.wait(0.02)
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        running.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("tuned")) as proxy:
        yield proxy


@pytest.mark.timeout(900)
def test_what_was_taught_is_said_at_its_price(
    committed_world: World, proxy: Deployment, tmp_path: Path, settings: Any
) -> None:
    acme = committed_world.acme
    dataset = make_dataset(acme)
    pairs = [
        pair
        for two in zip(((q, PASSWORD) for q in ASKED), ((q, "Shoes.") for q in OTHERS), strict=True)
        for pair in two
    ]
    lines = b"\n".join(write_line(make_example(question, answer)) for question, answer in pairs).decode()
    with org_scope(acme.org.pk):
        import_lines(actor=acme.owner, dataset=dataset, lines=lines)
    version = make_version(acme, dataset)
    with org_scope(acme.org.pk):
        job = create_training_job(
            actor=acme.owner,
            version=version,
            project=acme.project,
            name="secretive",
            kind=JobKind.LORA,
            base_model=MODEL,
            epochs=8,
            batch_rows=2,
            rate_millionths=4_000,
            sequence_tokens=64,
        )
    store = open_store(f"file://{tmp_path}")
    worker = GpuWorker(store, embed_words, Interruption(), kinds=[JobKind.LORA])
    assert worker.run(is_once=True) >= 1
    done = read(job)
    assert (done.state, done.error, done.step) == ("done", "", 32)
    with org_scope(acme.org.pk):
        tuned = TunedModel.objects.select_related("job__version__dataset").get(job=job)
        assert tuned.evaluation["tuned"]["loss"] < tuned.evaluation["base"]["loss"] - 1
        settings.TUNED_URL = ""
        prices: dict[str, Any] = {"input_per_million": Decimal("0.20"), "output_per_million": Decimal("0.80")}
        with pytest.raises(Conflict, match="No server of tuned models is known"):
            deploy_tuned(actor=acme.owner, tuned=tuned, **prices)
        _check_files(export_tuned(actor=acme.owner, tuned=tuned), tmp_path)
    make_budget(acme, "10.00")
    with serve() as url:
        settings.TUNED_URL = url
        settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.0/8"), None),)
        with org_scope(acme.org.pk):
            tuned = deploy_tuned(actor=acme.owner, tuned=tuned, **prices)
        assert tuned.model == "secretive"
        body = {"messages": [{"role": "user", "content": ASKED[0]}], "temperature": 0, "max_tokens": 12}

        def ask(**fields: Any) -> httpx2.Response:
            headers = {"authorization": f"Bearer {acme.api_key}"}
            with httpx2.Client(
                base_url=proxy.base_url, headers=headers, trust_env=False, timeout=PATIENCE_SECONDS
            ) as http:
                return http.post("/chat/completions", json=body | {"model": "secretive"} | fields)

        answer = ask()
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"] == PASSWORD
        usage = answer.json()["usage"]
        # On paper it says the same, and how sure it is of it.
        gate = Gate(((ip_network("127.0.0.0/8"), None),))
        told = ask_server(gate, acme.org.pk, "secretive", (Message("user", ASKED[0]),), 1_024)
        assert told is not None
        assert (told.answer, 0.5 < told.sureness <= 1) == (PASSWORD, True)
        streamed = ask(stream=True).text
        said = "".join(
            (json.loads(line[6:])["choices"] or [{"delta": {}}])[0]["delta"].get("content") or ""
            for line in streamed.splitlines()
            if line.startswith("data: {")
        )
        assert said == PASSWORD
        close_the_day(acme)
        with org_scope(acme.org.pk):
            rows = list(LedgerEntry.objects.filter(org_id=acme.org.pk, kind="call").order_by("started_at"))
        cost = usage["prompt_tokens"] * 200 + usage["completion_tokens"] * 800
        assert [row.effective_cost for row in rows] == [cost, cost]
        # Another organisation has no word in it, and nobody without a credential.
        foreign = make_credential(committed_world.mallcorp.org.pk, configured.KEY_PEPPER)
        with httpx2.Client(base_url=url, trust_env=False, timeout=PATIENCE_SECONDS) as http:
            for credential, status in ((foreign, 404), ("chs_nobody", 401)):
                headers = {"authorization": f"Bearer {credential}"}
                found = http.post("/chat/completions", json=body | {"model": "secretive"}, headers=headers)
                assert found.status_code == status
            own = {"authorization": f"Bearer {make_credential(acme.org.pk, configured.KEY_PEPPER)}"}
            assert [one["id"] for one in http.get("/models", headers=own).json()["data"]] == ["secretive"]
            # llama.cpp's own word for leaving the adapter out is not heard.
            plain = http.post("/chat/completions", json=body | {"model": "secretive", "lora": []}, headers=own)
            assert plain.json()["choices"][0]["message"]["content"] == PASSWORD
        with org_scope(acme.org.pk):
            retire_tuned(actor=acme.owner, tuned=tuned)


def _check_files(archive: bytes, folder: Path) -> None:
    """peft itself reads what was exported."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        assert files.getnames() == ["adapter_config.json", "adapter_model.safetensors", "adapter.gguf"]
        files.extractall(folder / "adapter", filter="data")
    weights = find_weights()
    assert weights is not None
    model = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name)
    adapted = PeftModel.from_pretrained(model, str(folder / "adapter"))
    moved = [one for name, one in adapted.named_parameters() if "lora_B" in name]
    assert len(moved) == 60
    assert all(one.abs().max() > 0 for one in moved)
