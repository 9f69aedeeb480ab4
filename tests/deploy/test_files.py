"""What deploy/ holds is read by those whose formats it has, and starts what there is to start."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any, Final

import crossplane
import psycopg
import pytest
import yaml
from django.conf import settings

from costhub.celery import app
from costhub.cli import main
from costhub.lib import draining
from costhub.ops.schedule import JOBS
from costhub.stack import pulse
from costhub.stack.part import PartFailed
from costhub.stack.postgres import Postgres
from costhub.stack.run import PARTS, REQUIRED, find_part
from costhub.stack.services import BatchWorker, Beat, Service, SlowWorker, Worker
from proxy.batches.upload import MAX_FIELD_BYTES, MAX_FIELDS
from tests.patience import PATIENCE_SECONDS
from tests.stack_fixtures import make_data_dir
from tests.valkeys import until

DEPLOY = Path(__file__).parents[2] / "deploy"
BIN = Path(sys.executable).parent


def read(*arguments: str | Path) -> None:
    """Run a checker; what it says is the failure."""
    ran = subprocess.run([BIN / str(arguments[0]), *arguments[1:]], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_image() -> None:
    read("hadolint", DEPLOY / "docker" / "Dockerfile")


def test_compose() -> None:
    read("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "docker" / "compose.yaml")


def test_kubernetes() -> None:
    read("kubernetes-validate", "--strict", DEPLOY / "kubernetes" / "costhub.yaml")


def test_what_kustomize_would_render() -> None:
    """Every file that it names is there, and every image of ours gets the registry's name and the release's tag."""
    folder = DEPLOY / "kubernetes"
    said = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert said.keys() == {"apiVersion", "kind", "namespace", "resources", "images"}
    manifests = [each for name in said["resources"] for each in yaml.safe_load_all((folder / name).read_text())]
    # A name of the manifest's own would stay.
    assert [each["metadata"].get("namespace") for each in manifests] == [None] * len(manifests)
    (image,) = said["images"]
    pods = [each["spec"]["template"]["spec"] for each in manifests if each["kind"] in {"Deployment", "Job"}]
    assert {one["image"] for pod in pods for one in pod["containers"]} == {image["name"]}
    version = image["newTag"]
    assert version == tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["version"]
    # Each release migrates by a job of its own, before its jobs run, and these before its proxies.
    steps: dict[str, list[str]] = {}
    for each in manifests:
        steps.setdefault(each["metadata"]["labels"]["step"], []).append(f"{each['kind']} {each['metadata']['name']}")
    assert steps == {
        "migrate": ["ConfigMap costhub", f"Job costhub-migrate-{version.replace('.', '-')}"],
        "calls": ["Deployment costhub-proxy", "Service costhub", "PodDisruptionBudget costhub-proxy"],
        "jobs": [f"Deployment costhub-{name}" for name in ("worker", "slow-worker", "batch-worker", "beat")],
    }
    # What pods need of their surroundings is made here, or said at the top of the file.
    made = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    needed = {
        (kind, source[field]["name"])
        for pod in pods
        for one in pod["containers"]
        for source in one["envFrom"]
        for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef"))
        if field in source
    }
    assert needed - made == {("Secret", "costhub")}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_what_kustomize_renders(tmp_path: Path) -> None:
    """By kubectl itself, which asks no cluster for it; the outcome is what Kubernetes takes."""
    ran = subprocess.run(
        ["kubectl", "kustomize", DEPLOY / "kubernetes"],
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(ran.stdout)
    read("kubernetes-validate", "--strict", rendered)
    manifests = list(yaml.safe_load_all(ran.stdout))
    assert {each["metadata"]["namespace"] for each in manifests} == {"costhub"}
    version = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["version"]
    images = set(re.findall(r"image: (\S+)", ran.stdout))
    assert images == {f"registry.example.org/costhub:{version}"}


def environment_of_pods() -> dict[str, str]:
    manifests = yaml.safe_load_all((DEPLOY / "kubernetes" / "costhub.yaml").read_text())
    (config,) = [each for each in manifests if each["kind"] == "ConfigMap"]
    return dict(config["data"])


def environment_of_compose() -> dict[str, str]:
    service = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())["services"]["proxy"]
    said = {"COSTHUB_HOST": "costhub.example.org", "COSTHUB_SMTP_URL": "smtp://mail.example.org"}
    key = "QSBrZXkgb2YgMzIgYnl0ZXMsIGZvciB0aGlzIHRlc3Q="
    return {
        name: re.sub(r"\$\{(\w+):[?-]\}", lambda found: said.get(found[1], key), value)
        for name, value in service["environment"].items()
        if name != "COSTHUB_FORMER_MASTER_KEYS"
    }


def probes_of_pods() -> list[tuple[str, str]]:
    """(path, Host) of each probe: without a header of the manifest's own, the kubelet names the pod's address."""
    probes = [one[kind] for one in containers_of_pods() for kind in ("readinessProbe", "livenessProbe") if kind in one]
    # The rest are commands: see test_what_is_silent_is_probed.
    asked = [probe["httpGet"] for probe in probes if "exec" not in probe]
    assert all(ask["port"] == "http" and not ask.get("httpHeaders") for ask in asked)
    return [(ask["path"], "10.1.2.3:8000") for ask in asked]


def probes_of_compose() -> list[tuple[str, str]]:
    """What the health check asks."""
    service = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())["services"]["proxy"]
    asked = re.findall(r"http://([^/']+)(/[^']+)", service["healthcheck"]["test"][-1])
    return [(path, host) for host, path in asked]


def containers_of_pods() -> list[dict[str, Any]]:
    return [
        one
        for manifest in yaml.safe_load_all((DEPLOY / "kubernetes" / "costhub.yaml").read_text())
        if manifest["kind"] == "Deployment"
        for one in manifest["spec"]["template"]["spec"]["containers"]
    ]


def pages_of_pods() -> dict[str, Any]:
    (pages,) = [one for one in containers_of_pods() if one["name"] == "pages"]
    return pages


def test_pages_weigh_a_tenth_of_calls_wherever_each_process_has_a_group_of_its_own() -> None:
    """Units, containers and pods share a core by their weights, and a niceness counts only within one of them."""
    names = ("pages", "proxy")
    units = {name: read_unit(DEPLOY / "systemd" / f"costhub-{name}.service")["Service"] for name in names}
    # Who says nothing weighs 100.
    assert [units[name].get("CPUWeight") for name in names] == ["10", None]
    services = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())["services"]
    # And here 1,024, or what a runtime makes of it.
    assert [services[name].get("cpu_shares") for name in names] == [102, None]
    asked = {one["name"]: one["resources"]["requests"]["cpu"] for one in containers_of_pods()}
    assert [asked[name] for name in names] == ["100m", "1"]


@pytest.mark.processes
def test_pages_of_a_pod_take_no_calls_away(tmp_path: Path) -> None:
    """A pod is ready while each container runs and answers its probes: theirs has none, and goes on when pages end."""
    pages, told = pages_of_pods(), tmp_path / "told"
    assert not {"startupProbe", "readinessProbe", "livenessProbe"} & pages.keys()
    stubs = {
        "costhub": f"""
            trap 'echo ended >> {told}; kill "$!"; exit 0' TERM
            echo "$@" >> {told}
            [ "$(wc -l < {told})" = 1 ] && exit 1
            {shutil.which("sleep")} 60 &
            wait
        """,
        "sleep": "",
    }
    for name, script in stubs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with subprocess.Popen([*pages["command"], *pages["args"]], env=environment) as container:
        until(lambda: told.exists() and told.read_text().count("\n") == 2, "pages are started again")
        container.terminate()
        assert container.wait(timeout=PATIENCE_SECONDS) == 0
    assert told.read_text().splitlines() == [shlex.join(pages["args"])] * 2 + ["ended"]


def pages_probe() -> list[str]:
    """The command that says whether compose's pages are served."""
    service = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())["services"]["pages"]
    command: list[str] = service["healthcheck"]["test"][1:]
    assert f'"{environment_of_compose()["COSTHUB_PAGES_SOCKET"]}"' in command[-1]
    return command


