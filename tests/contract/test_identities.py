"""Task grants, agents and keys in the catalog, on SQLite and PostgreSQL."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from ragward.adapters.catalog_sql import SQLCatalog
from ragward.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from ragward.domain.identities import Agent, Custody, IdentityKind, NewKey
from tests.contract.catalog_contract import NOW
from tests.contract.catalog_examples import application
from tests.contract.test_row_level_security import task_grant
from tests.fakes.catalog_sql import FakeCatalog

OWNED = Custody(owner="user:acme/ann", purpose="tests")
BOT = Agent(principal="agent:acme/bot", tenant="acme", client_id="portal", expires_at=NOW + 900)


@pytest.fixture
def clock():
    return [NOW]


@pytest.fixture
def catalog(database_url, clock):
    made = SQLCatalog.open(database_url, now=lambda: clock[0])
    yield made
    made.close()


@pytest.fixture(params=["sql", "fake"])
def grants(request, database_url):
    if request.param == "fake":
        yield FakeCatalog(now=lambda: NOW)
        return
    made = SQLCatalog.open(database_url, now=lambda: NOW)
    yield made
    made.close()


def key(name, ends=NOW + 900):
    return NewKey(key_id=name, sha256=name.encode().ljust(32, b"."), expires_at=ends)


def test_a_grant_is_kept_as_it_was_minted_spent_and_revoked(grants):
    record = task_grant("acme")
    name = record.grant.grant_id
    grants.add_task_grant(record)
    assert grants.task_grant("acme", name) == record
    assert grants.task_grants("acme", limit=9) == [record]
    assert grants.task_grants("acme", minted_by="user:acme/ben", limit=9) == []
    with pytest.raises(ConflictError):
        grants.add_task_grant(record)
    for tenant, asked in (("globex", name), ("acme", "none"), ("acme", "\0")):
        with pytest.raises(NotFoundError):
            grants.task_grant(tenant, asked)
        with pytest.raises(NotFoundError):
            grants.revoke_task_grant(tenant, asked, by="x")
    assert not grants.spend_task_tokens("globex", name, 1)
    assert grants.spend_task_tokens("acme", name, 60)
    assert not grants.spend_task_tokens("acme", name, 41)
    assert grants.spend_task_tokens("acme", name, 40)
    before = grants.head("acme").epoch
    assert grants.revoke_task_grant("acme", name, by="user:acme/ann") > before
    assert grants.head("acme").epoch > before
    found = grants.task_grant("acme", name)
    assert (found.revoked_at, found.revoked_by, found.secret_sha256) == (NOW, "user:acme/ann", b"")
    grants.revoke_task_grant("acme", name, by="user:acme/ben")
    assert grants.task_grant("acme", name).revoked_by == "user:acme/ann"


def test_nothing_is_spent_from_a_revoked_grant(grants):
    record = task_grant("acme")
    grants.add_task_grant(record)
    grants.revoke_task_grant("acme", record.grant.grant_id, by="x")
    assert not grants.spend_task_tokens("acme", record.grant.grant_id, 1)


def test_a_budget_is_not_spent_twice_by_two_at_once(catalog):
    record = task_grant("acme")
    catalog.add_task_grant(record)
    done = []

    def spend():
        done.append(catalog.spend_task_tokens("acme", record.grant.grant_id, 30))

    threads = [threading.Thread(target=spend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False] * 3 + [True] * 3
    assert catalog.task_grant("acme", record.grant.grant_id).spent_tokens == 90


def test_an_agent_has_keys_of_its_own(catalog, clock):
    with pytest.raises(InvalidRequestError):
        catalog.save_agent(BOT, OWNED, None)  # its application is not there
    catalog.save_application(application(), key_prefix="app", key_sha256=b"a" * 32)
    catalog.save_agent(BOT, OWNED, key("bot"))
    assert catalog.find_agent("acme", BOT.principal) == BOT
    assert catalog.find_agent("globex", BOT.principal) is None
    found = catalog.find_application_by_key("bot")
    assert (found.agent, found.application, found.not_after) == (
        BOT.principal,
        application(),
        NOW + 900,
    )
    assert catalog.find_application_by_key("app").agent is None
    with pytest.raises(ConflictError):
        catalog.save_agent(BOT, OWNED, key("app"))
    renewed = dataclasses.replace(BOT, expires_at=NOW + 60)
    catalog.save_agent(renewed, OWNED, None)
    clock[0] = NOW + 60
    assert catalog.find_application_by_key("bot") is None
    assert catalog.find_application_by_key("app") is not None
    catalog.save_application(
        application(), key_prefix="new", key_sha256=b"n" * 32, replace_keys=True
    )
    kept = {each.principal: each.keys for each in catalog.identities("acme")}
    assert [one.key_id for one in kept[BOT.principal]] == [
        "bot"
    ]  # not the application's to replace
    assert [one.key_id for one in kept["app:acme/portal"]] == ["new"]


def test_a_rotation_leaves_the_newest_key_and_no_older_one(catalog, clock):
    catalog.save_application(application(), key_prefix="one", key_sha256=b"1" * 32, custody=OWNED)

    def rotate(name, overlap):
        until = clock[0] + overlap if overlap else None
        return catalog.rotate_key("acme", "app:acme/portal", key(name), earlier_ends_at=until)

    def good():
        return {n for n in ("one", "two", "three", "four") if catalog.find_application_by_key(n)}

    epoch = catalog.epoch("acme")
    assert rotate("two", 60)
    assert catalog.epoch("acme") > epoch
    assert good() == {"one", "two"}
    assert rotate("three", 60)
    assert good() == {"two", "three"}
    clock[0] += 60
    assert good() == {"three"}
    assert not rotate("four", 0)
    assert good() == {"four"}
    for tenant, principal in (("globex", "app:acme/portal"), ("acme", "agent:acme/none")):
        with pytest.raises(NotFoundError):
            catalog.rotate_key(tenant, principal, key("five"), earlier_ends_at=NOW)


def test_the_inventory_lists_what_there_is_and_what_was_used(catalog):
    catalog.save_application(application("old"), key_prefix=None, key_sha256=None)
    catalog.save_application(
        application(), key_prefix="one", key_sha256=b"1" * 32, custody=OWNED, key_expires_at=NOW + 9
    )
    catalog.save_application(application(), key_prefix=None, key_sha256=None)  # keeps its owner
    catalog.save_agent(BOT, OWNED, None)
    catalog.note_uses("acme", {"app:acme/portal": NOW, "key:one": NOW, "agent:acme/ghost": NOW})
    catalog.note_uses("acme", {"app:acme/portal": NOW - 9})  # a slow worker
    found = {each.principal: each for each in catalog.identities("acme")}
    assert list(found) == ["agent:acme/bot", "agent:acme/ghost", "app:acme/old", "app:acme/portal"]
    portal, old = found["app:acme/portal"], found["app:acme/old"]
    assert (portal.owner, portal.purpose, portal.created_at) == ("user:acme/ann", "tests", NOW)
    assert portal.last_used_at == portal.keys[0].last_used_at == NOW
    assert portal.keys[0].expires_at == NOW + 9
    assert (old.owner, old.kind) == ("", IdentityKind.APPLICATION)
    assert not found["agent:acme/ghost"].registered
    assert catalog.identities("globex") == []
