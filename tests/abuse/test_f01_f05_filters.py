"""F1 to F5: how filters and identities of other systems let everything through, or too little (docs/failures-of-others.md)."""

from __future__ import annotations

import dataclasses
import threading
import uuid

import pytest
from pyroaring import FrozenBitMap
from starlette.testclient import TestClient

from ragward.adapters.index_filter import ScopeFilter
from ragward.api.app import create_app, openapi_document
from ragward.domain.access import Credentials, Subject
from ragward.domain.errors import (
    UnauthenticatedError,
)
from ragward.domain.passages import Candidate
from tests import company
from tests.abuse.others import (
    QUERY,
    VECTOR,
    ask,
    document,
    installation,
    point,
    put,
    sources,
    with_ports,
)

# F1. ----------------------------------------------------------------------------------------------------------------


def test_f01_an_empty_list_of_scopes_matches_nothing(index):
    """An empty grant list became no filter, which matches everything; here an empty set never reaches the engine."""
    index.upsert([point(1, 1), point(2, 2)])
    assert len(index.search(VECTOR, scopes={1, 2}, limit=5)) == 2
    for nothing in (set(), frozenset(), FrozenBitMap()):
        assert ScopeFilter.of(nothing, (), None) is None
        assert index.search(VECTOR, scopes=nothing, limit=5) == []
    assert index.search(VECTOR, scopes={1, 2}, limit=5, only_points=()) == []


def test_f01_who_has_no_grant_gets_nothing(ragward):
    """Group enforcement over no groups was no enforcement; here no groups, no rows and no grants each mean nothing."""
    assert sources(ask(ragward, "ann")) == {"open", "hers"}
    assert ask(ragward, "stranger") == ()
    assert "nobodys" not in {
        s for name in ("ann", "ben", "dot") for s in sources(ask(ragward, name))
    }
    narrow = dataclasses.replace(company.APPLICATION, corpora=frozenset())
    subject = dataclasses.replace(company.subject("ann"), application=narrow)
    assert not ragward.pdp.decide_labels(subject, ragward.clock.context())


def test_f01_a_filter_that_selects_no_document_selects_none(ragward):
    """An id list that came out empty was left out of the query; here it leaves nothing over."""
    filters = {"type": "eq", "key": "number", "value": 1}
    assert ask(ragward, "ann")
    assert ask(ragward, "ann", filters=filters) == ()
    assert ask(ragward, "ann", corpora=("no-such-corpus",)) == ()


# F2. ----------------------------------------------------------------------------------------------------------------

#: Health, and what protocols say of themselves: the same for everybody.
OPEN_TO_ALL = {"/livez", "/readyz", "/version", "/.well-known/authzen-configuration"}
OPEN_TO_ALL |= {
    f"/scim/v2/{name}" for name in ("ServiceProviderConfig", "ResourceTypes", "Schemas")
}
OPEN_TO_ALL |= {
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp",
}
OPEN_TO_ALL |= {"/scim/v2/ResourceTypes/{name}", "/scim/v2/Schemas/{urn}"}


def test_f02_no_identity_is_no_answer(ragward):
    """A missing identity meant no filter; here there is no subject without one, and nothing is decided for nobody."""
    for nobody in (Credentials(), Credentials(untrusted_user_authorization="ann")):
        with pytest.raises(UnauthenticatedError):
            ragward.retrieve(nobody, QUERY)
    with pytest.raises(TypeError):
        Subject(tenant="acme", principal="user:acme/ann", not_after=2**40)
    with pytest.raises(AttributeError):
        ragward.pdp.decide_labels(None, ragward.clock.context())
    unnamed = dataclasses.replace(company.subject("ann"), principal="")
    assert not ragward.pdp.decide_labels(unnamed, ragward.clock.context())
    assert ragward.pdp.decide_labels(company.subject("ann"), ragward.clock.context())


