"""F10 to F16: how other systems decided wrongly, late, or on hidden text (docs/failures-of-others.md)."""

from __future__ import annotations

import dataclasses
import uuid

import pytest

from ragward.domain.access import Action
from ragward.domain.corpus import View
from ragward.domain.directory import UserProfile
from ragward.domain.errors import RagwardError, UnauthenticatedError, UnavailableError
from ragward.domain.policy import Membership, PolicyRow
from ragward.settings import Settings
from tests import company
from tests.abuse.others import (
    CONFIDENTIAL,
    INTERNAL,
    PUBLIC,
    QUERY,
    RESTRICTED,
    STAFF,
    STEWARD,
    ask,
    document,
    edge,
    installation,
    label,
    on_database,
    put,
    relabel,
    sources,
    with_ports,
    written_past_us,
)
from tests.conformance.test_provisioning import idp
from tests.contract.conftest import postgres_databases  # noqa: F401 - a fixture
from tests.fakes.embedder_sentence_transformers import FakeEmbedder

READ = "corpus:retrieve"


def allow(subject, corpus="acme/*", levels="PUBLIC..RESTRICTED", action=READ, compartment="*"):
    return PolicyRow(subject, action, corpus, levels, compartment, "allow")


def deny(subject, corpus="acme/*", levels="PUBLIC..RESTRICTED", action=READ, compartment="*"):
    return PolicyRow(subject, action, corpus, levels, compartment, "deny")


@pytest.fixture(scope="module")
def ragward(tmp_path_factory):
    """A few documents of each corpus, that the tests only read."""
    with installation(tmp_path_factory.mktemp("f10")) as made:
        put(
            made,
            document("plain"),
            document("without-ben", denied=["user:acme/ben"]),
            document("without-interns", denied=["group:acme/interns"]),
            document("finance", corpus="fin"),
            document("case", compartments=["case"]),
            document("denied-only", granted=[], denied=["user:acme/cai"]),
            document("numbered", attributes={"number": 1}),
        )
        yield made


# F10, F11. ----------------------------------------------------------------------------------------------------------


def test_f10_a_denial_beats_every_grant(ragward):
    """A denied user in an allowed group got the group's clause, and compiled permissions left deny rows out; here one denial,
    on the label or in a row, of the person or of any group above, beats all that allows."""
    everything = {"plain", "without-ben", "without-interns", "numbered"}
    assert sources(ask(ragward, "ben")) == everything - {"without-ben"} | {"finance"}
    assert sources(ask(ragward, "cai")) == everything - {"without-interns"}
    assert sources(ask(ragward, "dot")) == everything | {"finance"}
    for name, source in (("ben", "without-ben"), ("cai", "without-interns"), ("cai", "finance")):
        corpus = "fin" if source == "finance" else "eng"
        found = ragward.catalog.find_document("acme", corpus, source).label
        context = ragward.clock.context()
        assert not ragward.pdp.decide(company.subject(name), Action.CORPUS_RETRIEVE, found, context)
        assert ragward.pdp.decide(company.subject("dot"), Action.CORPUS_RETRIEVE, found, context)


def test_f11_another_role_lifts_no_restriction(tmp_path):
    """A role without restrictions made the restricted roles of the same user void; here a further role adds its own rows, and
    a denial, a ceiling by denial, a compartment and the label's own lists hold whatever else somebody is."""
    rows = [
        allow("role:acme/everything"),
        deny("role:acme/trainee", levels="CONFIDENTIAL..RESTRICTED"),
        deny("role:acme/outsider", compartment="board"),
    ]
    roles = ("role:acme/everything", "role:acme/trainee", "role:acme/outsider", *STAFF)
    memberships = [Membership("user:acme/eve", role) for role in roles]
    memberships += [Membership("user:acme/max", role) for role in (roles[0], *STAFF)]
    for name in ("eve", "max"):
        memberships.append(Membership(f"user:acme/{name}", "compartment:acme/board"))
    with installation(tmp_path, rows=(*company.ROWS, *rows), memberships=memberships) as ragward:
        put(
            ragward,
            document("low"),
            document("high", level=RESTRICTED),
            document("board", compartments=["board"]),
            document("case", compartments=["case"]),
            document("others", granted=["group:acme/hr"]),
        )
        assert sources(ask(ragward, "eve")) == {"low"}
        assert sources(ask(ragward, "max")) == {"low", "high", "board"}
        narrow = dataclasses.replace(company.APPLICATION, ceiling=PUBLIC)
        through = dataclasses.replace(company.subject("max"), application=narrow)
        assert not ragward.pdp.decide_labels(through, ragward.clock.context())


# F12, F13. ----------------------------------------------------------------------------------------------------------

WRONG = ([1], [[1]], "1", 1.5, True, None, {"a": 1}, [], ["1"])


