"""A served installation: real tokens, keys, limits, catalog, index and log; fakes only for what loads for seconds."""

from __future__ import annotations

import dataclasses
import threading
import time
from dataclasses import dataclass

import pytest
import uvicorn

from ragward.api.app import create_app
from ragward.bootstrap import Ragward
from ragward.domain.access import Application
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import PolicyRow
from ragward.installation import Policy, initialise
from ragward.opening import development_token
from ragward.settings import Settings
from tests import company
from tests.conformance.oracle import Oracle
from tests.installation import doubles, settings_in


@dataclass
class Served:
    """An installation behind a socket on loopback."""

    url: str
    ragward: Ragward
    key: str

    def token(self, name, **given):
        """A person's token through the public command-line client."""
        return development_token(self.ragward.settings, name, tenant="acme", **given)

    def through_portal(self, name):
        """A person's token that was issued to the application `portal`."""
        return self.token(name, client_id="portal")

    def headers(self, name):
        """As that person."""
        return {"Authorization": f"Bearer {self.token(name)}"}


ROOT_ROWS = tuple(
    PolicyRow("user:acme/steward", action, "acme/*", "PUBLIC..RESTRICTED", "*", "allow")
    for action in (
        "access:evaluate",
        "application:write",
        "directory:read",
        "directory:write",
        "job:read",
        "metrics:read",
    )
)


def served_settings(directory, **changes) -> Settings:
    """Settings whose limits are out of the way unless a test wants them."""
    root = directory / "inbox"
    root.mkdir(parents=True, exist_ok=True)
    wide = {
        "requests_per_minute": 1_000_000,
        "concurrent_requests": 64,
        "ingest_roots": {"acme/inbox": root},
    }
    base = settings_in(directory)
    return base.model_copy(update=wide | changes)


def open_served(directory, *, real=("identity", "limiter", "clock"), **changes):
    """Initialises and opens an installation with documents in it."""
    settings = served_settings(directory, **changes)
    initialise(
        settings,
        tenant=company.TENANT,
        administrator="user:acme/root",
        policy=Policy(rows=company.ROWS + ROOT_ROWS, memberships=company.MEMBERSHIPS),
    )
    ragward = Ragward.open(settings, dataclasses.replace(doubles(), **dict.fromkeys(real)))
    portal = Application(
        principal="app:acme/portal",
        tenant="acme",
        client_id="portal",
        corpora=frozenset({"*"}),
        ceiling=Classification.CONFIDENTIAL,
    )
    key = company.register(ragward, portal)
    for document in company.documents(30):
        ragward.ingestion.ingest(company.subject("steward"), document)
    return ragward, key


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    ragward, key = open_served(tmp_path_factory.mktemp("served"))
    with ragward:
        server = uvicorn.Server(
            uvicorn.Config(create_app(ragward), host="127.0.0.1", port=0, log_config=None)
        )
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Served(url=f"http://127.0.0.1:{port}", ragward=ragward, key=key)
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """What the tests of AuthZEN ask."""
    from tests.e2e.authzen_world import open_world

    with open_world(tmp_path_factory.mktemp("authzen")) as opened:
        yield opened


@pytest.fixture(scope="module")
def oracle(world):
    """Casbin's own verdict over that world's policy."""
    policy = world.ragward.catalog.policy("acme")
    enforcer = Oracle(
        [row.fields() for row in policy.rows], [(m.member, m.group) for m in policy.memberships]
    )
    now = world.ragward.clock.now()

    def may(principal, action, label):
        """Casbin's verdict; on acts, and on what is revealed, the label's own terms do not count."""
        delegate = principal.startswith("agent:")
        if action == "corpus:retrieve":
            return enforcer.may(principal, action, label, now, delegate=delegate)
        opened = AccessLabel(
            tenant=label.tenant,
            corpus=label.corpus,
            classification=label.classification,
            granted=frozenset({principal}),
        )
        found = enforcer.may(principal, action, opened, now, delegate=delegate)
        return found and (
            not action.startswith("reveal:") or may(principal, "corpus:retrieve", label)
        )

    return may
