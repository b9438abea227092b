"""Two tenants, enforcement points and people behind one API, for the tests of AuthZEN."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace

from starlette.testclient import TestClient

from ragward import installation
from ragward.adapters.finder_presidio import ENTITY_TYPES
from ragward.api.app import create_app
from ragward.bootstrap import Ragward
from ragward.domain.access import Action, Application
from ragward.domain.corpus import SourceDocument
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import PolicyRow
from ragward.opening import development_token
from tests import company
from tests.e2e.conftest import open_served

PEOPLE = (*company.PEOPLE, "steward", "root", "stranger")
READ = "corpus:retrieve"
ACTIONS = [action.value for action in Action] + [f"reveal:{kind}" for kind in ENTITY_TYPES]
ALL = "PUBLIC..RESTRICTED"
ROWS = [
    PolicyRow("app:acme/pep", "access:evaluate", "acme/*", ALL, "*", "allow"),
    PolicyRow("app:acme/portal", "access:evaluate", "acme/*", ALL, "*", "allow"),
    PolicyRow("app:acme/pep", READ, "acme/*", ALL, "*", "allow"),
    PolicyRow("app:acme/portal", READ, "acme/*", ALL, "*", "allow"),
    PolicyRow("app:acme/ghost", READ, "acme/*", ALL, "*", "allow"),
    PolicyRow("user:acme/dot", "document:ingest", "acme/*", ALL, "*", "allow"),
    PolicyRow("user:acme/ben", "document:delete", "acme/fin", "PUBLIC..INTERNAL", "*", "allow"),
]


@dataclass
class World:
    """Two tenants behind one API."""

    ragward: Ragward
    client: TestClient
    keys: dict[str, str]

    def headers(self, name, **given):
        """Of an application by its key, or of a person through the command line's."""
        if name in self.keys:
            return {"Authorization": f"Bearer {self.keys[name]}"}
        settings = self.ragward.settings
        given = {"tenant": "acme"} | given
        return {"Authorization": f"Bearer {development_token(settings, name, **given)}"}

    def post(self, path, body, *, by="pep", **given):
        return self.client.post(f"/access/v1/{path}", json=body, headers=self.headers(by, **given))

    def decision(self, subject, action, resource, *, by="pep", **given):
        found = self.post("evaluation", question(subject, action, resource), by=by, **given)
        assert found.status_code == 200, found.text
        return found.json()["decision"]

    def found(self, kind, body, *, by="pep", **given):
        found = self.post(f"search/{kind}", body, by=by, **given)
        assert found.status_code == 200, found.text
        return [each.get("id", each.get("name")) for each in found.json()["results"]]

    def records(self, **given):
        return list(self.ragward.catalog.documents("acme", **given))


def question(subject, action, resource):
    kind, _, name = subject.partition(":")
    resource_kind, _, resource_name = resource.partition(":")
    return {
        "subject": {"type": kind, "id": name},
        "action": {"name": action},
        "resource": {"type": resource_kind, "id": resource_name},
    }


def application(name, tenant="acme", ceiling=Classification.RESTRICTED):
    return Application(
        principal=f"app:{tenant}/{name}",
        tenant=tenant,
        client_id=name,
        corpora=frozenset({"*"}),
        ceiling=ceiling,
    )


GOOD = question("user:ann", READ, "document:x")


@contextmanager
def open_world(directory):
    """The world, open."""
    ragward, portal_key = open_served(directory, development_tenants=("acme", "globex"))
    with ragward:
        steward = company.subject("steward")
        keys = {
            "portal": portal_key,
            "pep": company.register(ragward, application("pep"), steward),
        }
        ragward.catalog.change_policy("acme", author="user:acme/root", add_rows=ROWS)
        rows = [
            PolicyRow(f"user:globex/{name}", action, "globex/*", ALL, "*", "allow")
            for name in ("steward", "ann")
            for action in ("corpus:*", "document:*", "access:*", "application:*")
        ]
        installation.add_tenant(
            ragward,
            tenant="globex",
            administrator="user:globex/root",
            policy=installation.Policy(rows=tuple(rows), memberships=()),
        )
        theirs = replace(
            steward,
            tenant="globex",
            principal="user:globex/steward",
            application=installation.command_line_application("globex"),
        )
        label = AccessLabel(
            tenant="globex",
            corpus="hr",
            classification=Classification.PUBLIC,
            granted=frozenset({"user:globex/ann"}),
        )
        document = SourceDocument(
            source="hr/report-0.txt", filename="r.txt", data=b"Globex voltage.", label=label
        )
        ragward.ingestion.ingest(theirs, document)
        with TestClient(create_app(ragward)) as client:
            yield World(ragward=ragward, client=client, keys=keys)


def readable(world, name):
    """A document that this person may read."""
    for record in world.records():
        if world.decision(f"user:{name}", READ, f"document:{record.document_id}"):
            return record
    raise AssertionError("there is none")


def unreadable(world, name):
    for record in world.records():
        if not world.decision(f"user:{name}", READ, f"document:{record.document_id}"):
            return record
    raise AssertionError("there is none")


def new_document(world, name, **label):
    """An INTERNAL document in `eng`."""
    given = {"corpus": "eng", "classification": Classification.INTERNAL} | label
    given["granted"] = frozenset(given.get("granted", ["group:acme/staff"]))
    document = SourceDocument(
        source=f"eng/{name}.txt",
        filename=f"{name}.txt",
        data=f"About the voltage of {name}.".encode(),
        label=AccessLabel(tenant="acme", **given),
    )
    world.ragward.ingestion.ingest(company.subject("steward"), document)
    return world.ragward.catalog.find_document("acme", given["corpus"], document.source)


def refused(response, status, code):
    assert response.status_code == status, response.text
    assert response.json()["code"] == code