@pytest.mark.parametrize("payload_index", [True, False], ids=["indexed", "unindexed"])
def test_f12_a_payload_of_another_type_passes_no_filter(tmp_path, payload_index):
    """A list in place of a value was excluded by a subset filter until a keyword index existed, then it passed; here there is
    one integer, and a point with anything else in its place is not found, releases nothing and takes nobody's place."""
    index = edge(tmp_path / "index", payload_index=payload_index)
    with installation(tmp_path, index=index) as ragward:
        put(ragward, *(document(f"open{n}") for n in range(6)))
        secret = put(ragward, document("secret", granted=["user:acme/ann"]))
        before = [p.source for p in ask(ragward, "ben")]
        vector = FakeEmbedder().embed([QUERY])[0]
        hidden = ragward.catalog.document_chunks("acme", secret)[0].point_id
        scopes = {scope.scope_id for scope in ragward.catalog.scopes("acme")}
        payloads = [*WRONG, *([scope] for scope in scopes), *(str(scope) for scope in scopes)]
        for number, payload in enumerate(payloads):
            for point_id in (hidden, *(str(uuid.UUID(int=50 * number + n)) for n in range(9))):
                written_past_us(index, point_id, vector, {"scope": payload})
            found = index.search(vector, scopes=scopes, limit=50)
            assert hidden not in {candidate.point_id for candidate in found}
            assert [p.source for p in ask(ragward, "ben", limit=6)] == before
        assert len(before) == 6
    index.close()


def test_f13_not_denied_is_not_granted(ragward):
    """`is not denied` returned what had no list at all; here a document that only denies is nobody's, and `ne` and `nin`
    match no document that lacks the attribute."""
    for name in ("ann", "ben", "cai", "dot"):
        assert "denied-only" not in sources(ask(ragward, name))
    for kind, value in (("ne", 7), ("nin", [7])):
        asked = {"type": kind, "key": "number", "value": value}
        assert sources(ask(ragward, "ann", filters=asked)) == {"numbered"}
    other = {"type": "ne", "key": "number", "value": 1}
    assert ask(ragward, "ann", filters=other) == ()


# F14. ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def world(request, tmp_path):
    with on_database(request, tmp_path) as made:
        yield made


def revocations(ragward):
    """(what is done, done, undone) for every way in which ben loses the document `v`."""
    base = label(granted=["group:acme/eng"], level=CONFIDENTIAL)
    put(ragward, document("v", of=base))
    record = ragward.catalog.find_document("acme", "eng", "v")
    member = Membership("user:acme/ben", "group:acme/eng")
    row = deny("group:acme/eng", corpus="acme/eng", levels="CONFIDENTIAL")
    ben = ragward.provisioning.create_user(idp(), UserProfile(user_name="b", external_id="ben"))

    def policy(**change):
        return lambda: ragward.catalog.change_policy("acme", author="user:acme/root", **change)

    def labelled(**change):
        return lambda: relabel(ragward, record.document_id, dataclasses.replace(base, **change))

    def active(value):
        def change(user):
            return dataclasses.replace(user.profile, active=value)

        return lambda: ragward.provisioning.change_user(idp(), ben.user_id, change)

    def ceiling(level):
        narrow = dataclasses.replace(company.APPLICATION, ceiling=level)
        return lambda: ragward.catalog.save_application(narrow, key_prefix=None, key_sha256=None)

    def later(seconds):
        def turn():
            ragward.clock.seconds += seconds

        return turn

    end = ragward.clock.now() + 60
    yield "membership", policy(remove_memberships=[member]), policy(add_memberships=[member])
    yield "row", policy(add_rows=[row]), policy(remove_rows=[row])
    yield "grant", labelled(granted=frozenset({"user:acme/ann"})), labelled()
    yield "denial", labelled(denied=frozenset({"user:acme/ben"})), labelled()
    yield "compartment", labelled(compartments=frozenset({"x"})), labelled()
    yield "deactivation", active(False), active(True)
    yield "application", ceiling(INTERNAL), ceiling(RESTRICTED)
    labelled(valid_until=end)()
    yield "expiry", later(60), labelled()
    yield (
        "deletion",
        lambda: ragward.stewardship.delete(STEWARD, record.document_id),
        lambda: put(ragward, document("v", of=base)),
    )


def test_f14_what_is_taken_away_is_gone_from_the_next_answer(world):
    """Permitted ids were kept for the life of an object, an index run or an hour; here the answer after each kind of
    revocation is without the document, with every cache warm, and by id as well."""
    kinds = []
    steward_sees = {"membership", "row", "grant", "denial", "compartment", "expiry"}
    for kind, revoke, give_back in revocations(world):
        for _ in range(3):
            assert "v" in sources(ask(world, "ben")), kind
        record = world.catalog.find_document("acme", "eng", "v")
        revoke()
        for _ in range(3):
            try:
                found = sources(ask(world, "ben"))
            except UnauthenticatedError:
                assert kind == "deactivation"
                found = set()
            assert "v" not in found, kind
        if kind in steward_sees:
            with pytest.raises(RagwardError):
                world.stewardship.document(company.subject("ben"), record.document_id)
        give_back()
        kinds.append(kind)
    assert "v" in sources(ask(world, "ben"))
    assert len(kinds) == 9


