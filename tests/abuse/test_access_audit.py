"""An organisation with known unused rights: the audit finds exactly those, and applying it takes nothing away that was used."""

from __future__ import annotations

import dataclasses
import json
import random
import sqlite3
import time

import pytest

from ragward.adapters.report_access_html import access_page
from ragward.domain.access_audit import Why
from ragward.domain.access_report import AccessAudit
from ragward.domain.audit import AuditEvent, EventType
from ragward.domain.corpus import SourceDocument
from ragward.domain.errors import ConflictError, DeniedError, IntegrityError, InvalidRequestError
from ragward.domain.handling import Mode
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest
from ragward.domain.policy import Membership, PolicyRow
from ragward.domain.policy_csv import line_of
from ragward.installation import Policy, initialise
from tests import company
from tests.conformance.oracle import Oracle
from tests.installation import asked_by, opened, settings_in

STEWARD = company.subject("steward")
WHY = "nobody used it for ninety days"
GROUPS = "abcdef"
READ = "PUBLIC..CONFIDENTIAL"


def organisation():
    """Rows, memberships, and which of them are used: by the seed, not by the code under test."""
    chance = random.Random(7)
    rows = {g: row(f"group:acme/{g}", f"acme/c-{g}") for g in GROUPS}
    joined, active = {}, {}
    for n in range(8):
        joined[f"u{n}"] = chance.sample("abcde", chance.randint(2, 4))
        active[f"u{n}"] = chance.sample(joined[f"u{n}"], chance.randint(1, 2))
    for group in "abcde":  # nothing is unused by accident
        if not any(group in groups for groups in active.values()):
            joined["u0"] = sorted({*joined["u0"], group})
            active["u0"] = sorted({*active["u0"], group})
    return rows, joined, active


def row(subject, corpus, action="corpus:retrieve", effect="allow"):
    return PolicyRow(subject, action, corpus, READ, "*", effect)


def member(name, group):
    return Membership(f"user:acme/{name}", f"group:acme/{group}")


ROWS, JOINED, ACTIVE = organisation()
EXTRA_ROWS = (
    row("group:acme/also-a", "acme/c-a"),
    row("group:acme/a", "acme/c-a", "reveal:PERSON"),
    row("group:acme/never", "acme/c-b"),
    row("group:acme/barred", "acme/c-b", effect="deny"),
    row("group:acme/keepers", "acme/*", "document:ingest"),
    row("agent:acme/bot", "acme/*"),
    row("agent:acme/idle", "acme/*"),
)
EXTRA_MEMBERSHIPS = (
    member("two-ways", "a"),
    member("two-ways", "also-a"),
    member("shut", "barred"),
    member("shut", "b"),
    member("u1", "keepers"),
)
UNUSED_ROWS = {ROWS["f"], EXTRA_ROWS[2], EXTRA_ROWS[6]}
UNUSED = {member(n, g) for n, groups in JOINED.items() for g in groups if g not in ACTIVE[n]}
#: Who is barred from c-b reads nothing there, whatever they are in.
UNUSED.add(member("shut", "b"))


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    made = settings_in(tmp_path_factory.mktemp("access") / "home")
    steward = tuple(r for r in company.ROWS if r.subject == "user:acme/steward")
    memberships = [member(n, g) for n, groups in JOINED.items() for g in groups]
    initialise(
        made,
        tenant="acme",
        administrator="user:acme/root",
        policy=Policy(
            rows=(*steward, *ROWS.values(), *EXTRA_ROWS),
            memberships=(*memberships, *EXTRA_MEMBERSHIPS),
        ),
    )
    return made


@pytest.fixture(scope="module")
def clock():
    return company.SetClock(seconds=int(time.time()) + 200 * 86_400)


@pytest.fixture(scope="module")
def ragward(settings, clock):
    with opened(settings, clock=clock) as made:
        for group in GROUPS:
            granted = [f"group:acme/{group}", *(["group:acme/also-a"] if group == "a" else [])]
            for number in range(2):
                label = AccessLabel(
                    tenant="acme",
                    corpus=f"c-{group}",
                    classification=Classification.INTERNAL,
                    granted=frozenset(granted),
                )
                text = f"The {company.WORDS[number]} budget of {group} for travel number {number}."
                document = SourceDocument(
                    source=f"{group}/{number}.txt",
                    filename=f"{number}.txt",
                    data=text.encode(),
                    label=label,
                    attributes={},
                )
                made.ingestion.ingest(STEWARD, document)
        for name, groups in ACTIVE.items():
            for group in groups:
                assert ask(made, name, group), (name, group)
        assert ask(made, "two-ways", "a")
        assert ask(made, "two-ways+bot", "a")
        yield made


def ask(ragward, name, group):
    request = RetrievalRequest(
        query="budget for travel", corpora=(f"c-{group}",), limit=20, minimize=Mode.OFF
    )
    return [p.document_id for p in ragward.retrieve(asked_by(name), request).passages]


def audited(ragward, days=90) -> AccessAudit:
    return ragward.access_auditing.audit(STEWARD, days=days)


def test_exactly_the_unused_rights_are_found(ragward):
    found = audited(ragward)
    assert UNUSED
    assert found.unused.edit.remove_rows == UNUSED_ROWS
    assert found.unused.edit.remove_memberships == UNUSED
    left = {each.line: each.why for each in found.unused.left}
    assert left == {
        line_of(member("shut", "barred")): Why.DENIES,
        line_of(member("u1", "keepers")): Why.ADMINISTRATIVE,
        line_of(Membership("user:acme/root", "role:acme/administrator")): Why.ADMINISTRATIVE,
    }


