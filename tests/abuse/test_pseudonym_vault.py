"""Attacks on pseudonyms from the vault: stolen copies, erasure, races, other tenants; and that nobody writes who need not."""

from __future__ import annotations

import json
import re
import shutil
import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import create_engine, text

from ragward.adapters.keyring_limited import LimitedKeyring
from ragward.domain.corpus import KeyReference
from ragward.domain.envelope import KeyPurpose
from ragward.domain.errors import (
    ConflictError,
    DeniedError,
    InvalidRequestError,
    UnavailableError,
)
from ragward.domain.explanation import AskedAbout
from ragward.domain.handling import Mode
from ragward.domain.keys import USES_OF, KeyRole
from ragward.domain.labels import Classification
from ragward.domain.outputs import OutputToInspect
from ragward.domain.passages import RetrievalRequest
from ragward.domain.policy import PolicyRow
from ragward.domain.pseudonyms import Payload, PseudonymErasure, TypedValue, VaultedPseudonym
from ragward.installation import Policy, initialise
from ragward.opening import resource
from tests import company
from tests.abuse.others import document, put
from tests.installation import asked_by, opened, settings_in

STEWARD = company.subject("steward")
TOKEN = re.compile(r"\[\[EMAIL_ADDRESS:0\.[\w-]{43}\]\]")
REASON = "the person asked to be forgotten"
VALUE = "jo.unusual@acme.example"
OTHER = "mia.unusual@acme.example"
ROWS = (
    *company.ROWS,
    *(
        PolicyRow(f"user:acme/{name}", action, "acme/*", "PUBLIC..RESTRICTED", "*", "allow")
        for name, action in (
            ("ben", "pseudonymise:EMAIL_ADDRESS"),
            ("ben", "pseudonymise:EMAIL_ADDRESS@*"),
            ("officer", "reveal:EMAIL_ADDRESS"),
            ("officer", "reveal:EMAIL_ADDRESS@*"),
            ("eraser", "pseudonym:erase"),
        )
    ),
    PolicyRow("group:acme/hr", "reveal:EMAIL_ADDRESS", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"),
    PolicyRow("user:acme/half", "pseudonym:erase", "acme/eng", "PUBLIC..RESTRICTED", "*", "allow"),
)  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Made once: what makes a test slow is the keyring's passphrase."""
    directory = tmp_path_factory.mktemp("vault")
    made = settings_in(directory)
    policies = directory / "policies"
    shutil.copytree(resource("policies"), policies)
    path = policies / "redaction.toml"
    line = 'EMAIL_ADDRESS = { detect = true, generalise = "domain", pseudonyms = "derived" }'
    written = path.read_text()
    assert line in written
    path.write_text(written.replace(line, line.replace("derived", "vault")))
    made = made.model_copy(update={"policies_dir": policies})
    policy = Policy(rows=ROWS, memberships=company.MEMBERSHIPS)
    initialise(made, tenant="acme", administrator="user:acme/root", policy=policy)
    with opened(made) as ragward:
        put(ragward, document("one", f"The voltage laboratory is led by {VALUE}, ask {VALUE}."))
        put(ragward, document("two", f"Visitors of the laboratory write to {VALUE} or {OTHER}."))
        yield ragward


@pytest.fixture
def ragward(installed):
    """With an empty vault."""
    with database(installed) as connection:
        connection.execute(text("DELETE FROM pseudonyms"))
    return installed


@pytest.fixture
def events(ragward):
    """Those of a type since the test began."""
    begin = len(ragward.audit.entries(limit=10_000))

    def of_type(event_type):
        found = [json.loads(e.data) for e in ragward.audit.entries(start=begin, limit=10_000)]
        return [event for event in found if event["type"] == event_type]

    return of_type


@contextmanager
def database(ragward):
    """The catalog as somebody has it who can write to its file."""
    engine = create_engine(ragward.settings.catalog_url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def answered(ragward, name, purpose=""):
    request = RetrievalRequest(query="voltage laboratory", purpose=purpose, minimize=Mode.OFF)
    return "\n".join(p.text for p in ragward.retrieve(asked_by(name), request).passages)


def tokens(ragward, name="ben", purpose=""):
    """Of the first value, then of the other."""
    found = TOKEN.findall(answered(ragward, name, purpose))
    assert len(found) == 4
    [(one, count), (other, _)] = sorted(
        ((token, found.count(token)) for token in set(found)), key=lambda each: -each[1]
    )
    assert count == 3
    return one, other


def reveal(ragward, text, name="officer", purpose=""):
    return ragward.disclosure.reveal(company.subject(name), text, purpose=purpose, reason=REASON)


def erase(ragward, name="eraser", **what):
    return ragward.disclosure.erase(company.subject(name), PseudonymErasure(**what), REASON)


def rows(ragward):
    with database(ragward) as connection:
        return connection.execute(text("SELECT * FROM pseudonyms ORDER BY tag")).all()


def put_back(ragward, kept):
    """Rows as they were."""
    with database(ragward) as connection:
        for row in kept:
            names = ", ".join(row._mapping)
            marks = ", ".join(f":{name}" for name in row._mapping)
            connection.execute(
                text(f"INSERT INTO pseudonyms ({names}) VALUES ({marks})"), dict(row._mapping)
            )


# One token for one value. -------------------------------------------------------------------------------------------


def test_the_same_value_has_one_token_within_a_purpose_and_another_elsewhere(ragward):
    one, other = tokens(ragward)
    assert tokens(ragward) == (one, other)
    for purpose in ("support", "research"):
        assert not {one, other} & set(tokens(ragward, purpose=purpose))
    assert reveal(ragward, f"{other}{one} {one}").text == f"{OTHER}{VALUE} {VALUE}"
    assert len(rows(ragward)) == 6


def test_tokens_are_random_not_made_from_values(ragward):
    before = tokens(ragward)
    for value in (VALUE, OTHER):
        assert erase(ragward, value=value) == 1
    assert not set(before) & set(tokens(ragward))


def test_the_same_value_twice_at_once_gives_one_token(ragward):
    vault = ragward.disclosure.vault
    start = threading.Barrier(8)

    class AtOnce:
        """All look before any writes."""

        def __getattr__(self, name):
            return getattr(ragward.catalog, name)

        def pseudonym_tokens(self, tenant, tags):
            found = ragward.catalog.pseudonym_tokens(tenant, tags)
            start.wait()
            return found

    racing = replace(vault, store=AtOnce())
    value = TypedValue("EMAIL_ADDRESS", "race@acme.example")
    given = []

    def run():
        given.append(racing.tokens("acme", "", [value])[value])

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 8
    assert len(set(given)) == len(rows(ragward)) == 1
    assert reveal(ragward, given[0]).text == "race@acme.example"


# Who writes. --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "shows"), [("cai", "<EMAIL_ADDRESS>"), ("ann", VALUE)])
def test_nothing_is_written_for_who_gets_values_removed_or_shown(ragward, name, shows):
    assert shows in answered(ragward, name)
    assert rows(ragward) == []


def test_an_answer_writes_once_whatever_it_holds_and_a_second_one_not_at_all(ragward):
    calls = []

    class Counting:
        def __getattr__(self, name):
            calls.append(name)
            return getattr(ragward.catalog, name)

    disclosure = ragward.disclosure
    counted = replace(disclosure, vault=replace(disclosure.vault, store=Counting()))
    ports = replace(ragward.retrieval._ports, disclosure=counted)
    request = RetrievalRequest(query="voltage laboratory")
    for _ in range(2):
        type(ragward.retrieval)(ports).retrieve(asked_by("ben"), request)
    assert calls == ["pseudonym_tokens", "add_pseudonyms", "pseudonym_tokens"]


def test_a_stewards_rehearsal_writes_nothing(ragward):
    about = AskedAbout(principal="user:acme/ben", application=company.APPLICATION)
    request = RetrievalRequest(query="voltage laboratory", minimize=Mode.OFF)
    seen = ragward.retrieval.rehearse(
        company.subject("steward"), about, request, lambda permit: permit
    )
    assert seen.passages
    assert all("@acme" not in p.text and not TOKEN.search(p.text) for p in seen.passages)
    assert rows(ragward) == []


class _Failing:
    def __init__(self, inner, failing, error):
        self._inner, self._failing, self._error = inner, failing, error

    def __getattr__(self, name):
        if name == self._failing:
            raise self._error
        return getattr(self._inner, name)


@pytest.mark.parametrize(
    ("part", "failing", "error"),
    [
        ("store", "pseudonym_tokens", UnavailableError()),
        ("store", "add_pseudonyms", UnavailableError()),
        ("keyring", "active_kek", UnavailableError(code="unavailable.keys")),
        ("keyring", "wrap", ConflictError(code="key.state")),
        ("keyring", "mac_key", UnavailableError(code="unavailable.keys")),
    ],
)
def test_where_the_vault_cannot_be_written_values_are_removed(ragward, part, failing, error):
    disclosure = ragward.disclosure
    broken = _Failing(getattr(disclosure.vault, part), failing, error)
    disclosure = replace(disclosure, vault=replace(disclosure.vault, **{part: broken}))
    flow = type(ragward.retrieval)(replace(ragward.retrieval._ports, disclosure=disclosure))
    request = RetrievalRequest(query="voltage laboratory", minimize=Mode.OFF)
    passages = flow.retrieve(asked_by("ben"), request).passages
    assert sum(p.removed["EMAIL_ADDRESS"] for p in passages) == 4
    assert not any("@acme" in p.text or TOKEN.search(p.text) for p in passages)
    assert rows(ragward) == []


def test_a_process_that_only_answers_makes_no_keys_and_removes_new_values(ragward):
    disclosure = ragward.disclosure
    limited = LimitedKeyring(ragward.keyring, USES_OF[KeyRole.QUERY])
    only = replace(disclosure, vault=replace(disclosure.vault, keyring=limited))
    flow = type(ragward.retrieval)(replace(ragward.retrieval._ports, disclosure=only))
    request = RetrievalRequest(query="voltage laboratory", minimize=Mode.OFF)

    def seen():
        return "".join(p.text for p in flow.retrieve(asked_by("ben"), request).passages)

    assert "<EMAIL_ADDRESS>" in seen()
    assert set(TOKEN.findall(seen())) == set()
    assert set(tokens(ragward)) == set(TOKEN.findall(seen()))


# Stolen copies. -----------------------------------------------------------------------------------------------------


def test_a_stolen_data_directory_shows_no_values(ragward):
    tokens(ragward)
    assert len(rows(ragward)) == 2
    needles = [value.encode() for value in (VALUE, OTHER, VALUE.upper(), VALUE[::-1])]
    needles += [needle.decode().encode("utf-16-le") for needle in needles]
    files = [path for path in ragward.settings.data_dir.rglob("*") if path.is_file()]
    assert any(path.name.startswith("catalog.db") for path in files)
    for path in files:
        held = path.read_bytes()
        assert not any(needle in held for needle in needles), path


def test_after_rotation_and_destruction_a_copy_of_an_erased_row_does_not_open(ragward):
    one, other = tokens(ragward)
    kept = rows(ragward)
    erase(ragward, token=one)
    done = ragward.rotation.rotate(STEWARD, Classification.RESTRICTED, KeyPurpose.PSEUDONYM)
    assert (done.rewrapped, done.remaining, done.damaged) == (1, 0, 0)
    assert {row.kek_version for row in rows(ragward)} == {done.version}
    assert reveal(ragward, other).text == OTHER
    put_back(ragward, kept[:1] if kept[0].token == one else kept[1:])
    assert reveal(ragward, one).text == VALUE  # the version before is there still
    with pytest.raises(ConflictError):  # what was put back is in the way
        ragward.rotation.destroy(STEWARD, done.kek_id, done.version - 1, REASON)
    with database(ragward) as connection:
        connection.execute(text("DELETE FROM pseudonyms WHERE token = :one"), {"one": one})
    ragward.clock.seconds += ragward.rotation.wait(STEWARD)
    ragward.rotation.destroy(STEWARD, done.kek_id, done.version - 1, REASON)
    put_back(ragward, [row for row in kept if row.token == one])
    assert reveal(ragward, f"{one} {other}").text == f"{one} {OTHER}"


def test_nothing_is_stored_under_a_key_that_was_rotated_meanwhile(ragward, monkeypatch):
    real = ragward.keyring.active_kek

    def rotated_just_after(*given):
        found = real(*given)
        monkeypatch.undo()
        ragward.rotation.rotate(STEWARD, Classification.RESTRICTED, KeyPurpose.PSEUDONYM)
        return found

    tokens(ragward)  # there is a KEK
    with database(ragward) as connection:
        connection.execute(text("DELETE FROM pseudonyms"))
    monkeypatch.setattr(ragward.keyring, "active_kek", rotated_just_after)
    assert not TOKEN.findall(answered(ragward, "ben"))  # removed instead
    assert len(set(tokens(ragward))) == 2


@pytest.mark.parametrize(
    ("level", "purpose"),
    [
        (Classification.INTERNAL, KeyPurpose.PSEUDONYM),
        (Classification.RESTRICTED, KeyPurpose.VECTOR),
    ],
)
def test_what_has_no_key_of_its_own_is_not_rotated(ragward, level, purpose):
    with pytest.raises(InvalidRequestError):
        ragward.rotation.begin(STEWARD, level, purpose)


def test_a_row_opens_in_its_own_place_only(ragward, events):
    one, other = tokens(ragward)

    def seen_after(*statements):
        """What the tokens are turned back to when somebody edits the database; everything is put back."""
        kept = rows(ragward)
        with database(ragward) as connection:
            for statement in statements:
                connection.execute(text(statement), {"one": one, "other": other})
        seen = reveal(ragward, f"{one} {other}")
        with database(ragward) as connection:
            connection.execute(text("DELETE FROM pseudonyms"))
        put_back(ragward, kept)
        return seen.text

    copied = "UPDATE pseudonyms SET {} = (SELECT {} FROM pseudonyms WHERE token = :other) WHERE token = :one"
    assert seen_after() == f"{VALUE} {OTHER}"
    for columns in (["blob"], ["blob", "dek_id", "wrapped_dek"], ["wrapped_dek"]):
        moved = [copied.format(column, column) for column in columns]
        assert seen_after(*moved) == f"{one} {OTHER}", columns
    swapped = (
        "UPDATE pseudonyms SET token = 'x' WHERE token = :one",
        "UPDATE pseudonyms SET token = :one WHERE token = :other",
        "UPDATE pseudonyms SET token = :other WHERE token = 'x'",
    )
    assert seen_after(*swapped) == f"{one} {other}"
    assert seen_after("UPDATE pseudonyms SET tag = x'00' WHERE token = :one") == f"{one} {OTHER}"
    elsewhere = "UPDATE pseudonyms SET purpose = 'research' WHERE token = :one"
    assert seen_after(elsewhere) == f"{one} {OTHER}"
    assert events("integrity.failure")


# Erasing. -----------------------------------------------------------------------------------------------------------


def test_an_erased_token_is_turned_back_by_nobody_and_its_value_gets_another(ragward):
    one, other = tokens(ragward)
    [elsewhere, _] = tokens(ragward, purpose="support")
    assert erase(ragward, value=f" {VALUE}\n") == 2  # of both purposes
    assert reveal(ragward, one).text == one
    assert reveal(ragward, elsewhere, purpose="support").text == elsewhere
    assert reveal(ragward, other).text == OTHER
    again, same = tokens(ragward)
    assert (again != one, same) == (True, other)
    assert reveal(ragward, again).text == VALUE
    assert erase(ragward, token=again) == 1
    assert erase(ragward, token=again) == 0
    assert reveal(ragward, again).text == again


def test_an_erased_token_looks_like_one_that_never_was(ragward, events):
    one, _ = tokens(ragward)
    assert erase(ragward, token=one) == 1
    unknown = one[:-10] + "AAAAAAAA]]"
    theirs = [one, unknown, tokens(ragward, purpose="research")[0]]
    seen = [reveal(ragward, token) for token in theirs]
    for token, found in zip(theirs, seen, strict=True):
        assert found.text == token
        assert (found.revealed, found.refused) == ({}, {"EMAIL_ADDRESS": 1})
    last = events("pseudonym.revealed")[-3:]
    assert len({json.dumps(e["details"] | {"token_sha256": ""}) + e["decision"] for e in last}) == 1
    assert not events("integrity.failure")


def test_an_erasure_is_on_record_before_it_takes_effect_and_without_the_value(ragward, events):
    one, _ = tokens(ragward)
    reveal(ragward, one)
    erase(ragward, value=VALUE)
    [event] = events("pseudonym.erased")
    assert event["details"]["by"] == "value"
    [revealed] = events("pseudonym.revealed")
    assert event["details"]["token_sha256"] == [revealed["details"]["token_sha256"]]
    assert "unusual" not in json.dumps(event)
    assert one not in json.dumps(event)
    disclosure = ragward.disclosure
    audit = _Failing(ragward.audit, "append", UnavailableError(code="unavailable.audit"))
    broken = replace(disclosure, recorder=replace(disclosure.recorder, audit=audit))
    count = len(rows(ragward))
    with pytest.raises(UnavailableError):
        broken.erase(company.subject("eraser"), PseudonymErasure(value=OTHER), REASON)
    assert len(rows(ragward)) == count


@pytest.mark.parametrize("name", ["ann", "ben", "officer", "steward", "half", "nobody"])
def test_only_who_may_erase_in_the_whole_tenant_does_whatever_is_there(ragward, events, name):
    one, _ = tokens(ragward)
    for what in ({"value": VALUE}, {"token": one}, {"value": "x@nowhere.example"}):
        with pytest.raises(DeniedError):
            erase(ragward, name, **what)
    assert len(rows(ragward)) == 2
    assert events("pseudonym.erased") == []


def test_an_erasure_names_one_thing_that_the_vault_can_hold(ragward):
    derived = ragward.disclosure.tokens.issue("acme", "", "PERSON", Payload(value="Ann"))
    for what in ({}, {"value": " "}, {"value": "a", "token": "b"}, {"token": derived}):
        with pytest.raises(InvalidRequestError):
            erase(ragward, **what)
    with pytest.raises(InvalidRequestError):
        ragward.disclosure.erase(company.subject("eraser"), PseudonymErasure(value="a"), "no")


def test_another_tenant_neither_reads_nor_erases(ragward):
    one, _ = tokens(ragward)
    vault = ragward.disclosure.vault
    ragward.catalog.replace_policy(
        "zeta",
        [
            PolicyRow("user:zeta/eve", action, "zeta/*", "PUBLIC..RESTRICTED", "*", "allow")
            for action in ("pseudonym:erase", "reveal:EMAIL_ADDRESS", "reveal:EMAIL_ADDRESS@*")
        ],
        (),
        "test",
    )
    application = replace(company.APPLICATION, tenant="zeta", principal="app:zeta/portal")
    eve = replace(
        company.subject("x"), tenant="zeta", principal="user:zeta/eve", application=application
    )
    assert ragward.disclosure.reveal(eve, one, purpose="", reason=REASON).text == one
    for what in (PseudonymErasure(token=one), PseudonymErasure(value=VALUE)):
        assert ragward.disclosure.erase(eve, what, REASON) == 0
    value = TypedValue("EMAIL_ADDRESS", VALUE)
    theirs = vault.tokens("zeta", "", [value])[value]
    assert theirs != one
    assert ragward.disclosure.erase(eve, PseudonymErasure(value=VALUE), REASON) == 1
    assert reveal(ragward, one).text == VALUE
    tags = {row.tenant: bytes(row.tag) for row in rows(ragward)}
    assert set(tags) == {"acme"}


# Both kinds. --------------------------------------------------------------------------------------------------------


def test_derived_tokens_of_before_are_turned_back_beside_random_ones(ragward):
    one, _ = tokens(ragward)
    derived = ragward.disclosure.tokens.issue("acme", "", "EMAIL_ADDRESS", Payload(value="a@b.c"))
    assert reveal(ragward, f"{derived} and {one}").text == f"a@b.c and {VALUE}"


def test_an_inspected_answer_turns_random_tokens_back_too(ragward):
    one, _ = tokens(ragward)
    for name, shown in (("ann", VALUE), ("ben", one)):
        under = ragward.retrieve(asked_by(name), "voltage laboratory").receipt.receipt_id
        output = OutputToInspect(receipt_id=under, answer=f"Ask {one}.")
        assert ragward.outputs.inspect(company.subject(name), output).text == f"Ask {shown}."


def test_the_catalog_keeps_the_first_of_a_tag(ragward):
    key = KeyReference(dek_id="d", kek_id="k", kek_version=1, wrapped_dek=b"w")
    first = VaultedPseudonym(
        tenant="acme", purpose="p", entity_type="PERSON", tag=b"t", token="a", key=key,
        blob=b"b", created_at=1,
    )  # fmt: skip
    catalog = ragward.catalog
    assert catalog.add_pseudonyms("acme", [first]) == {b"t": "a"}
    assert catalog.add_pseudonyms("acme", [replace(first, token="b")]) == {b"t": "a"}
    assert catalog.find_pseudonym("acme", "a") == first