#: asked of the settings that the files make, in a process of its own
ASKS = """
import django, json, sys
django.setup()
from django.test import Client
print(json.dumps([Client(headers=headers).get(path).status_code for path, headers in json.loads(sys.argv[1])]))
"""


@pytest.mark.processes
@pytest.mark.parametrize(
    ("environment", "probes"),
    [(environment_of_pods(), probes_of_pods()), (environment_of_compose(), probes_of_compose())],
    ids=["kubernetes", "compose"],
)
def test_probes_are_answered_with_what_the_files_set(
    django_db_setup: None, environment: dict[str, str], probes: list[tuple[str, str]]
) -> None:
    """A pod that refuses its probe's Host header never takes a call. Figures are told inside, and to nobody who comes
    by way of whatever ends TLS."""
    # Asked of proxies without a PostgreSQL in tests/proxy/test_operations.py: they answer.
    assert {path for path, _ in probes} >= {"/readyz?for=calls"}
    here = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL")
    keys = dict.fromkeys(("COSTHUB_SECRET_KEY", "COSTHUB_KEY_PEPPER", "COSTHUB_MASTER_KEY"), "QQ" * 21 + "Q=")
    # What the files have beside, in a secret.
    keys |= {"COSTHUB_SMTP_URL": "smtp://mail.example.org:25"}
    asked: list[tuple[str, dict[str, str]]] = [(path, {"host": host}) for path, host in probes]
    asked += [
        ("/metrics", {"host": "10.1.2.3:8000"}),
        ("/metrics", {"host": "costhub.example.org", "x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https"}),
        ("/login", {"host": "10.1.2.3:8000", "x-forwarded-proto": "https"}),
        ("/login", {"host": "costhub.example.org", "x-forwarded-proto": "https"}),
    ]
    ran = subprocess.run(
        [sys.executable, "-c", ASKS, json.dumps(asked)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ
        | {name: value for name, value in environment.items() if name not in here}
        | keys
        | {"DJANGO_SETTINGS_MODULE": "costhub.settings"},
    )
    assert ran.returncode == 0, ran.stderr[-2_000:]
    assert json.loads(ran.stdout.splitlines()[-1]) == [200] * len(probes) + [200, 404, 400, 200]


@pytest.mark.parametrize("part", [Worker, SlowWorker, BatchWorker, Beat])
def test_what_is_silent_is_probed(part: type[Service], tmp_path: Path) -> None:
    """Whoever answers nobody is asked by a command for the signs of life that it leaves in its own folder, and has the
    time to start; tests/stack/test_pulse.py has what the command finds."""
    (pod,) = [
        manifest["spec"]["template"]["spec"]
        for manifest in yaml.safe_load_all((DEPLOY / "kubernetes" / "costhub.yaml").read_text())
        if manifest["metadata"]["name"] == f"costhub-{part.name}"
    ]
    (container,) = pod["containers"]
    service = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())["services"][part.name]
    probe, check = container["livenessProbe"], service["healthcheck"]
    for command, args in ((probe["exec"]["command"], container["args"]), (check["test"][1:], service["command"])):
        *program, name, folder = command
        assert program == ["python", "-m", pulse.__name__]
        assert args[:2] == ["run", name]
        assert folder == args[args.index("--data-dir") + 1]
        # What the process is told, and what the command reads.
        assert part(tmp_path, {}).environment()[pulse.PULSE] == str(tmp_path / name)
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 2 * pulse.TURNS_SECONDS
    assert int(check["interval"].removesuffix("s")) * check["retries"] >= 2 * pulse.TURNS_SECONDS