def test_f02_no_operation_answers_without_credentials(ragward):
    """One endpoint that forgot to ask who calls was enough; here all of the OpenAPI document are tried, new ones too."""
    tried = 0
    with TestClient(create_app(ragward), base_url="http://127.0.0.1") as client:
        for path, operations in openapi_document()["paths"].items():
            for method in operations.keys() - {"parameters"}:
                url = path.replace("{", "").replace("}", "")
                asked = {"query": QUERY}
                if path.startswith("/dify/"):
                    asked |= {"knowledge_id": "hr", "retrieval_setting": {"top_k": 3}}
                body = {} if method in ("get", "delete") else {"json": asked}
                response = client.request(method, url, **body)
                if path in OPEN_TO_ALL:
                    assert QUERY not in response.text
                    continue
                tried += 1
                assert response.status_code == 401, (method, path, response.text)
    assert tried > 50


# F3. ----------------------------------------------------------------------------------------------------------------


def test_f03_identity_does_not_bleed_from_one_request_into_another(ragward):
    """The last caller's groups stayed in a shared retriever; here one Retrieval serves eight threads, each its own subject."""
    askers = ["ann", "ben", "cai", "dot", "stranger", "ann+bot", "ben+bot", "steward"]
    alone = {name: [p.chunk_id for p in ask(ragward, name)] for name in askers}
    assert len({tuple(found) for found in alone.values()}) >= 4
    wrong, start = [], threading.Barrier(len(askers))

    def keep_asking(name):
        start.wait()
        for _ in range(25):
            found = [p.chunk_id for p in ask(ragward, name)]
            if found != alone[name]:
                wrong.append((name, found))

    threads = [threading.Thread(target=keep_asking, args=(name,)) for name in askers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    with pytest.raises(UnauthenticatedError):  # and whoever comes next brings their own
        ragward.retrieve(Credentials(), QUERY)


# F4. ----------------------------------------------------------------------------------------------------------------


class Answering:
    """An index that answers with these points, whatever is asked."""

    def __init__(self, point_ids):
        self._found = [Candidate(point_id=each, score=1.0) for each in point_ids]

    def search(self, vector, *, scopes, limit, excluding=(), only_points=None):
        return [each for each in self._found if each.point_id not in excluding]


def test_f04_one_chunks_verdict_is_not_anothers(ragward):
    """Chunks without ids shared one key, so one permitted chunk released all and one denied hid all; here every candidate
    is looked up and decided by itself, wherever it stands and whatever it is called."""
    points = {
        record.source: ragward.catalog.document_chunks("acme", record.document_id)[0].point_id
        for record in ragward.catalog.documents("acme")
    }
    mine, not_mine = points["open"], [points["hers"], points["nobodys"]]
    odd = ["", "None", "null", "\0", "é" * 40, mine.upper(), f"{mine} ", str(uuid.UUID(int=0))]
    for order in ([mine, *not_mine, *odd], [*odd, *not_mine, mine], [mine, mine, *not_mine, mine]):
        retrieval = with_ports(ragward, index=Answering(order))
        assert [p.source for p in ask(ragward, "ben", retrieval=retrieval)] == ["open"]
    for order in (not_mine, odd):
        assert ask(ragward, "ben", retrieval=with_ports(ragward, index=Answering(order))) == ()


def test_f04_equal_names_and_texts_are_different_documents(tmp_path):
    """A map from object to verdict let one label's verdict answer for another; here equal sources, texts and file names in
    two corpora have ids and verdicts of their own."""
    with installation(tmp_path) as ragward:
        same = "The voltage laboratory opens at nine."
        one = put(ragward, document("a", same, corpus="eng"))
        other = put(ragward, document("a", same, corpus="hr", granted=["user:acme/ann"]))
        assert one != other
        assert {p.document_id for p in ask(ragward, "ben")} == {one}
        assert {p.document_id for p in ask(ragward, "ann", corpora=("hr",))} == {other}


# F5. ----------------------------------------------------------------------------------------------------------------


def test_f05_all_permitted_chunks_of_a_document_come(tmp_path):
    """Of four permitted chunks of one article one was returned, because verdicts were kept per article; here all come."""
    words = [
        f"Chapter {n}: the voltage laboratory {' '.join(f'w{n}x{i}' for i in range(40))}"
        for n in range(8)
    ]
    with installation(tmp_path) as ragward:
        put(ragward, document("long", "\n\n".join(words)), document("b"))
        record = ragward.catalog.find_document("acme", "eng", "long")
        assert record.chunk_count >= 8
        found = [p.chunk_id for p in ask(ragward, "ben") if p.source == "long"]
        assert len(set(found)) == len(found) == record.chunk_count
