"""Whoever writes the database writes no policy: authority rows count as they were signed, or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import sqlite3
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from ragward import installation, signing
from ragward.adapters.catalog_sql import SQLCatalog
from ragward.adapters.catalog_sql.labels import label_to_json
from ragward.adapters.identity_keys import new_api_key
from ragward.adapters.identity_tasks import TaskGrantVerifier
from ragward.adapters.policy_keys_ed25519 import PolicyRootKeeper, create_policy_key
from ragward.domain.access import Application, Credentials
from ragward.domain.checkpoints import LogKey
from ragward.domain.corpus import SourceDocument
from ragward.domain.directory import GroupProfile, UserProfile
from ragward.domain.elevation import Elevation
from ragward.domain.errors import RagwardError
from ragward.domain.identities import Agent, Custody, NewKey
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import Membership, PolicyRow
from ragward.domain.policy_roots import PolicyRoot
from ragward.opening import (
    development_token,
    open_catalog,
    open_identity,
    open_pdp,
    open_policy_keeper,
    open_signed_authority,
    resource,
)
from ragward.restricting import request_of
from ragward.retrieval import Retrieval
from tests import company
from tests.copies import copied
from tests.installation import initialised, opened

QUERY = "calibration laboratory"
HR = "The board will sell the calibration laboratory in March."
ENG = "The calibration laboratory measures the new sensor."
OPEN = "The calibration laboratory opens at nine every morning."
FIN = "The calibration laboratory cost two million last year."
KEY, PREFIX, DIGEST = new_api_key()
AGENT_KEYS = {name: new_api_key() for name in ("bot", "weak", "gone", "late")}
HOUR = 3600
GONE = PolicyRow(
    "agent:acme/gone", "corpus:retrieve", "acme/*", "PUBLIC..CONFIDENTIAL", "*", "allow"
)
ON_CALL = PolicyRow(
    "role:acme/on-call", "corpus:retrieve", "acme/hr", "PUBLIC..RESTRICTED", "*", "allow"
)
DENY = PolicyRow("user:acme/ann", "corpus:retrieve", "acme/eng", "PUBLIC..RESTRICTED", "*", "deny")


def label(corpus, level, granted="group:acme/staff"):
    return AccessLabel(
        tenant="acme", corpus=corpus, classification=level, granted=frozenset({granted})
    )


LABELS = {
    HR: label("hr", Classification.RESTRICTED),
    ENG: label("eng", Classification.CONFIDENTIAL),
    OPEN: label("eng", Classification.PUBLIC),
    FIN: label("fin", Classification.INTERNAL),
}


def application(client_id, **given):
    values = {"corpora": frozenset({"*"}), "ceiling": Classification.RESTRICTED} | given
    return Application(
        principal=f"app:acme/{client_id}",
        tenant="acme",
        client_id=client_id,
        public_client=True,
        **values,
    )


@dataclass(frozen=True)
class Home:
    settings: object
    directory: object
    clean: object
    """a copy of the data directory and of what was seen of roots"""
    tokens: dict
    ragward: object = None
    start: int = 0


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    directory = tmp_path_factory.mktemp("edits")
    settings = initialised(directory)
    tokens = {}
    for name, client in ASKERS:
        tokens[name, client] = development_token(
            settings, name, tenant="acme", **({"client_id": client} if client else {})
        )
    with opened(settings, identity=None, clock=None) as ragward:
        catalog = ragward.catalog
        catalog.save_application(
            application("low", corpora=frozenset({"eng"}), ceiling=Classification.INTERNAL),
            key_prefix=None,
            key_sha256=None,
        )
        catalog.save_application(
            application("old", expires_at=int(time.time()) - 100), key_prefix=None, key_sha256=None
        )
        register_agents(catalog)
        for number, (ends, revoked) in enumerate(((-1, None), (1, 1))):
            catalog.add_elevation(elevation(f"e{number}", ends * HOUR))
            if revoked:
                before = catalog.elevation("acme", f"e{number}")
                after = dataclasses.replace(before, revoked_by="user:acme/root", revoked_at=1)
                catalog.change_elevation(before, after)
        catalog.change_policy(
            "acme",
            add_rows=[DENY, GONE, ON_CALL],
            add_memberships=[Membership("user:acme/dan", "group:acme/hr")],
            author="user:acme/root",
        )
        dan = catalog.create_user("acme", profile("dan"), "scim")
        catalog.replace_user(dan, profile("dan", active=False), "scim")
        eve = catalog.create_user("acme", profile("eve"), "scim")
        catalog.create_group(
            "acme",
            GroupProfile(display_name="g", external_id=None, members=frozenset({eve.user_id})),
            "scim",
        )
        for number, (text, wanted) in enumerate(LABELS.items()):
            name = f"{number}.txt"
            ragward.ingestion.ingest(
                company.subject("steward"),
                SourceDocument(
                    source=name, filename=name, data=text.encode(), label=wanted, attributes={}
                ),
            )
        assert {who: seen(ragward, tokens, who) for who in ASKERS} == ASKERS
    clean = directory / "clean"
    copy(settings, clean)
    return Home(settings, directory, clean, tokens)


def register_agents(catalog):
    """Each with a key: `weak` has no rows, `gone` has ended, and so has the key `late`, another of the bot's."""
    now, custody = int(time.time()), Custody(owner="user:acme/root", purpose="a test")
    for name, agent, lives, key_lives in (
        ("late", "bot", HOUR, -HOUR),
        ("bot", "bot", HOUR, HOUR),
        ("weak", "weak", HOUR, HOUR),
        ("gone", "gone", -HOUR, HOUR),
    ):
        _, prefix, digest = AGENT_KEYS[name]
        catalog.save_agent(
            Agent(
                principal=f"agent:acme/{agent}",
                tenant="acme",
                client_id="ragward-cli",
                expires_at=now + lives,
            ),
            custody,
            NewKey(key_id=prefix, sha256=digest, expires_at=now + key_lives),
        )


