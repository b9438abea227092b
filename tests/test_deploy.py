"""deploy/ as far as it can be held without a container engine or a running systemd: shape, hardening, who has which secret."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from ragward.domain.keys import KeyRole
from ragward.settings import Settings
from tests.command_line import command_exists

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = ("broker", "ingest", "query", "init", "admin")
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SETTINGS = sorted((DEPLOY / "settings").glob("*.toml"))


def test_the_check_of_commands_can_fail():
    assert command_exists(["serve"])
    assert command_exists(["keys", "broker", "/run/x"])
    assert not command_exists(["keys"])
    assert not command_exists(["server"])


# The image. ---------------------------------------------------------------------------------------------------------


def test_what_was_not_built_says_so():
    assert "UNBUILT HERE" in DOCKERFILE
    assert "UNBUILT HERE" in (DEPLOY / "compose.yaml").read_text()
    for unit in UNITS:
        assert "NEVER STARTED HERE" in unit.read_text(), unit.name


def test_the_image_is_built_in_stages_and_runs_as_nobody_special():
    lines = re.sub(r"\\\n", " ", DOCKERFILE).splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    instructions = [word[0] for word in words]
    assert instructions.count("FROM") == 2
    last = instructions[len(instructions) - instructions[::-1].index("FROM") :]
    users = [word[1] for word in words if word[0] == "USER"]
    assert users == ["10001:10001"]
    for wanted in ("HEALTHCHECK", "ENTRYPOINT", "STOPSIGNAL", "USER"):
        assert wanted in last, wanted
    assert "ADD" not in instructions
    assert last.index("USER") > max(i for i, word in enumerate(last) if word in ("RUN", "COPY"))
    assert "HEALTHCHECK" in DOCKERFILE
    assert "/readyz" in DOCKERFILE
    assert ".[model," in DOCKERFILE
    assert "-c constraints.txt" in DOCKERFILE


def test_what_the_image_copies_is_there_and_not_ignored():
    allowed = {
        line[1:]
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = set()
    for line in DOCKERFILE.splitlines():
        if line.startswith("COPY") and "--from" not in line:
            copied |= set(line.split()[1:-1])
    assert copied == allowed
    for name in copied:
        assert (ROOT / name).exists(), name
    wheel = (ROOT / "pyproject.toml").read_text()
    for name in re.findall(r'^"(\w+)" = "ragward/_resources', wheel, re.MULTILINE):
        assert name in copied, f"the wheel needs {name}"


# Compose. -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OURS)
def test_each_of_ours_is_hardened_and_runs_a_command_that_exists(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].split(":")[0] not in ("0", "root")
    assert "privileged" not in service
    assert all("docker.sock" not in volume for volume in service["volumes"])
    assert command_exists([word for word in service["command"] if not word.startswith("-")])


def test_everything_named_is_defined():
    for name, service in SERVICES.items():
        for other in service.get("depends_on", {}):
            assert other in SERVICES, (name, other)
        for secret in service.get("secrets", ()):
            assert secret in COMPOSE["secrets"], (name, secret)
        for network in service.get("networks", ()):
            assert network in COMPOSE["networks"], (name, network)
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            known = source in COMPOSE["volumes"] or source.startswith((".", "$"))
            assert known, (name, volume)
            if source.startswith(("./settings", "./postgres")):
                assert (DEPLOY / source).is_file(), source


def mounts(name):
    return " ".join(SERVICES[name].get("volumes", ())) + " ".join(SERVICES[name].get("secrets", ()))


@pytest.mark.parametrize(
    ("secret", "holders"),
    [
        ("policy-signing.key", {"admin"}),
        ("keyring:", {"broker", "init"}),
        ("passphrase", {"broker", "init"}),
        ("query.sock", {"query"}),
        ("ingest.sock", {"ingest"}),
        ("service.sock", {"admin"}),
        ("/srv/sources", {"ingest"}),
        ("postgres-superuser", {"postgres"}),
        ("/var/lib/ragward-checkpoints", {"ingest"}),
        ("./secrets:", {"init"}),  # it makes the administration key there
        ("./run:", {"broker"}),
    ],
)
def test_who_holds_what(secret, holders):
    assert {name for name in SERVICES if secret in mounts(name)} == holders


def test_what_runs_by_itself_and_what_is_reached_from_outside():
    assert {n for n, s in SERVICES.items() if s.get("profiles") == ["admin"]} == {"init", "admin"}
    ports = {n: s["ports"] for n, s in SERVICES.items() if "ports" in s}
    assert set(ports) == {"ingest", "query"}
    assert all(port.startswith("127.0.0.1:") for ports in ports.values() for port in ports)
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "qdrant", "broker", "admin", "init"):
        assert SERVICES[name]["networks"] == ["inside"]
    assert "ingest" in SERVICES["query"]["depends_on"], "the owner of the log starts first"


def test_the_database_role_is_held_by_row_level_security():
    script = (DEPLOY / "postgres" / "10-ragward.sh").read_text()
    assert "NOSUPERUSER NOBYPASSRLS" in script
    for file in SETTINGS:
        assert "://ragward@" in file.read_text(), file.name


# Settings. ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", SETTINGS, ids=lambda file: file.stem)
def test_the_settings_are_accepted(file):
    settings = Settings.load(file)
    roles = {"ingest": KeyRole.INGEST, "query": KeyRole.QUERY}
    assert KeyRole(settings.keys_role) is roles.get(file.stem, KeyRole.SERVICE)
    assert settings.development_issuer is None
    assert settings.keys_uri.startswith("broker:") == (file.stem != "broker")
    if file.stem in roles:
        assert settings.keys_uri.endswith(f"/{file.stem}.sock")
    assert settings.needs_passphrase == (file.stem == "broker")


# systemd. -----------------------------------------------------------------------------------------------------------

HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectKernelTunables": "yes",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "CapabilityBoundingSet": "",
    "LimitCORE": "0",
    "UMask": "0077",
}


def unit(name):
    """Its lines, by key."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "systemd" / f"ragward-{name}.service").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("name", ["keys", "ingest", "query"])
