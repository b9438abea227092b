"""Settings: file, environment and arguments; unsafe combinations refuse to start."""

from __future__ import annotations

import pytest

from ragward.domain.errors import ConfigurationError
from ragward.settings import Settings, is_loopback


def load(tmp_path, **values):
    return Settings.load(
        **({"data_dir": tmp_path / "data", "keyring": tmp_path / "k.json"} | values)
    )


def refused(tmp_path, **values):
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, **values)
    assert caught.value.code == "config.invalid"
    return caught.value.detail


def test_arguments_over_environment_over_file(tmp_path, monkeypatch):
    file = tmp_path / "ragward.toml"
    file.write_text('data_dir = "/a"\nkeyring = "/k"\nport = 1\nhost = "127.0.0.2"\n')
    monkeypatch.setenv("RAGWARD_PORT", "2")
    assert (Settings.load(file).port, Settings.load(file).host) == (2, "127.0.0.2")
    assert Settings.load(file, port=3).port == 3


def test_unknown_names_are_errors(tmp_path):
    assert "prot" in refused(tmp_path, prot=1)
    file = tmp_path / "ragward.toml"
    file.write_text('data_dir = "/a"\nkeyring = "/k"\n[limits]\nx = 1\n')
    with pytest.raises(ConfigurationError):
        Settings.load(file)


def test_the_public_url_is_https_and_nothing_more(tmp_path):
    for good in ("", "https://pdp.example.com", "https://127.0.0.1:8443", "https://[::1]:8443"):
        assert load(tmp_path, public_url=good).public_url == good
    for bad in (
        "http://pdp.example.com",
        "pdp.example.com",
        "https://",
        "https://pdp.example.com/",
        "https://pdp.example.com/tenant",
        "https://pdp.example.com?x=1",
        "https://pdp.example.com#x",
        "https://me:secret@pdp.example.com",
        "https://pdp.example.com:x",
        "https://pdp.example.com\n",
        " https://pdp.example.com",
    ):
        assert "public_url" in refused(tmp_path, public_url=bad), bad


def test_a_missing_or_broken_file_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError):
        Settings.load(tmp_path / "none.toml")
    file = tmp_path / "ragward.toml"
    file.write_text("data_dir = ")
    with pytest.raises(ConfigurationError):
        Settings.load(file)


@pytest.mark.parametrize("name", ["keyring", "development_issuer", "passphrase"])
def test_secrets_lie_outside_the_data_directory(tmp_path, name):
    inside = tmp_path / "data" / "secret"
    assert name in refused(tmp_path, **{name: f"file:{inside}" if name == "passphrase" else inside})
    roundabout = tmp_path / "else" / ".." / "data" / "secret"
    refused(tmp_path, **{name: f"file:{roundabout}" if name == "passphrase" else roundabout})


def test_a_link_into_the_data_directory_is_inside_it(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    refused(tmp_path, keyring=tmp_path / "link" / "k.json")


def test_the_development_issuer_stays_on_this_machine(tmp_path):
    for host in ("0.0.0.0", "192.0.2.1", "::", "example.com"):
        refused(tmp_path, development_issuer=tmp_path / "issuer", host=host)
        assert load(tmp_path, host=host).host == host
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert load(tmp_path, development_issuer=tmp_path / "issuer", host=host)
        assert is_loopback(host)


def test_a_passphrase_in_the_environment_is_for_demos(tmp_path):
    refused(tmp_path, passphrase="env:SECRET")
    assert load(tmp_path, passphrase="env:SECRET", demo=True)


@pytest.mark.parametrize(
    "values",
    [
        {"port": 70_000},
        {"requests_per_minute": 0},
        {"request_seconds": 0},
        {"log_format": "xml"},
        {"issuers": [{"issuer": "x"}]},
        {"issuers": [{"issuer": "x", "tenant": "t", "jwks": "j", "secret": "s"}]},
    ],
    ids=str,
)
def test_values_out_of_bounds(tmp_path, values):
    refused(tmp_path, **values)


def test_secrets_are_not_shown(tmp_path):
    settings = load(tmp_path, qdrant_api_key="very-secret")
    assert "very-secret" not in repr(settings)
    assert "very-secret" not in str(settings)


def test_settings_do_not_change(tmp_path):
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path).port = 1


def test_an_ingest_root_is_one_tenants(tmp_path):
    assert load(tmp_path, ingest_roots={"acme/inbox": tmp_path}).ingest_roots
    for name in ("inbox", "acme/", "/inbox", "ACME/inbox", "acme/a/b", "*/inbox", ""):
        assert "TENANT/NAME" in refused(tmp_path, ingest_roots={name: tmp_path})
