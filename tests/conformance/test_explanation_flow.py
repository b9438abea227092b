"""A steward's question is the query flow itself: every stage that can lose a document is reached, and told by its name.

And a steward of one corpus is told the same whatever is in the others, to the letter.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import uuid

import pytest
import sqlalchemy

from ragward.domain.access import Application, Deny
from ragward.domain.corpus import DocumentState, IndexPoint, SourceDocument, View
from ragward.domain.directory import UserProfile
from ragward.domain.errors import NotFoundError
from ragward.domain.explanation import Asked, ChunkId, DocumentId
from ragward.domain.funnel import Fate
from ragward.domain.handling import Mode
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest
from ragward.domain.policy import Membership, PolicyRow
from ragward.protection import point_id_of
from tests import company
from tests.installation import asked_by, initialised, opened

STEWARD = company.subject("steward")
ANN, BEN = Asked(principal="user:acme/ann"), Asked(principal="user:acme/ben")
ONE_CORPUS = PolicyRow(
    "user:acme/hrsteward", "access:explain", "acme/hr", "PUBLIC..RESTRICTED", "*", "allow"
)
EVERYTHING = RetrievalRequest(query="voltage laboratory", limit=50, max_passages_per_document=50)


def ingested(ragward, name, text="The voltage laboratory opens.", corpus="eng", **label):
    given = {"classification": Classification.INTERNAL, "granted": frozenset({"group:acme/staff"})}
    document = SourceDocument(
        source=f"{corpus}/{name}.txt",
        filename=f"{name}.txt",
        data=text.encode(),
        label=AccessLabel(tenant="acme", corpus=corpus, **(given | label)),
        attributes={"name": name},
    )
    ragward.ingestion.ingest(STEWARD, document)
    return ragward.catalog.find_document("acme", corpus, document.source).document_id


def told(ragward, document, asked=BEN, request=EVERYTHING, **changes):
    request = dataclasses.replace(request, **changes)
    return ragward.explainer.query(STEWARD, asked, request, DocumentId(document))


@pytest.fixture
def ragward(tmp_path):
    with opened(initialised(tmp_path)) as made:
        made.catalog.change_policy("acme", author="user:acme/root", add_rows=[ONE_CORPUS])
        yield made


# Every stage. -------------------------------------------------------------------------------------------------------


def test_returned_and_not_permitted(ragward):
    mine = ingested(ragward, "mine")
    theirs = ingested(ragward, "theirs", granted=frozenset({"user:acme/cai"}))
    found = told(ragward, mine)
    assert (found.fate, found.chunks[0].rank, found.denied) == (Fate.RETURNED, 1, None)
    assert [each.document.document_id for each in found.returned] == [mine]
    found = told(ragward, theirs)
    assert found.fate is Fate.LABEL
    assert not found.denied.permitted
    assert found.denied.alternatives.found
    assert (found.stages[0].entered, found.stages[0].left) == (2, 1)


def test_who_may_read_nothing(ragward):
    mine = ingested(ragward, "mine")
    found = told(ragward, mine, Asked(principal="user:acme/stranger"))
    assert found.fate is Fate.LABEL
    assert found.returned == ()


def test_the_corpora_and_the_attributes_asked_for(ragward):
    mine = ingested(ragward, "mine")
    found = told(ragward, mine, corpora=("hr",))
    assert found.fate is Fate.CORPUS
    assert found.stages[1].lost == {"corpus": 1}
    other = {"type": "eq", "key": "name", "value": "other"}
    assert told(ragward, mine, filters=other).fate is Fate.ATTRIBUTES
    same = {"type": "eq", "key": "name", "value": "mine"}
    assert told(ragward, mine, filters=same).fate is Fate.RETURNED


def test_not_near_enough(ragward):
    far = ingested(ragward, "far", "Pension delivery warranty of the customer.")
    for number in range(30):
        ingested(ragward, f"near-{number}", f"The voltage laboratory number {number} {number * 7}.")
    found = told(ragward, far, limit=1)
    [chunk] = found.chunks
    assert found.fate is Fate.NOT_NEAR
    assert (chunk.rank, chunk.considered) == (31, 12)
    assert chunk.score is None  # the steward may not read it
    reading = PolicyRow(STEWARD.principal, "corpus:*", "acme/*", "PUBLIC..RESTRICTED", "*", "allow")
    ragward.catalog.change_policy("acme", author="user:acme/root", add_rows=[reading])
    assert told(ragward, far, limit=1).chunks[0].score is None  # not granted
    ragward.catalog.change_policy(
        "acme",
        author="user:acme/root",
        add_memberships=[Membership(STEWARD.principal, "group:acme/staff")],
    )
    [chunk] = told(ragward, far, limit=1).chunks
    assert chunk.score < chunk.cut


def test_quarantined_superseded_and_a_quarantined_chunk(ragward):
    waiting = ingested(ragward, "waiting")
    ragward.catalog.set_state("acme", waiting, DocumentState.QUARANTINED)
    found = told(ragward, waiting)
    assert found.fate is Fate.STATE
    [only] = found.denied.alternatives.found
    assert [change.kind.value for change in only.changes] == ["release"]
    assert only.gains == 0


def test_the_index_does_not_hold_it(ragward):
    lost, kept = ingested(ragward, "lost"), ingested(ragward, "kept", "Voltage laboratory two.")
    [stored] = ragward.catalog.document_chunks("acme", lost)
    ragward.index.delete([stored.point_id])
    assert told(ragward, lost).fate is Fate.NOT_INDEXED
    assert told(ragward, kept).fate is Fate.RETURNED


def test_the_index_holds_it_under_another_scope(ragward):
    stale, kept = ingested(ragward, "stale"), ingested(ragward, "kept", "Voltage laboratory two.")
    [stored] = ragward.catalog.document_chunks("acme", stale)
    vector = ragward.embedder.embed(["The voltage laboratory opens."])[0]
    ragward.index.upsert([IndexPoint(point_id=stored.point_id, scope_id=9_999, vector=vector)])
    assert told(ragward, stale).fate is Fate.NOT_INDEXED
    assert told(ragward, kept).fate is Fate.RETURNED


def test_the_index_offers_what_the_catalog_refuses(ragward):
    """A point whose scope was tampered with is found, and stopped by the re-check, under the name of what stops it."""
    mine = ingested(ragward, "mine")
    theirs = ingested(ragward, "theirs", "Voltage two.", granted=frozenset({"user:acme/cai"}))
    [own] = ragward.catalog.document_chunks("acme", mine)
    [other] = ragward.catalog.document_chunks("acme", theirs)
    scope = next(s.scope_id for s in ragward.catalog.scopes("acme") if s.label_id == own.label_id)
    vector = ragward.embedder.embed(["Voltage two."])[0]
    ragward.index.upsert([IndexPoint(point_id=other.point_id, scope_id=scope, vector=vector)])
    found = told(ragward, theirs)
    assert (found.fate, found.chunks[0].rank is not None) == (Fate.LABEL, True)
    checked = next(s for s in found.stages if s.stage == "checked against the catalog")
    assert (checked.entered, checked.left, checked.lost) == (2, 1, {"label": 1})


def edited(ragward, statement, **values):
    """Something that only whoever can write the database could do."""
    with ragward.catalog._database.write_across_tenants() as connection:
        assert connection.execute(sqlalchemy.text(statement), values).rowcount > 0


def damaged(ragward, stored):
    blob = stored.blob[:-1] + bytes([stored.blob[-1] ^ 1])
    edited(ragward, "UPDATE chunks SET blob = :b WHERE chunk_id = :c", b=blob, c=stored.chunk_id)


def lost_in(found, stage):
    return next(told.lost for told in found.stages if told.stage == stage)


def test_damaged_content(ragward):
    mine, other = ingested(ragward, "mine"), ingested(ragward, "other", "Laboratory voltage two.")
    damaged(ragward, ragward.catalog.document_chunks("acme", mine)[0])
    found = told(ragward, mine)
    assert (found.fate, lost_in(found, "decrypted and verified")) == (
        Fate.INTEGRITY,
        {"integrity": 1},
    )
    assert told(ragward, other).fate is Fate.RETURNED


def test_what_a_second_search_brought_too_many_of(ragward):
    """One of the nearest does not verify, so there is another search; what it finds beyond the need is cut by rank."""
    names = [
        ingested(ragward, f"n{n}", f"The voltage laboratory number {n} {n * 7}.") for n in range(30)
    ]
    found = [told(ragward, name, limit=1) for name in names]
    [first] = [each for each in found if each.fate is Fate.RETURNED]
    damaged(
        ragward, ragward.catalog.document_chunks("acme", first.returned[0].document.document_id)[0]
    )
    again = [told(ragward, name, limit=1) for name in names]
    cut = [each.fate for each in again].count(Fate.RANK)
    assert cut > 0
    assert lost_in(again[0], "nearest kept") == {"rank": cut}


def test_a_quarantined_chunk_of_an_active_document(ragward):
    mine = ingested(ragward, "mine")
    [stored] = ragward.catalog.document_chunks("acme", mine)
    edited(
        ragward, "UPDATE chunks SET verdict = 'quarantine' WHERE chunk_id = :c", c=stored.chunk_id
    )
    found = told(ragward, mine)
    assert found.fate is Fate.QUARANTINED
    assert lost_in(found, "checked against the catalog") == {"quarantined": 1}
    chunk = ragward.explainer.document(STEWARD, BEN, ChunkId(stored.chunk_id))
    assert not chunk.permitted
    assert ragward.explainer.readers(STEWARD, ChunkId(stored.chunk_id)).total == 0


def test_a_key_that_is_still_to_be_wrapped(ragward):
    mine = ingested(ragward, "mine")
    edited(ragward, "UPDATE versions SET pending = 'rewrap' WHERE document_id = :d", d=mine)
    found = told(ragward, mine)
    assert found.fate is Fate.REWRAP_PENDING
    assert found.denied.alternatives.found == ()
    assert "wrapped" in ragward.explainer.readers(STEWARD, DocumentId(mine)).because


def test_points_that_nobody_knows_and_points_of_the_other_view(ragward):
    text = "Contact the laboratory about the voltage: person7@example.com answers."
    mine = ingested(ragward, "personal", text, corpus="hr")
    [full, redacted] = ragward.catalog.document_chunks("acme", mine)
    [scope] = [
        s.scope_id
        for s in ragward.catalog.scopes("acme")
        if s.label_id == redacted.label_id and s.view is View.REDACTED
    ]
    vector = ragward.embedder.embed([text])[0]
    for point in (full.point_id, point_id_of("nobody's", View.FULL)):
        ragward.index.upsert([IndexPoint(point_id=point, scope_id=scope, vector=vector)])
    found = told(ragward, mine)
    assert lost_in(found, "checked against the catalog") == {"absent": 1, "view": 1}
    assert found.fate is Fate.RETURNED


def test_capped_per_document(ragward):
    pages = "\n\n".join(
        " ".join(f"voltage laboratory page{n} word{n}x{i}." for i in range(60)) for n in range(4)
    )
    document = ingested(ragward, "long", pages)
    assert ragward.catalog.get_document("acme", document).chunk_count >= 2
    found = told(ragward, document, max_passages_per_document=1)
    fates = [chunk.fate for chunk in found.chunks]
    assert fates[0] is Fate.RETURNED
    assert Fate.PER_DOCUMENT in fates[1:]


def test_near_duplicates_and_the_limit(ragward):
    first = ingested(ragward, "first", "The voltage laboratory opens at nine on every working day.")
    again = ingested(ragward, "again", "The voltage laboratory opens at nine on every working day.")
    third = ingested(ragward, "third", "Voltage: the laboratory is closed.")
    found = {name: told(ragward, name) for name in (first, again)}
    fates = {each.fate: each for each in found.values()}
    assert fates.keys() == {Fate.RETURNED, Fate.NEAR_DUPLICATE}
    [repeating] = fates[Fate.NEAR_DUPLICATE].chunks
    [kept] = fates[Fate.RETURNED].chunks
    assert repeating.duplicate_of == kept.chunk_id
    ended = {told(ragward, name, limit=1).fate for name in (first, again, third)}
    assert ended == {Fate.RETURNED, Fate.NEAR_DUPLICATE, Fate.LIMIT}


def test_the_token_budget(ragward):
    long = [
        ingested(
            ragward,
            f"long-{n}",
            " ".join(f"voltage laboratory word{n}x{i}." for i in range(60)),
            classification=Classification.CONFIDENTIAL,
            granted=frozenset({"group:acme/eng"}),
        )
        for n in range(14)
    ]
    fates = [told(ragward, each, minimize=Mode.OFF).fate for each in long]
    assert {Fate.RETURNED, Fate.BUDGET} == set(fates)


def test_views_and_what_is_hidden(ragward):
    text = "Contact the laboratory about the voltage: person7@example.com answers."
    document = ingested(ragward, "personal", text, corpus="hr")
    for asked, view, hidden in ((ANN, View.FULL, set()), (BEN, View.REDACTED, {"EMAIL_ADDRESS"})):
        found = told(ragward, document, asked)
        assert (found.fate, found.chunks[0].view) == (Fate.RETURNED, view)
        explained = ragward.explainer.document(STEWARD, asked, DocumentId(document))
        assert explained.permitted
        assert set(explained.view.hidden) == hidden
        assert (explained.view.full, explained.view.redacted) == ((1, 0) if not hidden else (0, 1))
    why = ragward.explainer.document(STEWARD, BEN, DocumentId(document)).view.hidden
    assert "user:acme/ben" in why["EMAIL_ADDRESS"]


def test_a_point_of_the_other_view_is_told_so(ragward):
    text = "Contact the laboratory about the voltage: person7@example.com answers."
    document = ingested(ragward, "personal", text, corpus="hr")
    [full, redacted] = ragward.catalog.document_chunks("acme", document)
    assert (full.view, redacted.view) == (View.FULL, View.REDACTED)
    ragward.index.delete([redacted.point_id])
    found = told(ragward, document)
    assert (
        found.fate is Fate.NOT_INDEXED
    )  # and not VIEW, which the other point of the chunk came to


def test_waiting_for_the_index_is_no_hindrance(ragward):
    """A document that the index has not caught up with is found by its authoritative scope, as in an answer."""
    mine = ingested(ragward, "mine", granted=frozenset({"user:acme/cai"}))
    assert told(ragward, mine).fate is Fate.LABEL
    record = ragward.catalog.get_document("acme", mine)
    wide = dataclasses.replace(record.label, granted=frozenset({"group:acme/staff"}))
    run, ragward.index_sync.__class__.run = ragward.index_sync.__class__.run, lambda _self: None
    try:
        ragward.relabelling.relabel(STEWARD, mine, wide, "a paused outbox")
    finally:
        ragward.index_sync.__class__.run = run
    assert ragward.catalog.pending_points("acme", limit=9)
    assert told(ragward, mine).fate is Fate.RETURNED


# It is the same flow. -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def peopled(tmp_path_factory):
    with opened(initialised(tmp_path_factory.mktemp("peopled"))) as made:
        made.catalog.change_policy("acme", author="user:acme/root", add_rows=[ONE_CORPUS])
        for document in company.documents(40):
            made.ingestion.ingest(STEWARD, document)
        yield made


@pytest.mark.parametrize("name", [*company.PEOPLE, "ann+bot", "nobody"])
def test_a_rehearsal_comes_to_the_same_passages_as_the_answer(peopled, name):
    person, _, agent = name.partition("+")
    agents = (f"agent:acme/{agent}",) if agent else ()
    asked = Asked(principal=f"user:acme/{person}", agents=agents)
    for query in ("salary budget", "voltage calibration sensor", "leave", "person3@example.com"):
        request = RetrievalRequest(query=query, limit=7)
        answer = peopled.retrieve(asked_by(name), request)
        found = peopled.explainer.query(STEWARD, asked, request)
        assert [(p.chunk_id, p.rank, p.share, dict(p.removed)) for p in answer.passages] == [
            (r.document.chunk_id, r.rank, r.share, dict(r.removed)) for r in found.returned
        ]
        assert found.stages[-1].left == len(answer.passages)
        for before, after in zip(found.stages[-7:], found.stages[-6:], strict=False):
            assert before.left == after.entered


def test_a_document_is_returned_if_the_rehearsal_says_so(peopled):
    request = RetrievalRequest(query="salary budget", limit=5)
    seen = set()
    for record in peopled.catalog.documents("acme"):
        found = peopled.explainer.query(STEWARD, BEN, request, DocumentId(record.document_id))
        passages = peopled.retrieve(asked_by("ben"), request).passages
        given = any(p.document_id == record.document_id for p in passages)
        assert given == (found.fate is Fate.RETURNED)
        decided = peopled.explainer.document(STEWARD, BEN, DocumentId(record.document_id))
        assert decided.permitted == (found.fate is not Fate.LABEL)
        assert (found.denied is None) == decided.permitted
        seen.add(found.fate)
    assert {Fate.RETURNED, Fate.LABEL, Fate.LIMIT} <= seen


def test_no_text_is_told(peopled):
    request = RetrievalRequest(query="salary budget", limit=20)
    found = peopled.explainer.query(STEWARD, ANN, request)
    texts = [p.text for p in peopled.retrieve(asked_by("ann"), request).passages]
    assert texts
    said = repr(found)
    for text in texts:
        for sentence in text.split(". "):
            assert len(sentence) < 20 or sentence not in said


# Readers and access. ------------------------------------------------------------------------------------------------


def test_readers_and_access_are_two_sides_of_one_thing(peopled):
    names = [f"user:acme/{name}" for name in (*company.PEOPLE, "steward", "root")]
    accesses = {
        name: peopled.explainer.access(STEWARD, name, limit=1000)
        for name in (*names, "agent:acme/bot")
    }
    total = 0
    for record in peopled.catalog.documents("acme"):
        found = peopled.explainer.readers(STEWARD, DocumentId(record.document_id))
        reading = {reader.principal for reader in found.readers}
        for name, access in accesses.items():
            listed = record.document_id in {d.document_id for d in access.documents}
            assert listed == (name in reading)
            total += listed
    assert total > 20
    for name in names:
        decision = peopled.pdp.decide_labels(
            dataclasses.replace(STEWARD, principal=name), peopled.clock.context()
        )
        counts = peopled.catalog.documents_per_label("acme")
        expected = sum(counts.get(i, 0) for i in decision.label_ids()) if decision else 0
        assert sum(area.documents for area in accesses[name].areas) == expected
        assert len(accesses[name].documents) == expected


def test_pages_lead_on(peopled):
    whole = peopled.explainer.access(STEWARD, "user:acme/ann", limit=1000)
    after, listed = "", []
    while after is not None:
        page = peopled.explainer.access(STEWARD, "user:acme/ann", after=after, limit=3)
        listed += page.documents
        after = page.next_after
    assert tuple(listed) == whole.documents
    assert len(listed) > 6
    document = whole.documents[0].document_id
    everybody = peopled.explainer.readers(STEWARD, DocumentId(document))
    first = peopled.explainer.readers(STEWARD, DocumentId(document), limit=1)
    rest = peopled.explainer.readers(STEWARD, DocumentId(document), after=first.next_after or "")
    assert first.readers + (rest.readers if first.next_after else ()) == everybody.readers
    assert first.total == everybody.total


def test_at_another_time(ragward):
    now = ragward.clock.now()
    later = ingested(ragward, "later", valid_from=now + 100, valid_until=now + 200)
    for at, count in ((None, 0), (now + 99, 0), (now + 100, 1), (now + 199, 1), (now + 200, 0)):
        found = ragward.explainer.readers(STEWARD, DocumentId(later), at=at)
        assert ("user:acme/ben" in {r.principal for r in found.readers}) == bool(count)
        access = ragward.explainer.access(STEWARD, "user:acme/ben", at=at)
        assert len(access.documents) == count
    explained = ragward.explainer.document(STEWARD, BEN, DocumentId(later))
    assert [c.text for c in explained.alternatives.found[0].changes] == [
        "lift the label's valid_from"
    ]


def test_whom_directory_or_registration_refuse_can_see_nothing(ragward):
    public = ingested(
        ragward,
        "public",
        classification=Classification.PUBLIC,
        granted=frozenset({"app:acme/kiosk", "app:acme/ghost", "group:acme/staff"}),
    )
    rows = [
        PolicyRow(f"app:acme/{name}", "corpus:retrieve", "acme/*", "PUBLIC", "*", "allow")
        for name in ("kiosk", "ghost")
    ]
    ragward.catalog.change_policy("acme", author="user:acme/root", add_rows=rows)
    now = ragward.clock.now()
    kiosk = Application(
        principal="app:acme/kiosk",
        tenant="acme",
        client_id="kiosk",
        corpora=frozenset({"eng"}),
        ceiling=Classification.PUBLIC,
        expires_at=now + 50,
    )
    ragward.catalog.save_application(kiosk, key_prefix=None, key_sha256=None)

    def reading(**given):
        found = ragward.explainer.readers(STEWARD, DocumentId(public), **given)
        return {reader.principal for reader in found.readers}

    assert {"app:acme/kiosk", "user:acme/ben"} <= reading()
    assert "app:acme/ghost" not in reading()
    assert "app:acme/kiosk" not in reading(at=now + 50)
    ghost = ragward.explainer.access(STEWARD, "app:acme/ghost")
    assert (ghost.areas, ghost.because != "") == ((), True)
    profile = UserProfile(user_name="ben", external_id="ben", active=False)
    ragward.catalog.create_user("acme", profile, "idp")
    assert "user:acme/ben" not in reading()
    explained = ragward.explainer.document(STEWARD, BEN, DocumentId(public))
    assert not explained.permitted
    assert explained.alternatives.found == ()
    assert told(ragward, public).fate is Fate.LABEL
    assert ragward.explainer.access(STEWARD, "user:acme/ben").documents == ()


def test_through_an_application(ragward):
    secret = ingested(ragward, "secret", classification=Classification.CONFIDENTIAL)
    ragward.catalog.save_application(
        Application(
            principal="app:acme/narrow",
            tenant="acme",
            client_id="narrow",
            corpora=frozenset({"hr"}),
            ceiling=Classification.INTERNAL,
        ),
        key_prefix=None,
        key_sha256=None,
    )
    through = Asked(principal="user:acme/ben", application="app:acme/narrow")
    found = ragward.explainer.document(STEWARD, through, DocumentId(secret))
    [only] = found.alternatives.found
    assert {change.kind.value for change in only.changes} == {"admit_corpus", "raise_ceiling"}
    assert ragward.explainer.document(STEWARD, BEN, DocumentId(secret)).permitted
    unknown = dataclasses.replace(through, application="app:acme/unknown")
    with pytest.raises(NotFoundError):
        ragward.explainer.document(STEWARD, unknown, DocumentId(secret))


def test_a_chunk_by_its_id(ragward):
    mine = ingested(ragward, "mine")
    [stored] = ragward.catalog.document_chunks("acme", mine)
    found = ragward.explainer.document(STEWARD, BEN, ChunkId(stored.chunk_id))
    assert found.permitted
    assert (found.document.document_id, found.document.chunk_id) == (mine, stored.chunk_id)
    assert stored.point_id == point_id_of(stored.chunk_id, View.FULL)
    for absent in ("absent", stored.point_id):
        with pytest.raises(NotFoundError):
            ragward.explainer.document(STEWARD, BEN, ChunkId(absent))


def test_own_access_is_what_can_be_read(peopled):
    for name in (*company.PEOPLE, "nobody"):
        subject = company.subject(name)
        decision = peopled.pdp.decide_labels(subject, peopled.clock.context())
        expected = set()
        if not isinstance(decision, Deny):
            expected = {
                (r.corpus, r.label.classification)
                for r in peopled.catalog.documents("acme")
                if decision.admits(r.label_id) and r.state is DocumentState.ACTIVE
            }
        areas = peopled.explainer.own_access(subject)
        assert {(area.corpus, area.classification) for area in areas} == expected


# A steward of one corpus. -------------------------------------------------------------------------------------------

HR_STEWARD = company.subject("hrsteward")


def everything_told(ragward):
    """All that a steward of `hr` can find out, as one text."""
    explainer, said = ragward.explainer, []
    records = [r for r in ragward.catalog.documents("acme", limit=500) if r.corpus == "hr"]
    assert len(records) > 5
    for name in ("user:acme/ann", "user:acme/ben", "user:acme/cai"):
        asked = Asked(principal=name)
        access = explainer.access(HR_STEWARD, name, limit=1000)
        said.append(dataclasses.replace(access, at=0))
        for query in ("salary budget", "voltage"):
            said.append(explainer.query(HR_STEWARD, asked, RetrievalRequest(query=query, limit=4)))
        for record in records[:8]:
            target = DocumentId(record.document_id)
            request = RetrievalRequest(query="salary budget", limit=2)
            said.append(explainer.document(HR_STEWARD, asked, target))
            said.append(explainer.query(HR_STEWARD, asked, request, target))
            said.append(explainer.readers(HR_STEWARD, target))
    return repr(said)


def only_hr_alike(directory, change):
    """The same `hr`, and elsewhere what `change` makes of it."""
    with opened(initialised(directory)) as made:
        made.catalog.change_policy("acme", author="user:acme/root", add_rows=[ONE_CORPUS])
        documents = company.documents(40, seed=3)
        for document in documents:
            if document.label.corpus == "hr":
                made.ingestion.ingest(STEWARD, document)
        for document in documents:
            if document.label.corpus != "hr":
                changed = change(document)
                if changed is not None:
                    made.ingestion.ingest(STEWARD, changed)
        yield made


def test_a_steward_of_one_corpus_learns_nothing_about_another(tmp_path, monkeypatch):
    def said_with(change, name):
        numbers = itertools.count(1)
        with monkeypatch.context() as patch:
            patch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=next(numbers), version=4))
            worlds = only_hr_alike(tmp_path / name, change)
            ragward = next(worlds)
            try:
                return everything_told(ragward)
            finally:
                worlds.close()

    def louder(document):
        return dataclasses.replace(document, data=b"salary budget voltage " * 30)

    empty = said_with(lambda _document: None, "empty")
    full = said_with(lambda document: document, "full")
    other = said_with(louder, "other")
    assert empty == full == other
    for corpus in ("eng/", "fin/", "corpus='eng'", "corpus='fin'"):
        assert corpus not in full


def test_a_steward_of_one_corpus_finds_the_others_absent(peopled):
    hr, eng = (
        next(r for r in peopled.catalog.documents("acme") if r.corpus == corpus)
        for corpus in ("hr", "eng")
    )
    assert peopled.explainer.readers(HR_STEWARD, DocumentId(hr.document_id))
    for ask in (
        lambda target: peopled.explainer.document(HR_STEWARD, BEN, target),
        lambda target: peopled.explainer.readers(HR_STEWARD, target),
        lambda target: peopled.explainer.query(HR_STEWARD, BEN, EVERYTHING, target),
    ):
        refusals = set()
        for target in (
            DocumentId(eng.document_id),
            DocumentId("absent"),
            ChunkId(peopled.catalog.document_chunks("acme", eng.document_id)[0].chunk_id),
            ChunkId("absent"),
        ):
            with pytest.raises(NotFoundError) as caught:
                ask(target)
            refusals.add((caught.value.code, caught.value.detail))
        assert len(refusals) == 1
    for asker in (company.subject("ben"), company.subject("ann")):
        with pytest.raises(NotFoundError):
            peopled.explainer.access(asker, asker.principal)
        with pytest.raises(NotFoundError):
            peopled.explainer.query(asker, ANN, EVERYTHING)


# Evidence. ----------------------------------------------------------------------------------------------------------


def test_what_is_explained_is_recorded_before_it_is_told(peopled):
    record = peopled.catalog.documents("acme")[0]
    before = peopled.audit.verify().entries
    peopled.explainer.document(STEWARD, BEN, DocumentId(record.document_id))
    peopled.explainer.query(STEWARD, BEN, EVERYTHING)
    peopled.explainer.readers(STEWARD, DocumentId(record.document_id))
    peopled.explainer.access(STEWARD, "user:acme/ann")
    events = [json.loads(entry.data) for entry in peopled.audit.entries(start=before)]
    assert {event["type"] for event in events} == {"access.explained"}
    kinds = [event["details"]["kind"] for event in events]
    assert kinds == ["document", "query", "readers", "subject"]
    assert [event["details"].get("about") for event in events] == [
        "user:acme/ben",
        "user:acme/ben",
        None,
        "user:acme/ann",
    ]
    assert all(event["actor"]["principal"] == STEWARD.principal for event in events)
    assert events[1]["details"]["query_tag"]
    assert "voltage" not in json.dumps(events)
