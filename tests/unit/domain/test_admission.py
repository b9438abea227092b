"""What may be asked and what may be opened: each rule, each reason."""

from __future__ import annotations

import itertools
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from ragward.domain.access import Action, Grant, Permit, TenantHead
from ragward.domain.admission import (
    MAX_LIMIT,
    MAX_QUERY_CHARACTERS,
    capped_per_document,
    check_bounds,
    checked_query,
    drop_reason,
    knowing_actions,
    matches_view,
    passage,
)
from ragward.domain.corpus import DocumentState, IndexScope, KeyReference, StoredChunk, View
from ragward.domain.errors import InvalidRequestError
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import (
    AuthorizedChunk,
    Cut,
    MinimalText,
    RedactedText,
    RetrievalRequest,
)

REQUEST = RetrievalRequest(query="q")
STORED = StoredChunk(
    point_id="p",
    chunk_id="c",
    document_id="d",
    version=1,
    corpus="hr",
    source="hr/a.txt",
    title="A",
    ordinal=0,
    state=DocumentState.ACTIVE,
    label_id=7,
    label=AccessLabel(tenant="acme", corpus="hr", classification=Classification.INTERNAL),
    view=View.FULL,
    entity_types=frozenset(),
    verdict="allow",
    key=KeyReference(dek_id="k", kek_id="k", kek_version=1, wrapped_dek=b""),
    blob=b"",
    attributes={"year": 2026},
)


def permit(*revealed, label_id=7):
    return Permit(
        head=TenantHead(epoch=1),
        not_after=10,
        grants=(Grant(labels=frozenset({label_id}), revealed=frozenset(revealed)),),
        policy_digest="p",
        reason="r",
    )


def scope(view, *types, label_id=7):
    return IndexScope(
        scope_id=1, label_id=label_id, corpus="hr", view=view, entity_types=frozenset(types)
    )


def test_readers_know_of_what_is_active_and_nobody_of_what_is_deleted():
    reading = {state for state in DocumentState if Action.CORPUS_RETRIEVE in knowing_actions(state)}
    stewarding = {
        state for state in DocumentState if Action.DOCUMENT_RELABEL in knowing_actions(state)
    }
    assert reading == {DocumentState.ACTIVE}
    held = {DocumentState.QUARANTINED, DocumentState.GONE}
    assert stewarding == {DocumentState.ACTIVE} | held
    assert not any(Action.DOCUMENT_INGEST in knowing_actions(state) for state in DocumentState)


def authorized(document_id, number=0):
    stored = replace(STORED, document_id=document_id, chunk_id=f"{document_id}{number}")
    return AuthorizedChunk(stored=stored, score=0.5, text="t", spans=(), revealed=frozenset())


@pytest.mark.parametrize(
    ("asked", "checked"),
    [
        ("notice period?", "notice period?"),
        ("  notice \t\r\n period  ", "notice period"),
        ("\uff4e\uff4ftice \ufb01eld \u2460", "notice field 1"),
        ("cafe\u0301", "caf\u00e9"),
        ("a\u00a0b\u3000c", "a b c"),
        ("給与", "給与"),
        ("7", "7"),
        ("x" * MAX_QUERY_CHARACTERS, "x" * MAX_QUERY_CHARACTERS),
        ("\ufdfa" * 1_000, unicodedata.normalize("NFKC", "\ufdfa" * 1_000)[:MAX_QUERY_CHARACTERS]),
    ],
)
def test_a_query_is_normalised(asked, checked):
    assert checked_query(asked) == checked


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("", "query.empty"),
        (" \t\r\n", "query.empty"),
        ("?!... --", "query.empty"),
        ("\u200b\u2060", "query.empty"),
        ("x" * 4001, "query.too_long"),
        (" " * 4001, "query.too_long"),
        ("a\x00b", "query.control_characters"),
        ("a\x1bb", "query.control_characters"),
        ("a\x7fb", "query.control_characters"),
        ("a\x85b", "query.control_characters"),
        ("a\x0bb", "query.control_characters"),
        ("a\ud800b", "query.control_characters"),
        ("\udfff", "query.control_characters"),
    ],
)
def test_a_bad_query_is_refused_by_its_own_code(asked, code):
    with pytest.raises(InvalidRequestError) as caught:
        checked_query(asked)
    assert caught.value.code == code


@settings(max_examples=100)
@given(st.text(max_size=50))
def test_a_checked_query_is_normal_and_stays_so(asked):
    try:
        query = checked_query(asked)
    except InvalidRequestError:
        reject()
    assert query == " ".join(query.split())
    assert unicodedata.is_normalized("NFKC", query)
    assert not any(unicodedata.category(c) in {"Cc", "Cs"} for c in query)
    assert checked_query(query) == query


@pytest.mark.parametrize("value", [1, 10, MAX_LIMIT])
def test_numbers_within_bounds_are_accepted(value):
    check_bounds(RetrievalRequest(query="q", limit=value, max_passages_per_document=value))


@pytest.mark.parametrize("field", ["limit", "max_passages_per_document"])
@pytest.mark.parametrize("value", [-1, 0, MAX_LIMIT + 1])
def test_numbers_out_of_bounds_are_refused(field, value):
    with pytest.raises(InvalidRequestError, match=f"{field} is between 1 and 50") as caught:
        check_bounds(replace(REQUEST, **{field: value}))
    assert caught.value.code == "request.invalid"