def test_what_is_stopped_may_end_its_calls() -> None:
    """Nothing is killed before its own drain, and what it takes to settle what it cuts off, is over."""
    found = {}
    for name in ("proxy", "pages"):
        unit = read_unit(DEPLOY / "systemd" / f"costhub-{name}.service")["Service"]
        drain = dict(word.split("=", 1) for word in unit["Environment"].split())[draining.DRAIN]
        found[f"unit {name}"] = int(unit["TimeoutStopSec"]), int(drain)
        assert unit["KillMode"] == "mixed", "workers are told by who leaves the port first"
    for manifest in yaml.safe_load_all((DEPLOY / "kubernetes" / "costhub.yaml").read_text()):
        if manifest["metadata"]["name"] == "costhub-proxy" and manifest["kind"] == "Deployment":
            pod = manifest["spec"]["template"]["spec"]
            (left_alone,) = [
                one["lifecycle"]["preStop"]["exec"]["command"] for one in pod["containers"] if "ports" in one
            ]
            assert left_alone == ["sleep", "5"]
            # Who pages are relayed to stays for as long as the proxy takes them.
            (pages,) = [
                one["lifecycle"]["preStop"]["exec"]["command"] for one in pod["containers"] if "ports" not in one
            ]
            assert pages == ["sleep", "10"]
            drain = environment_of_pods()[draining.DRAIN]
            found["pod"] = pod["terminationGracePeriodSeconds"] - 10, int(drain)
    services = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())["services"]
    for name in ("proxy", "pages"):
        assert draining.DRAIN not in services[name]["environment"]
        found[f"compose {name}"] = int(services[name]["stop_grace_period"].removesuffix("s")), draining.DRAIN_SECONDS
    # Nobody behind it is sent what it takes on while it ends.
    found["compose nginx"] = int(services["nginx"]["stop_grace_period"].removesuffix("s")), draining.DRAIN_SECONDS
    assert services["nginx"]["depends_on"] == {"proxy": {"condition": "service_started", "restart": True}}
    assert len(found) == 6
    assert {name: grace >= drain + draining.GRACE_SECONDS for name, (grace, drain) in found.items()} == dict.fromkeys(
        found, True
    )