def elevation(name, ends_in):
    now = int(time.time())
    return Elevation(
        elevation_id=name,
        tenant="acme",
        member="user:acme/ben",
        role="role:acme/on-call",
        minutes=60,
        reason="a test",
        requested_at=now - 2 * HOUR,
        decided_by="user:acme/root",
        decided_at=now - 2 * HOUR,
        not_before=now - 2 * HOUR,
        not_after=now + ends_in,
    )


def profile(name, *, active=True, external_id=None):
    return UserProfile(
        user_name=name, external_id=external_id or name, display_name=None, active=active
    )


ASKERS = {  # (person, application) -> what they may see before anything is edited
    ("ben", None): {ENG, OPEN, FIN},
    ("ann", None): {HR, FIN},
    ("cai", None): {OPEN},
    ("eve", None): set(),
    ("dan", None): set(),
    ("ben", "low"): {OPEN},
    ("ben", "old"): set(),
}
STAFF = {("ben", None), ("ann", None)}


def copy(settings, to):
    """Everything an attacker with yesterday's disk has: the database and, beside it, what was seen."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(settings.data_dir, to / "data", ignore=shutil.ignore_patterns("*.sock"))
    copied(settings.policy_roots_seen, to / "seen")


def put_back(settings, source):
    shutil.rmtree(settings.data_dir)
    copied(source / "data", settings.data_dir)
    forget_seen(settings, source)


def forget_seen(settings, source):
    shutil.rmtree(settings.policy_roots_seen, ignore_errors=True)
    copied(source / "seen", settings.policy_roots_seen)


def put_database_back(settings, source):
    """Under the processes that have it open, as whoever can write the database can."""
    kept = sqlite3.connect(source / "data" / "catalog.db")
    database = sqlite3.connect(settings.data_dir / "catalog.db")
    kept.backup(database)
    database.close()
    kept.close()


@pytest.fixture
def closed(home):
    """The installation as it was, for those who open it themselves."""
    put_back(home.settings, home.clean)
    return home


@pytest.fixture(scope="module")
def live(home):
    """A copy of it, open for the whole module: opening one takes most of a second."""
    to = home.directory / "live"
    copied(home.clean / "data", to / "data")
    copied(home.clean / "seen", to / "data.policy-roots")
    settings = home.settings.model_copy(update={"data_dir": to / "data"})
    with opened(settings, identity=None, clock=None) as ragward:
        yield dataclasses.replace(home, settings=settings), ragward


@pytest.fixture
def fresh(live):
    """The database and what was seen as they were."""
    home, ragward = live
    put_database_back(home.settings, home.clean)
    forget_seen(home.settings, home.clean)
    start = len(ragward.audit.entries(limit=100_000))
    return dataclasses.replace(home, ragward=ragward, start=start)


@contextmanager
def anew(home, settings=None):
    """What a process that has just started decides by: nothing of it is remembered from before."""
    ragward, settings = home.ragward, settings or home.settings
    with ExitStack() as stack:
        catalog = open_catalog(settings, stack)
        signed = open_signed_authority(settings, catalog, ragward.audit, ragward.clock, stack)
        ports = dataclasses.replace(
            ragward.retrieval._ports,
            catalog=catalog,
            pdp=open_pdp(signed, settings.policies_dir or resource("policies")),
            identity=TaskGrantVerifier(
                open_identity(settings, signed, ragward.clock),
                catalog,
                ragward.clock,
                agents=signed,
                required=False,
            ),
        )
        yield dataclasses.replace(
            ragward,
            settings=settings,
            catalog=catalog,
            signed=signed,
            pdp=ports.pdp,
            identity=ports.identity,
            retrieval=Retrieval(ports),
        )


def seen(ragward, tokens, who):
    """What an asker gets; a refusal of any kind is nothing."""
    try:
        answer = ragward.retrieve(Credentials(untrusted_authorization=tokens[who]), QUERY)
    except RagwardError:
        return set()
    return {passage.text for passage in answer.passages}


def edited(settings, *statements):
    database = sqlite3.connect(settings.data_dir / "catalog.db")
    with database:
        for statement in statements:
            assert database.execute(statement).rowcount > 0, statement
    database.close()


def failures(ragward, home):
    events = [json.loads(e.data) for e in ragward.audit.entries(start=home.start, limit=100_000)]
    return [(e["tenant"], e["details"]["code"]) for e in events if e["type"] == "integrity.failure"]


def rule(ptype, *values):
    values = [*values, *[None] * (6 - len(values))]
    texts = ", ".join("NULL" if value is None else f"'{value}'" for value in values)
    return f"INSERT INTO casbin_rule (tenant, ptype, v0, v1, v2, v3, v4, v5) VALUES ('acme', '{ptype}', {texts})"


MEMBER = "ptype = 'g' AND v0 = 'user:acme/ben'"
EDITS = {
    "membership added": [rule("g", "user:acme/ben", "group:acme/hr")],
    "membership moved": [f"UPDATE casbin_rule SET v1 = 'group:acme/hr' WHERE {MEMBER}"],
    "somebody else's membership taken over": [
        "UPDATE casbin_rule SET v0 = 'user:acme/ben' WHERE ptype = 'g' AND v0 = 'user:acme/ann' AND v1 = 'group:acme/hr'"
    ],
    "group nesting added": [rule("g", "group:acme/eng", "group:acme/hr")],
    "clearance for a compartment added": [rule("g", "user:acme/ben", "compartment:acme/case")],
    "allow row added": [
        rule("p", "user:acme/ben", "corpus:retrieve", "acme/*", "PUBLIC..RESTRICTED", "*", "allow")
    ],
    "allow row widened": [
        "UPDATE casbin_rule SET v3 = 'PUBLIC..RESTRICTED' WHERE ptype = 'p' AND v0 = 'group:acme/staff' AND v1 = 'corpus:retrieve'"
    ],
    "deny row removed": ["DELETE FROM casbin_rule WHERE v0 = 'user:acme/ann' AND v5 = 'deny'"],
    "deny row turned into allow": [
        "UPDATE casbin_rule SET v5 = 'allow' WHERE v0 = 'user:acme/ann' AND v5 = 'deny'"
    ],
    "a right to read the log added": [
        rule("p", "user:acme/ben", "audit:read", "acme/*", "PUBLIC..RESTRICTED", "*", "allow")
    ],
    "a row of bytes added": [
        rule("p", "x", "corpus:retrieve", "acme/*", "PUBLIC", "*", "allow"),
        "UPDATE casbin_rule SET v0 = x'00ff' WHERE v0 = 'x'",
    ],
    "a role for a time inserted": [
        "INSERT INTO elevations SELECT 'e9', tenant, member, role, minutes, reason, requested_at, emergency, decided_by, decided_at, decision_reason, not_before, 9999999999, NULL, NULL, reviewed_by, reviewed_at, review_note FROM elevations WHERE elevation_id = 'e0'"
    ],
    "a role for a time lengthened": [
        "UPDATE elevations SET not_after = 9999999999 WHERE elevation_id = 'e0'"
    ],
    "a role that was taken back given again": [
        "UPDATE elevations SET revoked_by = NULL, revoked_at = NULL WHERE elevation_id = 'e1'"
    ],
    "all policy removed": ["DELETE FROM casbin_rule"],
    "policy epoch lowered": ["UPDATE tenants SET policy_epoch = policy_epoch - 1"],
    "policy epoch raised": [
        "UPDATE tenants SET policy_epoch = policy_epoch + 1, epoch = epoch + 1"
    ],
    "epoch lowered": ["UPDATE tenants SET epoch = 0"],
    "root row deleted": ["DELETE FROM policy_roots"],
    "root row and policy epoch deleted": [
        "DELETE FROM policy_roots",
        "UPDATE tenants SET policy_epoch = 0, epoch = 0",
    ],
    "root edited": ["UPDATE policy_roots SET note = replace(note, 'policy ', 'policy 0')"],
    "signature removed": ["UPDATE policy_roots SET note = substr(note, 1, instr(note, '—') - 1)"],
}
OF_APPLICATIONS = {
    "application's ceiling raised": (
        ("ben", "low"),
        ["UPDATE applications SET ceiling = 3 WHERE client_id = 'low'"],
    ),
    "application's corpora widened": (
        ("ben", "low"),
        ["""UPDATE applications SET corpora = '["*"]' WHERE client_id = 'low'"""],
    ),
    "application's time lengthened": (
        ("ben", "old"),
        ["UPDATE applications SET expires_at = NULL WHERE client_id = 'old'"],
    ),
    "application replaced by another": (
        ("ben", "low"),
        [
            "DELETE FROM applications WHERE client_id = 'low'",
            "UPDATE applications SET client_id = 'low' WHERE client_id = 'ragward-cli'",
        ],
    ),
    "disabled person enabled": (
        ("dan", None),
        ["UPDATE directory_users SET disabled = 0, active = 1 WHERE external_id = 'dan'"],
    ),
    "disabled person removed": (
        ("dan", None),
        ["DELETE FROM directory_users WHERE external_id = 'dan'"],
    ),
    "disabled person renamed": (
        ("dan", None),
        ["UPDATE directory_users SET external_id = 'nobody' WHERE external_id = 'dan'"],
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_edited_policy_rows_give_nothing_more_and_are_an_alarm(fresh, name):
    edited(fresh.settings, *EDITS[name])
    with anew(fresh) as ragward:
        for who in STAFF:
            assert seen(ragward, fresh.tokens, who) <= ASKERS[who], who
        assert ("acme", "integrity.policy_root") in failures(ragward, fresh)
        assert ragward.readiness()["policy"] == "integrity.policy_root"


@pytest.mark.parametrize("name", OF_APPLICATIONS)
def test_edited_applications_and_people_give_nothing_more_and_are_an_alarm(fresh, name):
    who, statements = OF_APPLICATIONS[name]
    edited(fresh.settings, *statements)
    with anew(fresh) as ragward:
        assert seen(ragward, fresh.tokens, who) <= ASKERS[who]
        assert ("acme", "integrity.policy_root") in failures(ragward, fresh)


OF_AGENTS = {
    "agent's time lengthened": (
        "gone",
        ["UPDATE agents SET expires_at = 9999999999 WHERE principal = 'agent:acme/gone'"],
    ),
    "agent's key moved to another agent": (
        "weak",
        ["UPDATE application_keys SET agent = 'agent:acme/bot' WHERE agent = 'agent:acme/weak'"],
    ),
    "agent's key made its application's": (
        "weak",
        ["UPDATE application_keys SET agent = NULL WHERE agent = 'agent:acme/weak'"],
    ),
    "agent's key lengthened": (
        "late",
        [
            f"UPDATE application_keys SET expires_at = 9999999999 WHERE prefix = '{AGENT_KEYS['late'][1]}'"
        ],
    ),
}


def seen_with(ragward, tokens, name):
    """What an agent gets with its own key for Ben; a refusal of any kind is nothing."""
    caller = Credentials(
        untrusted_authorization=AGENT_KEYS[name][0],
        untrusted_user_authorization=tokens["ben", None],
    )
    try:
        return {passage.text for passage in ragward.retrieve(caller, QUERY).passages}
    except RagwardError:
        return set()


@pytest.mark.parametrize("name", OF_AGENTS)
def test_edited_agents_and_keys_give_nothing_more_and_are_an_alarm(fresh, name):
    key, statements = OF_AGENTS[name]
    with anew(fresh) as ragward:
        assert seen_with(ragward, fresh.tokens, "bot") == {ENG, OPEN, FIN}
        assert seen_with(ragward, fresh.tokens, key) == set()
        assert failures(ragward, fresh) == []
    edited(fresh.settings, *statements)
    with anew(fresh) as ragward:
        assert seen_with(ragward, fresh.tokens, key) == set()
        assert ("acme", "integrity.policy_root") in failures(ragward, fresh)


def test_a_token_that_names_an_agent_whose_time_was_lengthened_is_refused(fresh):
    """Without a key of the agent's: the chain in the person's token alone says it."""
    token = development_token(fresh.settings, "ben", tenant="acme", agent="gone")
    caller = Credentials(untrusted_authorization=token)
    for code, statements in (
        ("auth.invalid", ()),
        ("integrity.policy_root", OF_AGENTS["agent's time lengthened"][1]),
    ):
        edited(fresh.settings, *statements)
        with anew(fresh) as ragward:
            with pytest.raises(RagwardError) as refused:
                ragward.retrieve(caller, QUERY)
            assert refused.value.code == code


def test_an_edit_is_noticed_by_a_process_that_has_everything_in_memory(fresh):
    """What a request reads itself is compared with what was verified."""
    low = ("ben", "low")
    with anew(fresh) as ragward:
        assert seen(ragward, fresh.tokens, low) == {OPEN}
        edited(fresh.settings, *OF_APPLICATIONS["application's ceiling raised"][1])
        assert seen(ragward, fresh.tokens, low) == set()
        assert failures(ragward, fresh) == [("acme", "integrity.policy_root")]
        edited(fresh.settings, "UPDATE applications SET ceiling = 1 WHERE client_id = 'low'")
        assert seen(ragward, fresh.tokens, low) == {OPEN}  # and it is over when it is put right
        assert ragward.readiness()["policy"] == "ok"


def test_a_key_put_into_the_database_opens_nothing(fresh):
    edited(
        fresh.settings,
        "INSERT INTO application_keys (prefix, tenant, client_id, sha256, created_at)"
        f" VALUES ('{PREFIX}', 'acme', 'ragward-cli', x'{DIGEST.hex()}', 1)",
    )
    with anew(fresh) as ragward:
        with pytest.raises(RagwardError) as refused:
            ragward.identify(Credentials(untrusted_authorization=KEY))
        assert refused.value.code == "integrity.policy_root"
        assert ("acme", "integrity.policy_root") in failures(ragward, fresh)


def test_a_key_with_another_application_opens_nothing(fresh):
    with anew(fresh) as ragward:
        low = ragward.catalog.find_application("acme", "low")
        ragward.catalog.save_application(low, key_prefix=PREFIX, key_sha256=DIGEST)
        caller = Credentials(untrusted_authorization=KEY)
        assert ragward.identify(caller).application == low
        edited(fresh.settings, "UPDATE application_keys SET client_id = 'ragward-cli'")
        with pytest.raises(RagwardError) as refused:
            ragward.identify(caller)
        assert refused.value.code == "integrity.policy_root"


def test_the_model_swapped_decides_nothing(fresh, tmp_path):
    policies = tmp_path / "policies"
    shutil.copytree("policies", policies)
    model = (policies / "model.conf").read_text()
    (policies / "model.conf").write_text(model + "\n# e = some(where (p.eft == allow))\n")
    settings = fresh.settings.model_copy(update={"policies_dir": policies})
    with anew(fresh, settings) as ragward:
        assert seen(ragward, fresh.tokens, ("ben", None)) == set()
        assert ("acme", "integrity.policy_root") in failures(ragward, fresh)


# Labels: not under the root, but bound to the keys. -------------------------------------------------------------------


def ids(settings):
    database = sqlite3.connect(settings.data_dir / "catalog.db")
    rows = database.execute(
        "SELECT d.source, d.document_id, v.label_id FROM documents d JOIN versions v USING (document_id)"
    ).fetchall()
    database.close()
    names = {f"{number}.txt": text for number, text in enumerate(LABELS)}
    return {names[source]: (document, label_id) for source, document, label_id in rows}


def _swapped(found):
    """The rows of two labels change places, digests and all."""
    hr, public = found[HR][1], found[OPEN][1]
    return [
        f"UPDATE labels SET label_id = -1 WHERE label_id = {hr}",
        f"UPDATE labels SET label_id = {hr} WHERE label_id = {public}",
        f"UPDATE labels SET label_id = {public} WHERE label_id = -1",
    ]


def _forged(found):
    forged = label("eng", Classification.PUBLIC, "user:acme/ben")
    return [
        f"UPDATE labels SET fields = '{label_to_json(forged)}', digest = x'{forged.digest().hex()}' WHERE label_id = {found[HR][1]}"
    ]


def _moved(found):
    return [f"UPDATE versions SET label_id = {found[OPEN][1]} WHERE document_id = '{found[HR][0]}'"]


def _exchanged(found):
    return [
        f"UPDATE versions SET label_id = CASE document_id WHEN '{found[HR][0]}' THEN {found[OPEN][1]} ELSE {found[HR][1]} END WHERE document_id IN ('{found[HR][0]}', '{found[OPEN][0]}')"
    ]


@pytest.mark.parametrize("edit", [_swapped, _forged, _moved, _exchanged])
def test_edited_labels_open_nothing(fresh, edit):
    edited(fresh.settings, *edit(ids(fresh.settings)))
    with anew(fresh) as ragward:
        ragward.index_sync.rebuild()
        try:
            for who in STAFF:
                assert seen(ragward, fresh.tokens, who) <= ASKERS[who]
            assert "integrity.wrapped_key" in {code for _, code in failures(ragward, fresh)}
        finally:
            put_database_back(fresh.settings, fresh.clean)
            ragward.index_sync.rebuild()


# Restrictions: not under the root. ------------------------------------------------------------------------------------


def test_a_restriction_that_was_deleted_is_over_and_gives_no_more_than_policy(live):
    """A stated limit: whoever writes the database ends it, at the next decision of a process; the log says it was placed."""
    home, ragward = live
    put_database_back(home.settings, home.clean)
    forget_seen(home.settings, home.clean)
    who = ("ben", None)
    request = request_of(
        target="user:acme/ben",
        kind="suspend",
        minutes=60,
        reason="a test of edits",
        through="",
        ceiling=None,
    )
    assert seen(ragward, home.tokens, who) == ASKERS[who]
    placed = ragward.restricting.place(company.subject("root"), request)
    assert seen(ragward, home.tokens, who) == set()
    edited(
        home.settings,
        f"DELETE FROM restrictions WHERE restriction_id = '{placed.restriction_id}'",
    )
    assert seen(ragward, home.tokens, who) == set()  # as long as nothing else moves the epoch
    edited(home.settings, "UPDATE tenants SET epoch = epoch + 1")
    assert seen(ragward, home.tokens, who) == ASKERS[who]
    events = [json.loads(entry.data) for entry in ragward.audit.entries(limit=100_000)]
    assert placed.restriction_id in [e["details"].get("restriction") for e in events]


# Yesterday. -----------------------------------------------------------------------------------------------------------


def revoked(home):
    """Ben leaves engineering; what there was before is what the attacker kept."""
    catalog = SQLCatalog.open(home.settings.catalog_url, keeper=open_policy_keeper(home.settings))
    catalog.change_policy(
        "acme",
        remove_memberships=[Membership("user:acme/ben", "group:acme/eng")],
        author="user:acme/root",
    )
    catalog.close()


def test_yesterdays_database_with_yesterdays_signature_is_refused(fresh):
    revoked(fresh)
    put_database_back(fresh.settings, fresh.clean)
    with anew(fresh) as ragward:
        assert seen(ragward, fresh.tokens, ("ben", None)) == set()
        assert ("acme", "integrity.policy_root") in failures(ragward, fresh)


def test_a_process_that_was_not_asked_meanwhile_is_not_led_back_to_yesterday(fresh):
    """Its permits are of yesterday, and so is everything in the database: only what was seen elsewhere tells."""
    with anew(fresh) as ragward:
        assert seen(ragward, fresh.tokens, ("ben", None)) == ASKERS["ben", None]
        yesterday = sqlite3.connect(fresh.clean / "data" / "catalog.db")
        kept = {
            table: yesterday.execute(f"SELECT * FROM {table}").fetchall()
            for table in ("casbin_rule", "policy_versions", "policy_roots", "tenants")
        }
        yesterday.close()
        revoked(fresh)
        database = sqlite3.connect(fresh.settings.data_dir / "catalog.db")
        with database:
            for table, rows in kept.items():
                database.execute(f"DELETE FROM {table}")
                marks = ", ".join("?" * len(rows[0]))
                database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        database.close()
        assert seen(ragward, fresh.tokens, ("ben", None)) == set()
        assert ("acme", "integrity.policy_root") in failures(ragward, fresh)


def test_an_application_put_back_to_yesterday_is_refused_by_a_process_that_knew_it(fresh):
    with anew(fresh) as ragward:
        assert seen(ragward, fresh.tokens, ("ben", "low")) == {OPEN}
        catalog = SQLCatalog.open(
            fresh.settings.catalog_url, keeper=open_policy_keeper(fresh.settings)
        )
        lower = application("low", corpora=frozenset({"hr"}), ceiling=Classification.PUBLIC)
        catalog.save_application(lower, key_prefix=None, key_sha256=None)
        catalog.close()
        edited(
            fresh.settings,
            """UPDATE applications SET ceiling = 1, corpora = '["eng"]' WHERE client_id = 'low'""",
        )
        assert seen(ragward, fresh.tokens, ("ben", "low")) == set()
        assert ("acme", "integrity.policy_root") in failures(ragward, fresh)


# Signatures. ----------------------------------------------------------------------------------------------------------


def _note_of(settings, tenant="acme"):
    database = sqlite3.connect(settings.data_dir / "catalog.db")
    (note,) = database.execute(
        "SELECT note FROM policy_roots WHERE tenant = ?", (tenant,)
    ).fetchone()
    database.close()
    return note


def _signed_anew(settings, tmp_path, **changes):
    """What is in the database now, signed as the attacker can, with a key of their own under the same name."""
    theirs = tmp_path / "theirs.key"
    create_policy_key(theirs)
    keeper = PolicyRootKeeper.open(theirs, seen=tmp_path / "seen", model_text="")
    real = PolicyRoot.parse(_note_of(settings).rpartition("\n\n")[0] + "\n")
    values = {name: getattr(real, name) for name in PolicyRoot.__slots__} | changes
    return keeper.sign(PolicyRoot(**values))


def test_a_root_signed_by_another_key_is_refused(fresh, tmp_path):
    note = _signed_anew(fresh.settings, tmp_path)
    edited(
        fresh.settings,
        *EDITS["membership added"],
        f"UPDATE policy_roots SET note = '{note}'",
    )
    with anew(fresh) as ragward:
        assert seen(ragward, fresh.tokens, ("ben", None)) == set()
        assert ("acme", "integrity.policy_root") in failures(ragward, fresh)


def test_another_tenants_root_is_refused(fresh):
    with anew(fresh) as ragward:
        installation.add_tenant(ragward, tenant="other", administrator="user:other/root")
        edited(
            fresh.settings,
            f"UPDATE policy_roots SET note = '{_note_of(fresh.settings, 'other')}' WHERE tenant = 'acme'",
        )
    with anew(fresh) as ragward:
        assert seen(ragward, fresh.tokens, ("ben", None)) == set()
        assert ("acme", "integrity.policy_root") in failures(ragward, fresh)
        assert ("other", "integrity.policy_root") not in failures(ragward, fresh)


def test_two_roots_of_one_number_are_refused(fresh):
    """Somebody with the key signed twice: whichever the database has, it is not what was seen."""
    keeper = open_policy_keeper(fresh.settings)
    root = keeper.opened(_note_of(fresh.settings), "acme")
    other = keeper.sign(
        PolicyRoot(
            tenant="acme",
            serial=root.serial,
            epoch=root.epoch,
            model=root.model,
            sections=root.sections | {"keys": hashlib.sha256(b"x").digest()},
        )
    )
    edited(fresh.settings, f"UPDATE policy_roots SET note = '{other}'")
    with anew(fresh) as ragward:
        assert seen(ragward, fresh.tokens, ("ben", None)) == set()


def test_what_was_seen_edited_is_refused(fresh):
    for path in fresh.settings.policy_roots_seen.glob("*.root"):
        path.write_text(path.read_text().replace("acme", "acmo"))
    with anew(fresh) as ragward:
        assert seen(ragward, fresh.tokens, ("ben", None)) == set()
        assert ("acme", "integrity.policy_root") in failures(ragward, fresh)


# Nothing that was put there is signed by the next honest write. -------------------------------------------------------


def launder(home, write, *statements):
    edited(home.settings, *statements)
    with anew(home) as ragward:
        with pytest.raises(RagwardError) as refused:
            write(ragward.catalog)
        assert refused.value.code == "integrity.policy_root"


def add_cai(catalog):
    catalog.change_policy(
        "acme",
        add_memberships=[Membership("user:acme/cai", "group:acme/eng")],
        author="user:acme/root",
    )


def group(catalog):
    return catalog.list_groups("acme", (), offset=0, limit=1)[1][0]


def join(name):
    def write(catalog):
        users = catalog.list_users("acme", (), offset=0, limit=10)[1]
        wanted = {user.user_id for user in users if user.profile.user_name == name}
        found = group(catalog)
        members = found.profile.members | wanted
        catalog.replace_group(
            found, GroupProfile(display_name="g", external_id=None, members=members), "scim"
        )

    return write


def change(name, **given):
    def write(catalog):
        users = catalog.list_users("acme", (), offset=0, limit=10)[1]
        user = next(user for user in users if user.profile.user_name == name)
        catalog.replace_user(user, profile(name, **given), "scim")

    return write


def approve(catalog):
    catalog.approve_proposal("acme", "p1", decided_by="user:acme/ben", reason="looks fine")


INTO_G = "INSERT INTO directory_members (group_id, member_id, tenant, kind) SELECT group_id, user_id, 'acme', 'user' FROM directory_groups, directory_users WHERE directory_users.external_id = 'dan'"
PROPOSED = "INSERT INTO policy_proposals VALUES ('p1', 'acme', 'pending', 'user:acme/root', 1, 9999999999, 'x', 0, 'd', '', '', NULL, NULL, '')"
LAUNDERED = {
    "a membership": (add_cai, EDITS["membership added"]),
    "an application": (
        lambda c: c.save_application(application("new"), key_prefix=None, key_sha256=None),
        OF_APPLICATIONS["application's ceiling raised"][1],
    ),
    "a member row of somebody disabled": (change("dan"), [INTO_G]),
    "the external id of somebody": (
        change("eve", external_id="ben"),
        ["UPDATE directory_users SET external_id = 'ben' WHERE external_id = 'eve'"],
    ),
    "the external id of somebody who then joins": (
        join("dan"),
        ["UPDATE directory_users SET external_id = 'ben', disabled = 0 WHERE external_id = 'dan'"],
    ),
    "a member row, by bringing a policy in": (
        lambda c: c.replace_policy("acme", company.ROWS, company.MEMBERSHIPS, "user:acme/root"),
        [INTO_G],
    ),
    "a proposal": (approve, [PROPOSED]),
    "a version": (
        lambda c: c.policy_version("acme", c.policy_versions("acme")[0].number),
        ["UPDATE policy_versions SET author = 'user:acme/ben'"],
    ),
    "a version of tomorrow": (
        add_cai,
        [
            "INSERT INTO policy_versions (tenant, epoch, author, at, digest, rows, memberships) VALUES ('acme', 99, 'x', 1, 'd', '', '')"
        ],
    ),
    "digests of people": (change("eve"), ["UPDATE policy_roots SET buckets = zeroblob(8192)"]),
}


@pytest.mark.parametrize("name", LAUNDERED)
def test_the_next_honest_write_does_not_sign_it(fresh, name):
    write, statements = LAUNDERED[name]
    launder(fresh, write, *statements)


@pytest.mark.parametrize("write", [change("eve"), join("eve"), add_cai])
def test_honest_writes_are_signed(fresh, write):
    with anew(fresh) as ragward:
        write(ragward.catalog)
        ragward.signed.require_signed("acme")
    assert [state.problem for state in signing.states(fresh.settings, None)] == [""]


def test_an_edit_of_another_section_is_still_one_after_an_honest_write(fresh):
    edited(fresh.settings, *EDITS["membership added"])
    with anew(fresh) as ragward:
        ragward.catalog.save_application(application("new"), key_prefix=None, key_sha256=None)
        assert seen(ragward, fresh.tokens, ("ben", None)) == set()


def test_a_process_without_the_key_writes_no_policy(closed):
    key = closed.settings.policy_key_file
    hidden = key.rename(key.with_suffix(".away"))
    try:
        with opened(closed.settings, identity=None, clock=None) as ragward:
            assert seen(ragward, closed.tokens, ("ben", None)) == ASKERS["ben", None]
            with pytest.raises(RagwardError) as refused:
                add_cai(ragward.catalog)
            assert refused.value.code == "unavailable.policy_key"
            ragward.signed.require_signed("acme")
    finally:
        hidden.rename(key)


# The operator. --------------------------------------------------------------------------------------------------------


def test_the_operator_sees_what_was_edited_and_signs_only_on_purpose(closed):
    edited(closed.settings, *EDITS["membership added"])
    (state,) = signing.states(closed.settings, "acme")
    assert state.problem == "not what was signed: policy"
    with pytest.raises(RagwardError) as refused:
        signing.sign(closed.settings, "acme", accept=False)
    assert refused.value.code == "policy.conflict"
    before = state.root.serial
    assert signing.sign(closed.settings, "acme", accept=True).serial == before + 1
    with opened(closed.settings, identity=None, clock=None) as ragward:
        assert seen(ragward, closed.tokens, ("ben", None)) == {HR, ENG, OPEN, FIN}
        acts = [json.loads(e.data)["details"] for e in ragward.audit.entries(limit=10_000)]
        assert "not what was signed: policy" in [a.get("problem") for a in acts]


def test_the_operator_puts_a_version_back_in_the_place_of_edited_rows(fresh):
    edited(fresh.settings, *EDITS["membership added"])
    with anew(fresh) as ragward:
        assert seen(ragward, fresh.tokens, ("ben", None)) == set()
        installation.repair_policy(ragward, tenant="acme")
        assert seen(ragward, fresh.tokens, ("ben", None)) == ASKERS["ben", None]


def test_an_installation_from_before_roots_is_refused_until_it_is_signed(closed):
    """No root was ever seen, and there is none."""
    edited(closed.settings, "DELETE FROM policy_roots")
    shutil.rmtree(closed.settings.policy_roots_seen)
    with opened(closed.settings, identity=None, clock=None) as ragward:
        assert seen(ragward, closed.tokens, ("ben", None)) == set()
        assert ("acme", "integrity.policy_root") in failures(ragward, closed)
    assert signing.sign(closed.settings, "acme", accept=False).serial == 1
    with opened(closed.settings, identity=None, clock=None) as ragward:
        assert seen(ragward, closed.tokens, ("ben", None)) == ASKERS["ben", None]


def test_an_installation_without_a_public_key_does_not_open(closed):
    public = closed.settings.policy_key_file.with_suffix(".pub")
    hidden = public.rename(public.with_suffix(".away"))
    try:
        with pytest.raises(RagwardError) as refused:
            opened(closed.settings)
        assert refused.value.code == "config.policy_key"
        public.write_text(LogKey(name="ragward/policy", public=bytes(32)).text())
        with pytest.raises(RagwardError) as other:
            opened(closed.settings)
        assert other.value.code == "config.policy_key"
    finally:
        public.unlink()
        hidden.rename(public)


# That these tests can fail. -------------------------------------------------------------------------------------------

WITHOUT_ROOTS = {
    "membership added": (("ben", None), HR),
    "group nesting added": (("ben", None), HR),
    "allow row widened": (("ben", None), HR),
    "deny row removed": (("ann", None), OPEN),
    "application's ceiling raised": (("ben", "low"), ENG),
    "application's time lengthened": (("ben", "old"), ENG),
    "disabled person enabled": (("dan", None), HR),
    "disabled person renamed": (("dan", None), HR),
    "a role for a time inserted": (("ben", None), HR),
    "a role for a time lengthened": (("ben", None), HR),
    "a role that was taken back given again": (("ben", None), HR),
}


@pytest.mark.parametrize("name", WITHOUT_ROOTS)
def test_the_same_edits_give_more_where_nothing_is_verified(fresh, name):
    who, more = WITHOUT_ROOTS[name]
    edited(fresh.settings, *(EDITS.get(name) or OF_APPLICATIONS[name][1]))
    catalog, ragward = fresh.ragward.catalog, fresh.ragward
    ports = dataclasses.replace(
        ragward.retrieval._ports,
        pdp=open_pdp(catalog, resource("policies")),
        identity=open_identity(fresh.settings, catalog, ragward.clock),
    )
    plain = dataclasses.replace(ragward, retrieval=Retrieval(ports))
    assert more in seen(plain, fresh.tokens, who)


@pytest.mark.parametrize("name", OF_AGENTS)
def test_the_same_edits_of_agents_give_more_where_nothing_is_verified(fresh, name):
    key, statements = OF_AGENTS[name]
    edited(fresh.settings, *statements)
    catalog, ragward = fresh.ragward.catalog, fresh.ragward
    ports = dataclasses.replace(
        ragward.retrieval._ports,
        pdp=open_pdp(catalog, resource("policies")),
        identity=open_identity(fresh.settings, catalog, ragward.clock),
    )
    plain = dataclasses.replace(ragward, retrieval=Retrieval(ports))
    assert seen_with(plain, fresh.tokens, key)
