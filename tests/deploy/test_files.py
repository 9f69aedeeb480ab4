"""What deploy/ holds is read by those whose formats it has, and starts what there is to start."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import crossplane
import psycopg
import pytest
import yaml

from costhub.cli import main
from costhub.stack.part import PartFailed
from costhub.stack.postgres import Postgres
from costhub.stack.run import PARTS, REQUIRED, find_part
from tests.stack_fixtures import make_data_dir

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
    assert image["newTag"] == tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["version"]
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
        ["kubectl", "kustomize", DEPLOY / "kubernetes"], check=True, capture_output=True, text=True, timeout=60
    )
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(ran.stdout)
    read("kubernetes-validate", "--strict", rendered)
    manifests = list(yaml.safe_load_all(ran.stdout))
    assert {each["metadata"]["namespace"] for each in manifests} == {"costhub"}
    version = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["version"]
    images = set(re.findall(r"image: (\S+)", ran.stdout))
    assert images == {f"registry.example.org/costhub:{version}"}


def test_nginx() -> None:
    found = crossplane.parse(str(DEPLOY / "nginx" / "costhub.conf"), strict=True, check_ctx=False)
    assert found["errors"] == []
    (server,) = [block for block in found["config"][0]["parsed"] if block["directive"] == "server"]
    said = {block["directive"]: block["args"] for block in server["block"]}
    assert (said["client_header_timeout"], said["client_body_timeout"]) == (["10s"], ["30s"])
    assert said["access_log"][1:] == ["costhub"], "not the usual form, which has queries in it"
    (secret,) = [block for block in server["block"] if "invitations" in " ".join(block["args"])]
    said = {block["directive"]: block["args"] for block in secret["block"]}
    assert (said["access_log"], said["error_log"][1:]) == (["off"], ["crit"]), "a path whose last part is a secret"
    assert ["Upgrade", ""] in [block["args"] for block in server["block"] if block["directive"] == "proxy_set_header"]


def read_unit(path: Path) -> ConfigParser:
    parser = ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd minds the case of names
    parser.read_string(re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE))
    return parser


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
        timeout=60,
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
