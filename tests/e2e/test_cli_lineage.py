"""Lineage, re-scans and another model by command line; lineage by REST."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from ragward import bootstrap
from ragward.api.app import create_app
from ragward.cli import main as cli
from ragward.domain.errors import RagwardError
from ragward.opening import development_token, resource
from tests import company
from tests.fakes.embedder_second import SecondEmbedder, WorseEmbedder
from tests.installation import doubles, initialised


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A settings file of an installation with documents; (file, settings)."""
    directory = tmp_path_factory.mktemp("lineage-cli")
    settings = initialised(directory)
    with bootstrap.Ragward.open(settings, doubles()) as ragward:
        for each in company.documents(6):
            ragward.ingestion.ingest(company.subject("steward"), each)
    file = directory / "ragward.toml"
    file.write_text(
        f'data_dir = "{settings.data_dir}"\nkeyring = "{settings.keyring}"\n'
        f'passphrase = "{settings.passphrase}"\nrequest_seconds = 1\n'
        f'development_issuer = "{settings.development_issuer}"\n'
        'development_tenants = ["acme"]\n'
    )
    return file, settings


@pytest.fixture
def run(home, monkeypatch):
    """Runs a command with quick doubles; returns (exit code, standard output)."""
    plain = bootstrap.Ragward.open.__func__
    models = [SecondEmbedder()]

    def opened(cls, settings, given=None):
        real = {"identity": None, "limiter": None, "clock": None}
        return plain(cls, settings, given or doubles(search_embedders=models, **real))

    monkeypatch.setattr(bootstrap.Ragward, "open", classmethod(opened))

    def command(*words, model=None):
        if model is not None:
            models[:] = [model]
        result = CliRunner().invoke(cli.app, ["--settings", str(home[0]), *map(str, words)])
        if isinstance(result.exception, RagwardError):
            return cli.report(result.exception), result.stdout
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result.exit_code, result.stdout

    return command


STEWARD = ("--as", "steward", "--json")


def documents_of(run):
    return json.loads(run("document", "list", *STEWARD)[1])["documents"]


def chunk_of(home, document_id):
    with bootstrap.Ragward.open(home[1], doubles()) as ragward:
        return ragward.catalog.document_chunks("acme", document_id)[0].chunk_id


def test_lineage_is_shown_listed_and_exported(run, home, tmp_path):
    [first, *_] = documents_of(run)
    chunk = chunk_of(home, first["document_id"])
    code, shown = run("lineage", chunk, *STEWARD)
    body = json.loads(shown)
    assert (code, body["source"], body["tools"]["chunker"]) == (0, first["source"], "fake/300")
    code, table = run("lineage", chunk, "--as", "steward")
    assert code == 0
    assert "fake/300" in table
    assert run("lineage", chunk, "--as", "cai")[0] in (2, 3)
    code, listed = run("lineage", "--versions", *STEWARD)
    versions = {(e["tool"], e["version"]): e["documents"] for e in json.loads(listed)["versions"]}
    assert versions["finder", "fake/1"] == 6
    assert "finder" in run("lineage", "--versions", "--as", "steward")[1]
    file = tmp_path / "events.jsonl"
    name = f"{first['corpus']}:{first['source']}"
    assert run("lineage", "--document", name, "--output", file, *STEWARD) == (0, '{"events": 2}\n')
    assert file.stat().st_mode & 0o777 == 0o600
    schema = json.loads((resource("schemas") / "openlineage.schema.json").read_text())
    for line in file.read_text().splitlines():
        jsonschema_rs.validate(schema, json.loads(line), validate_formats=True)
    before = file.read_bytes()
    assert run("lineage", "--document", name, "--output", file, *STEWARD)[0] == 2
    assert file.read_bytes() == before
    other = tmp_path / "other.jsonl"
    assert run("lineage", "--job", "absent", "--output", other, *STEWARD)[0] != 0
    assert list(tmp_path.iterdir()) == [file]
    for wrong in ((), (chunk, "--versions"), ("--document", name), (chunk, "--output", other)):
        assert run("lineage", *wrong, *STEWARD)[0] == 2


def test_what_is_older_by_command(run):
    code, done = run("pii", "rescan", "--older-than", "fake/1", *STEWARD)
    assert (code, json.loads(done)["looked_at"]) == (0, 0)
    assert run("pii", "rescan", "--older-than", "nothing", *STEWARD)[0] == 2
    assert run("rescreen", "--older-than", "nothing", *STEWARD)[0] == 2


@pytest.mark.prove
def test_another_model_by_command(run):
    assert json.loads(run("model", "status", "--json")[1])["generations"][0]["number"] == 1
    assert run("model", "switch")[0] == 2
    assert run("model", "build", model=WorseEmbedder())[0] == 0
    code, refused = run("model", "switch", "--json")
    assert (code, json.loads(refused)["accepted"]) == (3, False)
    assert run("model", "drop") == (0, "generation 2 is gone\n")
    code, built = run("model", "build", "--json", model=SecondEmbedder())
    assert (code, json.loads(built)["lacking"]) == (0, 0)
    assert "80 dimensions" in run("model", "status")[1]
    assert run("model", "switch") == (0, "generation 3 answers\n")
    assert run("model", "rollback") == (0, "generation 1 answers\n")
    assert run("model", "rollback", "--json")[0] == 0
    code, answered = run("query", "budget travel", "--as", "ben", "--json")
    assert code == 0
    assert json.loads(answered)["passages"]
    assert run("leak-test", "--tenant", "acme", "--json")[0] == 0
    assert run("model", "drop")[0] == 0
    assert json.loads(run("query", "budget travel", "--as", "ben", "--json")[1])["passages"]
    assert [
        g["number"] for g in json.loads(run("model", "status", "--json")[1])["generations"]
    ] == [3]


def test_a_manifest_is_made_and_pinned(run, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.safetensors").write_bytes(b"weights")
    manifest = tmp_path / "model.json"
    code, made = run("model", "digest", manifest, "--of", tmp_path / "model")
    assert code == 0
    assert len(made.strip()) == 64
    assert run("model", "digest", manifest) == (0, made)


def test_lineage_by_rest(home):
    settings = home[1].model_copy(update={"requests_per_minute": 10_000})
    given = doubles(identity=None, clock=None, search_embedders=[SecondEmbedder()])
    with bootstrap.Ragward.open(settings, given) as ragward, TestClient(create_app(ragward)) as api:

        def get(path, name):
            token = development_token(settings, name, tenant="acme")
            return api.get(path, headers={"Authorization": f"Bearer {token}"})

        record = ragward.catalog.documents("acme")[0]
        chunk = ragward.catalog.document_chunks("acme", record.document_id)[0].chunk_id
        found = get(f"/v1/chunks/{chunk}/lineage", "steward").json()
        assert (found["document_id"], len(found["bytes_sha256"])) == (record.document_id, 64)
        assert found["tools"]["model"] == ragward.models.read().serving.model
        absent = get(f"/v1/chunks/{record.document_id}/lineage", "steward")
        denied = get(f"/v1/chunks/{chunk}/lineage", "nobody")
        for refused in (absent, denied):
            assert (refused.status_code, refused.json()["code"]) == (404, "access.not_found")
        assert absent.json()["detail"] == denied.json()["detail"]
        listed = get("/v1/lineage/versions", "steward").json()["versions"]
        assert {each["tool"] for each in listed} >= {"finder", "chunker", "model"}
        assert get("/v1/lineage/versions", "ben").status_code == 403