#: erase_departed: an organisation of many millions of calls; who is killed there begins again
LONGER: Final = frozenset({"costhub.ops.tasks.erase_departed", "proxy.tasks.run_batches"})


@pytest.mark.parametrize("part", [Worker, SlowWorker, BatchWorker])
def test_a_worker_that_is_stopped_may_end_its_tasks(part: type[Worker]) -> None:
    """As long as a task may take; a batch worker, which begins no line any more, as long as calls have in the pods."""
    app.loader.import_default_modules()
    tasks = [app.tasks[job.task] for job in JOBS if job.queue == part.queue]
    limits = {task.name: task.time_limit or app.conf.task_time_limit for task in tasks}
    needs = max([limit for name, limit in limits.items() if name not in LONGER], default=0)
    if part is BatchWorker:
        needs = int(environment_of_pods()[draining.DRAIN]) + draining.GRACE_SECONDS
    unit = read_unit(DEPLOY / "systemd" / f"costhub-{part.name}.service")["Service"]
    assert unit["KillMode"] == "mixed", "a signal to the others ends them amid their tasks"
    (pod,) = [
        manifest["spec"]["template"]["spec"]
        for manifest in yaml.safe_load_all((DEPLOY / "kubernetes" / "costhub.yaml").read_text())
        if manifest["metadata"]["name"] == f"costhub-{part.name}"
    ]
    service = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())["services"][part.name]
    graces = {
        "unit": int(unit["TimeoutStopSec"]),
        "pod": pod["terminationGracePeriodSeconds"],
        "compose": int(service["stop_grace_period"].removesuffix("s")),
    }
    assert needs >= 240
    assert {where: seconds for where, seconds in graces.items() if seconds < needs + 10} == {}