def test_units_are_hardened(name):
    lines = unit(name)
    for key, value in HARDENED.items():
        assert lines[key] == [value], key
    assert lines["User"][0] not in ("root", "")
    words = lines["ExecStart"][0].split()
    assert command_exists(words[words.index("--settings") + 2 :])
    assert (DEPLOY / "settings" / Path(words[words.index("--settings") + 1]).name).is_file()
    assert not any("policy-signing.key" in value for values in lines.values() for value in values)


def test_the_passphrase_is_the_brokers_alone():
    assert unit("keys")["LoadCredential"] == ["ragward:/etc/ragward/secrets/passphrase"]
    for name in ("ingest", "query"):
        assert "LoadCredential" not in unit(name)
    assert unit("keys")["User"] != unit("query")["User"]


def test_each_worker_reaches_its_own_socket_only():
    hidden = {name: " ".join(unit(name)["InaccessiblePaths"]) for name in ("ingest", "query")}
    for name, other in (("ingest", "query"), ("query", "ingest")):
        assert f"/{other}.sock" in hidden[name]
        assert "/service.sock" in hidden[name]
        assert f"/{name}.sock" not in hidden[name]
        # hidden paths are mounts of the file that was there: with a new broker the unit starts anew
        assert "ragward-keys.service" in unit(name)["BindsTo"][0]
    assert "/srv/sources" in hidden["query"]


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and not os.environ.get("CI"),
    reason="systemd-analyze is not here",
)
def test_systemd_can_read_the_units(tmp_path):
    for file in UNITS:
        text = file.read_text().replace("/opt/ragward/bin/ragward", "/bin/true")
        (tmp_path / file.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.glob("*.service")))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told = [line for line in done.stderr.splitlines() if "ragward-" in line]
    assert told == []