# F15. ---------------------------------------------------------------------------------------------------------------


class Broken:
    """A part that fails in one of its methods and is itself in all others."""

    def __init__(self, part, method, error):
        self._part, self._method, self._error = part, method, error

    def __getattr__(self, name):
        if name == self._method:
            return self._fail
        return getattr(self._part, name)

    def _fail(self, *_args, **_named):
        raise self._error


PARTS = [
    ("identity", "verify"),
    ("limiter", "acquire"),
    ("pdp", "decide_labels"),
    ("scopes", "permitted"),
    ("index", "search"),
    ("catalog", "stored_chunks"),
    ("epoch_tokens", "issue"),
    ("screener", "screen"),
]


@pytest.mark.parametrize(
    "error", [UnavailableError(), OSError("gone"), ValueError("65,537 entries")], ids=str
)
@pytest.mark.parametrize(("part", "method"), PARTS)
def test_f15_a_part_that_fails_gives_no_answer(ragward, part, method, error):
    """`fail_open` let everything through while the checker was down; here whatever part breaks, however, nobody is answered."""
    whole = getattr(ragward.retrieval._ports, part)
    assert ask(ragward, "ben", retrieval=with_ports(ragward, **{part: Broken(whole, "-", None)}))
    with pytest.raises(type(error)):
        ask(ragward, "ben", retrieval=with_ports(ragward, **{part: Broken(whole, method, error)}))


def test_f15_what_cannot_be_recorded_is_not_given(ragward):
    """A log that could not be written was passed over by default; here there is no answer, no ingest and no setting for it."""
    recorder = ragward.retrieval._ports.recorder
    mute = dataclasses.replace(recorder, audit=Broken(recorder.audit, "append", OSError("full")))
    with pytest.raises(UnavailableError) as caught:
        ask(ragward, "ben", retrieval=with_ports(ragward, recorder=mute))
    assert caught.value.code == "unavailable.audit"
    before = ragward.catalog.find_document("acme", "eng", "plain")
    ingestion = type(ragward.ingestion)(
        dataclasses.replace(ragward.ingestion._ports, recorder=mute)
    )
    with pytest.raises(UnavailableError):
        ingestion.ingest(STEWARD, document("plain", "Other words about voltage."))
    assert ragward.catalog.find_document("acme", "eng", "plain") == before
    chosen = {name for name in Settings.model_fields if "fail" in name or "audit" in name}
    exporting = {name for name in Settings.model_fields if name.startswith("audit_export")}
    assert chosen == {"audit_origin", "audit_anchors", "audit_database_url"} | exporting, (
        "what the log is called, where it lies, who keeps its checkpoints and who gets a copy"
    )


# F16. ---------------------------------------------------------------------------------------------------------------


def with_addresses(ragward, shift):
    """Eight documents that differ in one visible word and one hidden address."""
    for n in range(8):
        text = f"The voltage laboratory of {company.WORDS[n]}. Write to person{(n + shift) % 8}@example.com."
        put(ragward, document(f"d{n}", text, corpus="hr"))


def test_f16_hidden_text_neither_ranks_nor_scores(tmp_path):
    """A chunk shown as [REDACTED] scored 1.1 for the right guess of what it hid and 0.55 for a wrong one; here no guess tells
    who may not see the addresses which document has which; it does rank for who may see them."""
    order = " ".join(
        f"{word} " * n for n, word in enumerate(company.WORDS[:8], 1)
    )  # no two rank alike
    guesses = [f"{order} " + f"person{n}@example.com " * 12 for n in range(8)]
    with installation(tmp_path / "one") as one, installation(tmp_path / "other") as other:
        with_addresses(one, 0)
        with_addresses(other, 3)

        def answers(ragward, name):
            return [
                [(p.source, p.score, p.text, dict(p.removed)) for p in ask(ragward, name, guess)]
                for guess in guesses
            ]

        assert answers(one, "ben") == answers(other, "ben") != answers(one, "ann")
        assert all("<EMAIL_ADDRESS>" in text for _, _, text, _ in answers(one, "ben")[0])
        assert [len(found) for found in answers(one, "ben")] == [8] * 8
        orders = [
            [[source for source, *_ in found] for found in answers(ragward, "ann")]
            for ragward in (one, other)
        ]
        assert all(here != there for here, there in zip(*orders, strict=True))
        assert sum(found[0] == f"d{n}" for n, found in enumerate(orders[0])) >= 6
        record = one.catalog.find_document("acme", "hr", "d0")
        stored = one.catalog.document_chunks("acme", record.document_id)
        assert {each.view for each in stored} == {View.FULL, View.REDACTED}