@pytest.mark.parametrize(
    ("view", "present", "revealed", "matches"),
    [
        (View.FULL, (), (), True),
        (View.FULL, (), ("AGE",), True),
        (View.FULL, ("AGE",), (), False),
        (View.FULL, ("AGE",), ("AGE",), True),
        (View.FULL, ("AGE", "PERSON"), ("AGE",), False),
        (View.FULL, ("AGE", "PERSON"), ("AGE", "PERSON", "US_SSN"), True),
        (View.REDACTED, (), (), False),
        (View.REDACTED, ("AGE",), (), True),
        (View.REDACTED, ("AGE",), ("AGE",), False),
        (View.REDACTED, ("AGE", "PERSON"), ("AGE",), True),
        (View.REDACTED, ("AGE", "PERSON"), ("AGE", "PERSON"), False),
    ],
)
def test_which_view_answers_whom(view, present, revealed, matches):
    assert matches_view(permit(*revealed), scope(view, *present)) is matches


def test_each_holder_of_a_permit_is_answered_from_exactly_one_view():
    types = ("AGE", "PERSON", "US_SSN")
    sets = [c for size in range(4) for c in itertools.combinations(types, size)]
    for present, revealed in itertools.product(sets, sets):
        answers = [matches_view(permit(*revealed), scope(view, *present)) for view in View]
        assert sorted(answers) == [False, True]


@pytest.mark.parametrize("view", View)
def test_another_label_matches_no_view(view):
    assert not matches_view(permit("AGE", label_id=8), scope(view, "AGE"))
    assert not matches_view(permit(label_id=8), scope(view))


def test_what_a_permit_reveals_under_another_label_does_not_count():
    both = replace(permit(), grants=(*permit().grants, *permit("AGE", label_id=8).grants))
    assert not matches_view(both, scope(View.FULL, "AGE", label_id=7))
    assert matches_view(both, scope(View.FULL, "AGE", label_id=8))


@pytest.mark.parametrize("corpora", [(), ("hr",), ("it", "hr")])
@pytest.mark.parametrize("verdict", ["allow", "flag"])
def test_what_is_permitted_may_be_opened(corpora, verdict):
    stored = replace(STORED, verdict=verdict)
    assert drop_reason(permit(), replace(REQUEST, corpora=corpora), stored) is None


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (None, "absent"),
        *(
            (replace(STORED, state=state), "state")
            for state in DocumentState
            if state is not DocumentState.ACTIVE
        ),
        (replace(STORED, label_id=8), "label"),
        (replace(STORED, corpus="it"), "corpus"),
        (replace(STORED, entity_types=frozenset({"PERSON"})), "view"),
        (replace(STORED, view=View.REDACTED), "view"),
        (replace(STORED, view=View.REDACTED, entity_types=frozenset({"AGE"})), "view"),
        (replace(STORED, verdict="quarantine"), "quarantined"),
    ],
)
def test_each_reason_not_to_open(stored, reason):
    assert drop_reason(permit("AGE"), replace(REQUEST, corpora=("hr",)), stored) == reason


def test_the_view_of_who_is_not_entitled_may_be_opened():
    stored = replace(STORED, view=View.REDACTED, entity_types=frozenset({"PERSON"}))
    assert drop_reason(permit("AGE"), REQUEST, stored) is None


def test_the_earliest_reason_is_given():
    worst = replace(STORED, label_id=8, corpus="it", view=View.REDACTED, verdict="quarantine")
    request = replace(REQUEST, corpora=("hr",))
    assert drop_reason(permit(), request, replace(worst, state=DocumentState.STAGED)) == "state"
    assert drop_reason(permit(), request, worst) == "label"
    assert drop_reason(permit(label_id=8), request, worst) == "corpus"
    assert drop_reason(permit(label_id=8), REQUEST, worst) == "view"


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        (1, ["a0", "b1", "c4"]),
        (2, ["a0", "b1", "a2", "c4", "b5"]),
        (3, ["a0", "b1", "a2", "a3", "c4", "b5"]),
    ],
)
def test_at_most_so_many_of_one_document_in_order(limit, kept):
    chunks = [authorized(document, at) for at, document in enumerate("abaacb")]
    assert [c.stored.chunk_id for c in capped_per_document(chunks, limit)] == kept


@given(st.lists(st.sampled_from("abc"), max_size=12), st.integers(1, 5))
def test_the_cap_holds_and_takes_no_more_than_it_must(documents, limit):
    chunks = [authorized(d, at) for at, d in enumerate(documents)]
    kept = list(capped_per_document(chunks, limit))
    for document in "abc":
        own = [chunk for chunk in kept if chunk.stored.document_id == document]
        assert len(own) == min(limit, documents.count(document))


@pytest.mark.parametrize(("verdict", "flagged"), [("allow", False), ("flag", True)])
def test_a_passage_carries_its_rank_and_its_similarity_only_where_handling_says_so(
    verdict, flagged
):
    chunk = authorized("d")
    chunk = replace(chunk, stored=replace(chunk.stored, verdict=verdict), score=0.98765)
    redacted = RedactedText(text="whole", removed={"AGE": 2})
    kept = MinimalText(text="part", share=0.5, cut=Cut(sentences=1, tokens=2, ranges=((0, 9),)))
    out = passage(3, chunk, redacted, kept, raw_score=False)
    assert passage(3, chunk, redacted, kept, raw_score=True) == replace(out, score=0.9877)
    assert (out.rank, out.score, out.text, out.share) == (3, 0.3333, "part", 0.5)
    assert out.cut == kept.cut
    assert (out.removed, out.flagged) == ({"AGE": 2}, flagged)
    assert (out.document_id, out.chunk_id, out.corpus) == ("d", "d0", "hr")
    assert (out.source, out.title, out.attributes) == ("hr/a.txt", "A", {"year": 2026})
    assert out.classification is Classification.INTERNAL