def test_nginx() -> None:
    # What stands in a map is no directive, which it does not know; nginx itself reads it in test_nginx.py.
    file = str(DEPLOY / "nginx" / "costhub.conf")
    found = crossplane.parse(file, strict=True, check_ctx=False, ignore=["map"])
    assert found["errors"] == []
    (server,) = [block for block in found["config"][0]["parsed"] if block["directive"] == "server"]
    said = {block["directive"]: block["args"] for block in server["block"]}
    assert (said["client_header_timeout"], said["client_body_timeout"]) == (["10s"], ["30s"])
    assert said["access_log"][1:] == ["costhub"], "not the usual form, which has queries in it"
    (secret,) = [block for block in server["block"] if "invitations" in " ".join(block["args"])]
    said = {block["directive"]: block["args"] for block in secret["block"]}
    assert (said["access_log"], said["error_log"][1:]) == (["off"], ["crit"]), "a path whose last part is a secret"
    (calls,) = [block for block in server["block"] if block["args"] == ["/v1/"]]
    said = {block["directive"]: block["args"] for block in calls["block"]}
    # A form of a whole file's size has its boundaries and fields, too: no more than a field's bound for each.
    (most,) = said["client_max_body_size"]
    around = 2 * MAX_FIELDS * MAX_FIELD_BYTES
    assert int(most.removesuffix("m")) * 1024**2 >= settings.MAX_FILE_BYTES + around
    assert ["Upgrade", ""] in [block["args"] for block in server["block"] if block["directive"] == "proxy_set_header"]


def read_unit(path: Path) -> ConfigParser:
    parser = ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd minds the case of names
    parser.read_string(re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE))
    return parser


def test_what_units_write_is_nobody_elses_to_read() -> None:
    """Files of batches and checkpoints lie there, where no bucket is named."""
    for path in (DEPLOY / "systemd").rglob("*.service"):
        service = read_unit(path)["Service"]
        assert (service["UMask"], service["StateDirectoryMode"]) == ("0077", "0700"), path.name


def read_command(unit: ConfigParser) -> str:
    assert unit["Service"]["User"] == "costhub"
    return unit["Service"]["ExecStart"].removeprefix("/opt/costhub/.venv/bin/costhub ")


def systemd_commands() -> list[str]:
    return [read_command(read_unit(unit)) for unit in sorted((DEPLOY / "systemd").glob("*.service"))]


def compose_commands() -> list[str]:
    services = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())["services"]
    ours = [service for service in services.values() if service.get("image") == "costhub"]
    return [shlex.join(service["command"]) for service in ours if service["command"][0] == "run"]


def kubernetes_commands() -> list[str]:
    commands = []
    for manifest in yaml.safe_load_all((DEPLOY / "kubernetes" / "costhub.yaml").read_text()):
        if manifest["kind"] == "Deployment":
            commands += [shlex.join(each["args"]) for each in manifest["spec"]["template"]["spec"]["containers"]]
    return commands


