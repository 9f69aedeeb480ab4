"""What deploy/ names is there: variables, ports, users, folders, sockets, modules and metrics are the code's and agree
with each other, file by file. Nothing of it is started here: there is no Docker and no cluster."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from costhub.lib import draining
from costhub.stack.launch import DEFAULT_PORT
from costhub.stack.run import PARTS, REQUIRED
from tests.test_documents import ROOT, read, rows

DEPLOY: Final = ROOT / "deploy"
IMAGE: Final = DEPLOY / "docker" / "Dockerfile"
#: what others than costhub read: Python, uv, PostgreSQL's and Valkey's own images
OF_OTHERS: Final = {
    *("PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "UV_COMPILE_BYTECODE"),
    *("POSTGRES_PASSWORD", "OWNER_PASSWORD", "APP_PASSWORD", "VALKEY_PASSWORD", "REDISCLI_AUTH"),
    # of compose itself: the name that people type, which three settings have
    "COSTHUB_HOST",
}
#: outside production each has a default; inside nothing starts without
IN_PRODUCTION: Final = {"COSTHUB_PUBLIC_URL", "COSTHUB_SMTP_URL"}
STATE: Final = "/var/lib/costhub"
USER: Final = 10001


def steps() -> list[tuple[str, str]]:
    """The image's instructions, each with its words, in their order; lines that go on are one."""
    text = re.sub(r"^#.*\n", "", IMAGE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, rest = line.partition(" ")
        found.append((name, " ".join(rest.split())))
    return found


def of(name: str) -> list[str]:
    return [words for step, words in steps() if step == name]


def compose() -> dict[str, Any]:
    said: dict[str, Any] = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())
    return said


def ours() -> dict[str, Any]:
    """Compose's services that run our image."""
    return {name: service for name, service in compose()["services"].items() if service.get("image") == "costhub"}


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes" / "costhub.yaml").read_text()))


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for each in manifests():
        if each["kind"] in {"Deployment", "Job"}:
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]


def containers() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name, pod and container of each."""
    return [(f"{name}/{one['name']}", pod, one) for name, pod in pods() for one in pod["containers"]]


def config() -> dict[str, str]:
    (found,) = [each["data"] for each in manifests() if each["kind"] == "ConfigMap"]
    return dict(found)


def secrets_of_pods() -> set[str]:
    """What the manifest's head says that the secret has."""
    head = " ".join(re.findall(r"^# (.*)$", (DEPLOY / "kubernetes" / "costhub.yaml").read_text(), re.MULTILINE))
    return set(re.findall(r"\b[A-Z][A-Z_]+\b", head.partition("The secret `costhub` has")[2]))


def documented() -> set[str]:
    """The variables of the README's table."""
    section = read("README.md").partition("\n## Environment\n")[2].partition("\n## ")[0]
    return {name for names, *_ in rows(section) for name in re.findall(r"`(\w+)`", names)}


def named_variables() -> dict[str, set[str]]:
    """By file, every variable that it sets or wants."""
    found: dict[str, set[str]] = {"Dockerfile": set()}
    for words in of("ENV"):
        found["Dockerfile"] |= {word.partition("=")[0] for word in shlex.split(words)}
    for words in of("RUN"):
        found["Dockerfile"] |= set(re.findall(r"\b([A-Z][A-Z_]+)=", words))
    text = (DEPLOY / "docker" / "compose.yaml").read_text()
    found["compose"] = set(re.findall(r"\$\{(\w+)", text))
    for service in compose()["services"].values():
        found["compose"] |= set(service.get("environment", {}))
    found["kubernetes"] = {*config(), *secrets_of_pods()}
    for path in (DEPLOY / "systemd").rglob("*.service"):
        lines = re.findall(r"^Environment=(.*)$", path.read_text(), re.MULTILINE)
        found[path.name] = {word.partition("=")[0] for line in lines for word in shlex.split(line)}
        found[path.name] |= set(re.findall(r"\b(?:COSTHUB|DATABASE|REDIS)_[A-Z_]+\b", path.read_text()))
    found["pgbouncer.ini"] = set(
        re.findall(r"\b(?:COSTHUB|DATABASE|REDIS)_[A-Z_]+\b", (DEPLOY / "pgbouncer" / "pgbouncer.ini").read_text())
    )
    return found


@pytest.mark.parametrize("file", named_variables())
def test_every_variable_is_one_of_the_readme_s_table(file: str) -> None:
    assert named_variables()[file] - OF_OTHERS - documented() == set()


def test_what_no_part_starts_without_is_set_in_each_place() -> None:
    wanted = {*REQUIRED, *IN_PRODUCTION}
    assert wanted - secrets_of_pods() - config().keys() == set()
    for name, service in ours().items():
        assert wanted - service["environment"].keys() == set(), name
    for _, _, container in containers():
        assert [next(iter(source)) for source in container["envFrom"]] == ["configMapRef", "secretRef"]
    for part in PARTS:
        unit = (DEPLOY / "systemd" / f"costhub-{part}.service").read_text()
        assert "EnvironmentFile=/etc/costhub.env" in unit, part
        assert "COSTHUB_PRODUCTION=1" in unit, part


