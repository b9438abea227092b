"""What the commands do: open the installation, call one flow, show the result."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from ragward import installation
from ragward.bootstrap import Ragward
from ragward.cli import render
from ragward.client import RagwardClient
from ragward.domain.access import Credentials, Subject
from ragward.domain.errors import (
    ConfigurationError,
)
from ragward.domain.passages import RetrievalRequest
from ragward.opening import (
    development_token,
)
from ragward.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who runs a command: a person by the development issuer, or the holder of a token."""

    person: str | None = None
    tenant: str | None = None
    agent: str | None = None
    token_file: Path | None = None

    def token(self, settings: Settings | None) -> str:
        """The bearer token. Raises `auth.missing`, `config.invalid`."""
        if self.person is not None and settings is not None:
            tenants = settings.development_tenants
            tenant = self.tenant or (tenants[0] if tenants else "")
            return development_token(settings, self.person, tenant=tenant, agent=self.agent)
        if self.token_file is not None:
            return self.token_file.read_text(encoding="utf-8").strip()
        if found := os.environ.get("RAGWARD_TOKEN"):
            return found
        raise ConfigurationError("say who asks: --as NAME, --token-file FILE or RAGWARD_TOKEN")

    def credentials(self, settings: Settings) -> Credentials:
        """For the flows; an agent's task grant comes from RAGWARD_TASK_GRANT."""
        return Credentials(
            untrusted_authorization=self.token(settings),
            untrusted_task_grant=os.environ.get("RAGWARD_TASK_GRANT"),
        )


def load_settings(file: Path | None) -> Settings:
    """The settings in force. Raises `config.invalid`."""
    return Settings.load(file)


@contextmanager
def opened(settings: Settings, caller: Caller) -> Iterator[tuple[Ragward, Subject]]:
    """The installation, and who runs the command."""
    with Ragward.open(settings) as ragward:
        yield ragward, ragward.identify(caller.credentials(settings))


def init(
    settings: Settings, tenant: str, administrator: str, policy: Path | None, *, as_json: bool
) -> None:
    """`ragward init`."""
    start = installation.read_policy_csv(policy) if policy else None
    made = installation.initialise(
        settings, tenant=tenant, administrator=administrator, policy=start
    )
    render.result(
        {"tenant": made.tenant, "administrator": made.administrator},
        f"tenant {made.tenant} is ready; {made.administrator} administers it",
        as_json=as_json,
    )


def upgrade(settings: Settings, *, as_json: bool) -> None:
    """`ragward upgrade`."""
    installation.upgrade(settings)
    render.result({"upgraded": True}, "the catalog is up to date", as_json=as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenProof:
    """What a development token says of how somebody authenticated, and what it is bound to."""

    acr: str | None
    device: str | None
    auth_age: int
    key_thumbprint: str | None


def token(settings: Settings, caller: Caller, proof: TokenProof, *, as_json: bool) -> None:
    """`ragward token`."""
    tenants = settings.development_tenants
    text = development_token(
        settings,
        caller.person or "",
        tenant=caller.tenant or (tenants[0] if tenants else ""),
        agent=caller.agent,
        acr=proof.acr,
        device=proof.device,
        auth_age_seconds=proof.auth_age,
        key_thumbprint=proof.key_thumbprint,
    )
    render.result({"token": text}, text, as_json=as_json)


def config(settings: Settings, *, as_json: bool) -> None:
    """`ragward config`."""
    values = settings.model_dump(mode="json")  # secrets are masked by their type
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items())
    render.result(values, lines, as_json=as_json)


def query(
    settings: Settings,
    request: RetrievalRequest,
    caller: Caller,
    server: str | None,
    *,
    as_json: bool,
) -> None:
    """`ragward query`."""
    if server is not None:
        task = os.environ.get("RAGWARD_TASK_GRANT")
        with RagwardClient(server, caller.token(settings), task_grant=task) as client:
            answer = client.retrieve(request)
    else:
        with Ragward.open(settings) as ragward:
            answer = ragward.retrieve(caller.credentials(settings), request)
    if as_json:
        typer.echo(json.dumps(render.answer_json(answer)))
    else:
        render.answer(answer)


def document_id(ragward: Ragward, subject: Subject, name: str) -> str:
    """The id of a document named by its id or as CORPUS:SOURCE; a name that leads nowhere is returned as it is."""
    corpus, colon, source = name.partition(":")
    record = ragward.catalog.find_document(subject.tenant, corpus, source) if colon else None
    return record.document_id if record else name


def backup(settings: Settings, directory: Path, *, as_json: bool) -> None:
    """`ragward backup`."""
    with Ragward.open(settings) as ragward:
        names = [path.name for path in installation.backup(ragward, directory)]
    render.result(
        {"copied": names},
        f"copied {', '.join(names)}; keep the keyring and its passphrase elsewhere, they are not in it",
        as_json=as_json,
    )


def restore(settings: Settings, directory: Path, *, as_json: bool) -> None:
    """`ragward restore`."""
    installation.restore(settings, directory)
    index_rebuild(settings, as_json=as_json)


def openapi(output: Path | None) -> None:
    """`ragward openapi`."""
    from ragward.api.app import openapi_document

    text = json.dumps(openapi_document(), indent=1, sort_keys=True) + "\n"
    if output is None:
        typer.echo(text)
    else:
        output.write_text(text, encoding="utf-8")


def index_rebuild(settings: Settings, *, as_json: bool) -> None:
    """`ragward index rebuild`."""
    with Ragward.open(settings) as ragward:
        points = ragward.index_sync.rebuild()
    render.result({"points": points}, f"{points} points written from the catalog", as_json=as_json)