def test_each_principal_has_what_it_could_reach_and_what_it_did(ragward):
    found = audited(ragward)
    uses = {use.principal: use for use in found.principals}
    for name, groups in ACTIVE.items():
        use = uses[f"user:acme/{name}"]
        could = JOINED[name]
        assert (use.reachable_labels, use.used_labels) == (len(could), len(groups)), name
        assert (use.reachable_documents, use.used_documents) == (2 * len(could), 2 * len(groups))
    assert uses["agent:acme/bot"].answers == 1
    assert uses["agent:acme/idle"].answers == 0
    roles = {use.principal: use for use in found.roles}
    assert roles["group:acme/c"].members_using == sum("c" in groups for groups in ACTIVE.values())
    assert (roles["group:acme/f"].rows, roles["group:acme/f"].rows_used) == (1, 0)
    assert found.posture.over_privilege > 0
    assert found.posture.mfa_coverage is None
    assert found.posture.keys_in_time is not None
    assert found.answers == sum(map(len, ACTIVE.values())) + 2


def test_rights_that_came_within_the_window_are_left_alone(ragward, clock):
    later = clock.seconds
    clock.seconds = int(time.time()) + 60
    try:
        found = audited(ragward)
    finally:
        clock.seconds = later
    assert found.unused.lines() == []
    assert {each.why for each in found.unused.left} == {Why.TOO_NEW}


def test_it_is_for_whoever_may_read_the_log_and_the_policy(ragward):
    for name in ("u0", "ann"):
        with pytest.raises(DeniedError):
            ragward.access_auditing.audit(company.subject(name), days=90)
        with pytest.raises(DeniedError):
            ragward.access_auditing.apply(
                company.subject(name), days=90, digest="0" * 64, reason=WHY
            )
    with pytest.raises(InvalidRequestError):
        ragward.access_auditing.audit(STEWARD, days=0)
    with pytest.raises(InvalidRequestError):
        ragward.access_auditing.audit(STEWARD, days=90, max_events=3)


def test_nothing_else_than_what_was_looked_at_is_applied(ragward):
    before = ragward.catalog.policy("acme")
    with pytest.raises(ConflictError):
        ragward.access_auditing.apply(STEWARD, days=90, digest="0" * 64, reason=WHY)
    assert ragward.catalog.policy("acme") == before


def test_the_page_escapes_names(ragward):
    found = audited(ragward)
    use = dataclasses.replace(found.principals[0], principal="user:acme/<script>alert(1)</script>")
    page = access_page(dataclasses.replace(found, principals=(use,)))
    assert "<script" not in page
    assert "&lt;script" in page


def test_where_the_log_lacks_events_nothing_is_proposed(settings, clock, ragward, tmp_path):
    """Whoever can make use disappear from the log wants rights taken away that are used."""
    gap = AuditEvent(event_id="gap", at=clock.now_milliseconds(), type=EventType.LOG_GAP, tenant="")
    flow = ragward.access_auditing
    ports = dataclasses.replace(flow._ports, audit=Beside(ragward.audit, [gap]))
    found = type(flow)(ports).audit(STEWARD, days=90)
    assert found.gaps == 1
    assert found.unused.lines() == []
    assert found.narrowed == ()


class Beside:
    """A log with further events behind its own."""

    def __init__(self, log, events):
        self._log, self._events = log, events
        self._size = log.verify().entries

    def __getattr__(self, name):
        return getattr(self._log, name)

    def verify(self, **given):
        return dataclasses.replace(self._log.verify(), entries=self._size + len(self._events))

    def entries(self, *, start=0, limit=1000):
        own = [e for e in self._log.entries(start=start, limit=limit) if e.index < self._size]
        more = [
            dataclasses.replace(
                self._log.entries(limit=1)[0], index=self._size + n, data=event.to_bytes()
            )
            for n, event in enumerate(self._events)
            if self._size + n >= start
        ]
        return [*own, *more][:limit]


def test_applying_it_takes_nothing_away_that_was_used(ragward):
    """The last test of this module but one: it changes the policy."""
    asked = {(n, g): ask(ragward, n, g) for n, groups in ACTIVE.items() for g in groups}
    found = audited(ragward)
    applied = ragward.access_auditing.apply(STEWARD, days=90, digest=found.digest(), reason=WHY)
    assert applied.policy.applied
    assert applied.narrowed == ()
    policy = ragward.catalog.policy("acme")
    assert not UNUSED & set(policy.memberships)
    assert not UNUSED_ROWS & set(policy.rows)
    pairs = [(m.member, m.group) for m in policy.memberships]
    oracle = Oracle([r.fields() for r in policy.rows], pairs)
    labels = {label.corpus: label for label in ragward.catalog.labels("acme").values()}
    now = ragward.clock.now()
    for name, groups in JOINED.items():
        for group in groups:
            may = oracle.may(f"user:acme/{name}", "corpus:retrieve", labels[f"c-{group}"], now)
            assert may == (group in ACTIVE[name]), (name, group)
    for (name, group), documents in asked.items():
        assert sorted(ask(ragward, name, group)) == sorted(documents)
    assert ask(ragward, "two-ways", "a")
    assert audited(ragward).unused.lines() == []
    kinds = [json.loads(e.data)["type"] for e in ragward.audit.entries(limit=1000)]
    assert {"access.audited", "policy.changed"} <= set(kinds)


def test_a_log_that_was_edited_is_not_believed(settings, ragward):
    ragward.audit.verify()
    database = sqlite3.connect(settings.audit_log)
    with database:
        database.execute(
            "UPDATE entries SET event = CAST(replace(CAST(event AS TEXT), 'permit', 'denied') AS BLOB) WHERE position = 20"
        )
    database.close()
    with pytest.raises(IntegrityError):
        audited(ragward)