@pytest.mark.parametrize("found", [systemd_commands(), compose_commands(), kubernetes_commands()], ids=str)
def test_every_part_is_started_by_words_that_are_understood(
    found: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sorted(command.split()[1] for command in found) == sorted(PARTS)
    for name in REQUIRED:
        monkeypatch.delenv(name, raising=False)
    for command in found:
        assert main(shlex.split(command)) == 1
        assert "DATABASE_URL, DATABASE_OWNER_URL, REDIS_URL" in capsys.readouterr().err


def test_units_of_learning_are_started_by_words_that_are_understood(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    units = {path.stem: read_unit(path) for path in (DEPLOY / "systemd" / "learning").glob("*.service")}
    for name in (*REQUIRED, "COSTHUB_ADMIN_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("student-server", "tuned-server", "gpu-worker"):
        assert main(shlex.split(read_command(units.pop(f"costhub-{name}")))) == 1
        assert "There is no stack in /var/lib/costhub" in capsys.readouterr().err
    ((name, serving),) = units.items()
    # What the file beside it would say; systemd splits $NAME into words, and leaves ${NAME} one.
    said = {
        "${SERVING_UPSTREAM}": "'own GPUs'",
        "${SERVING_BASE_URL}": "http://10.0.0.7:8000/v1",
        "${SERVING_BUSY_URL}": "http://127.0.0.1:8000/metrics",
        "$SERVING_OPTIONS": "--per-hour 0.90 --project search",
        "$SERVING_COMMAND": "vllm serve model --port 8000",
    }
    command = read_command(serving)
    for variable, value in said.items():
        assert variable in command
        command = command.replace(variable, value)
    assert (name, serving["Service"]["KillMode"]) == ("costhub-serving-worker", "mixed")
    assert main(shlex.split(command)) == 1
    assert "set COSTHUB_ADMIN_TOKEN" in capsys.readouterr().err


def test_parts_get_what_they_need(tmp_path: Path) -> None:
    environment = dict.fromkeys(REQUIRED, "x")
    with pytest.raises(PartFailed, match="COSTHUB_PAGES_SOCKET is not set"):
        find_part("pages", tmp_path, environment, port=8000, workers=1)
    part = find_part("proxy", tmp_path, environment, host="0.0.0.0", port=8123, workers=3)
    assert part.command()[1:] == [
        *("-m", "costhub.serve", "--host", "0.0.0.0", "--port", "8123", "--workers", "3"),
        *("--app", "costhub.asgi:application"),
    ]
    assert part.environment()["DJANGO_SETTINGS_MODULE"] == "costhub.settings"


def test_the_roles_of_a_postgresql_of_your_own() -> None:
    """The very file, by psql, on a server that has neither role nor database; then who may do what."""
    folder = make_data_dir()
    postgres = Postgres(folder, durable=False)
    try:
        postgres.start()
        postgres.wait_ready()
        environment = postgres.superuser_environment

        def psql(*arguments: str | Path, **more: str) -> str:
            program = postgres.program("psql")
            ran = subprocess.run(
                [program, "-X", "-v", "ON_ERROR_STOP=1", *arguments],
                check=False,
                capture_output=True,
                text=True,
                env=environment | {"PGDATABASE": "postgres"} | more,
            )
            assert ran.returncode == 0, ran.stderr
            return ran.stdout

        psql("-c", "DROP DATABASE costhub", "-c", "DROP ROLE costhub_owner", "-c", "DROP ROLE costhub_app")
        roles = DEPLOY / "postgres" / "roles.sql"
        psql("-v", "owner_password=o'w", "-v", "app_password=a p", "-f", roles)
        urls = {name: f"host=127.0.0.1 port={postgres.port} dbname=costhub user={name}" for name in ("o", "a")}
        for name, (role, password) in {"o": ("costhub_owner", "o'w"), "a": ("costhub_app", "a p")}.items():
            urls[name] = psycopg.conninfo.make_conninfo(
                host="127.0.0.1", port=postgres.port, dbname="costhub", user=role, password=password
            )
        with psycopg.connect(urls["o"]) as owner:
            owner.execute("CREATE TABLE spent (vector vector(3))")
        with psycopg.connect(urls["a"]) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("CREATE TABLE mine (id int)")
    finally:
        postgres.stop()
        shutil.rmtree(folder)


def verify_units(folder: Path) -> str:
    """What systemd itself finds wrong with the units of a folder, of which one is our target. It wants programs that
    are there."""
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(folder.iterdir())],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    return ran.stdout + ran.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_units_are_what_systemd_takes(tmp_path: Path) -> None:
    for path in [*(DEPLOY / "systemd").rglob("*.service"), DEPLOY / "systemd" / "costhub.target"]:
        text = path.read_text().replace("=/opt/costhub/.venv/bin/costhub ", f"={BIN / 'costhub'} ")
        (tmp_path / path.name).write_text(text)
    assert verify_units(tmp_path) == ""
    # It does look: a word that it does not know is told.
    proxy = tmp_path / "costhub-proxy.service"
    proxy.write_text(proxy.read_text().replace("RestartSec=", "RestartSecs="))
    assert "RestartSecs" in verify_units(tmp_path)


def test_units_are_listed_in_the_target() -> None:
    wanted: Any = re.search(r"^Wants=(.*)$", (DEPLOY / "systemd" / "costhub.target").read_text(), re.MULTILINE)
    units = sorted(path.name for path in (DEPLOY / "systemd").glob("*.service"))
    assert sorted(wanted[1].split()) == units == sorted(f"costhub-{part}.service" for part in PARTS)