def test_the_image_gets_all_that_its_programs_are_made_of_and_nothing_else() -> None:
    copied = [shlex.split(words) for words in of("COPY")]
    from_here = [source for words in copied if not words[0].startswith("--") for source in words[:-1]]
    assert [source for source in from_here if not (ROOT / source).exists()] == []
    packages = tomllib.loads(read("pyproject.toml"))["tool"]["setuptools"]["packages"]["find"]["include"]
    folders = {source for source in from_here if (ROOT / source / "__init__.py").exists()}
    assert all(any(fnmatch(folder, pattern) for pattern in packages) for folder in folders)
    assert {pattern.partition("*")[0].rstrip(".") for pattern in packages} <= folders
    # What the code opens beside its own modules.
    assert {"templates", "static", "manage.py", "requirements.lock", "requirements-bootstrap.lock"} <= set(from_here)
    assert {"tests", "bench", "docs", "var", ".git"} & set(from_here) == set()
    # What a build is sent is the same: a working copy has secrets below var.
    ignored = (DEPLOY / "docker" / "Dockerfile.dockerignore").read_text()
    lines = [line for line in ignored.splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == set(from_here)
    assert "**/__pycache__" in lines


def test_the_second_stage_has_what_the_first_has_made() -> None:
    first = steps()[: [step for step, _ in steps()].index("FROM", 1)]
    made = " ".join(words for _, words in first)
    assert [words for words in of("COPY") if words.startswith("--from=build")] == [
        "--from=build /opt/costhub /opt/costhub",
        "--from=build /srv/costhub /srv/costhub",
    ]
    assert "-m venv /opt/costhub" in made
    assert of("WORKDIR") == ["/srv/costhub", "/srv/costhub"]
    (static,) = set(re.findall(r"COSTHUB_STATIC_DIR=(\S+)", IMAGE.read_text()))
    assert Path(static).is_relative_to("/srv/costhub"), "what was collected is copied with the rest"
    # Wheels are of one Python: that of the project, in both stages.
    bases = {words.partition(" ")[0] for words in of("FROM")}
    assert len(bases) == 1
    wanted = tomllib.loads(read("pyproject.toml"))["project"]["requires-python"]
    (version,) = re.findall(r"python:(3\.\d+)-", bases.pop())
    assert wanted == f">={version},<3.{int(version.split('.')[1]) + 1}"


def test_programs_that_images_and_pods_start_are_there() -> None:
    scripts = tomllib.loads(read("pyproject.toml"))["project"]["scripts"]
    (entry,) = of("ENTRYPOINT")
    (command,) = of("CMD")
    assert yaml.safe_load(entry) == ["costhub"]
    module, _, function = scripts["costhub"].partition(":")
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert "PATH=/opt/costhub/bin:$PATH" in " ".join(of("ENV"))
    assert yaml.safe_load(command)[:2] == ["run", "proxy"]
    # What migrates is another program, in the folder in which the image starts.
    migrating = [[*ours()["migrate"]["entrypoint"], *ours()["migrate"]["command"]]]
    migrating += [one["command"] for name, _, one in containers() if name.startswith("costhub-migrate")]
    assert migrating == [["python", "manage.py", "migrate", "--database", "owner", "--no-input"]] * 2
    assert (ROOT / "manage.py").is_file()


def test_who_runs_and_where_they_may_write_is_said_alike() -> None:
    assert of("USER") == [str(USER)]
    (made,) = [words for words in of("RUN") if words.startswith("useradd")]
    assert f"--uid {USER}" in made
    assert f"--home-dir {STATE} --create-home" in made, "a named volume begins as what the image has there"
    assert of("VOLUME") == [STATE]
    for name, pod, container in containers():
        said = pod["securityContext"]
        assert (said["runAsUser"], said["runAsNonRoot"]) == (USER, True), name
        assert pod["automountServiceAccountToken"] is False, "nothing here asks the cluster anything"
        if name.startswith("costhub-migrate"):
            continue
        assert said["fsGroup"] == USER, "an empty volume is root's"
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert mounts.keys() == {STATE, "/tmp"}, name
        assert set(mounts.values()) == {volume["name"] for volume in pod["volumes"]}, name
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert folder_of(container["args"]) == STATE
    volumes = compose()["volumes"].keys()
    for name, service in ours().items():
        assert (service["read_only"], service["tmpfs"], service["volumes"]) == (True, ["/tmp"], [f"state:{STATE}"]), (
            name
        )
        if name != "migrate":
            assert folder_of(service["command"]) == STATE, name
    for service in compose()["services"].values():
        for source in (each.partition(":")[0] for each in service.get("volumes", [])):
            known = source in volumes or (DEPLOY / "docker" / source).exists()
            assert known or source == "./tls", f"{source}: the operator's own certificates alone are not here"


def folder_of(command: list[str]) -> str:
    """What it is told as its data directory."""
    return command[command.index("--data-dir") + 1]


def test_sockets_and_files_are_below_what_may_be_written() -> None:
    told = [config(), *(service["environment"] for service in ours().values())]
    for environment in told:
        for name, value in environment.items():
            if name.endswith("_SOCKET") or value.startswith("file://"):
                assert Path(value.removeprefix("file://")).is_relative_to(STATE), name
    for part in PARTS:
        unit = (DEPLOY / "systemd" / f"costhub-{part}.service").read_text()
        (socket,) = re.findall(r"COSTHUB_PAGES_SOCKET=(\S+)", unit)
        (runtime,) = re.findall(r"^RuntimeDirectory=(\S+)$", unit, re.MULTILINE)
        (state,) = re.findall(r"^StateDirectory=(\S+)$", unit, re.MULTILINE)
        assert Path(socket).parent == Path("/run") / runtime, part
        assert f"--data-dir /var/lib/{state}" in unit, part
        assert "RuntimeDirectoryPreserve=yes" in unit, "or the one that stops first takes the others' socket away"


def test_ports_agree_from_the_image_to_whoever_is_before_it() -> None:
    assert of("EXPOSE") == [str(DEFAULT_PORT)]
    (proxy,) = [one for name, _, one in containers() if name == "costhub-proxy/proxy"]
    (port,) = proxy["ports"]
    assert port["containerPort"] == DEFAULT_PORT
    (service,) = [each["spec"] for each in manifests() if each["kind"] == "Service"]
    assert [one["targetPort"] for one in service["ports"]] == [port["name"]]
    labels = [
        each["spec"]["template"]["metadata"]["labels"]
        for each in manifests()
        if each["kind"] == "Deployment" and each["metadata"]["name"] == "costhub-proxy"
    ]
    assert labels == [service["selector"]]
    for command in (proxy["args"], ours()["proxy"]["command"], yaml.safe_load(of("CMD")[0])):
        # Nothing says another one, and it is not loopback's alone.
        assert "--port" not in command
        assert command[command.index("--host") + 1] == "0.0.0.0"
    nginx = (DEPLOY / "nginx" / "costhub.conf").read_text()
    assert re.findall(r"^\s+server (\S+):(\d+)", nginx, re.MULTILINE) == [("proxy", str(DEFAULT_PORT))]
    assert "proxy" in compose()["services"], "whose name nginx looks up"
    (asked,) = re.findall(r"http://127\.0\.0\.1:(\d+)/", " ".join(ours()["proxy"]["healthcheck"]["test"]))
    assert int(asked) == DEFAULT_PORT
    # PostgreSQL and Valkey are asked where their services listen.
    environment = ours()["proxy"]["environment"]
    hosts = {
        name: re.findall(r"@([\w.-]+):(\d+)", environment[name])
        for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL")
    }
    assert hosts == {
        "DATABASE_URL": [("postgres", "5432")],
        "DATABASE_OWNER_URL": [("postgres", "5432")],
        "REDIS_URL": [("valkey", "6379")],
    }
    assert {host for found in hosts.values() for host, _ in found} <= compose()["services"].keys()


def test_modules_that_health_checks_import_are_there() -> None:
    for name, service in compose()["services"].items():
        command = service.get("healthcheck", {}).get("test", ["NONE"])
        for module, function in re.findall(r"from (costhub[\w.]*) import (\w+)", command[-1]):
            tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
            assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name


def test_passwords_of_roles_reach_the_script_that_makes_them() -> None:
    script, roles = (DEPLOY / "postgres" / "roles.sh").read_text(), (DEPLOY / "postgres" / "roles.sql").read_text()
    given = dict(re.findall(r'--set (\w+)="\$(\w+)"', script))
    assert given.keys() == set(re.findall(r":'(\w+)'", roles))
    service = compose()["services"]["postgres"]
    assert set(given.values()) <= service["environment"].keys()
    (file,) = re.findall(r"--file (\S+)", script)
    assert any(volume.split(":")[1] == file for volume in service["volumes"])
    for role in ("costhub_owner", "costhub_app"):
        assert f"CREATE ROLE {role} LOGIN" in roles
        assert f"//{role}:" in "".join(ours()["proxy"]["environment"].values())
    assert re.findall(r"^(\w+) = host", (DEPLOY / "pgbouncer" / "pgbouncer.ini").read_text(), re.MULTILINE) == [
        "costhub"
    ]


def test_the_drain_is_a_setting_that_servers_read() -> None:
    assert config()[draining.DRAIN] == "600"
    assert draining.DRAIN in documented()
