"""Two worlds that differ only in what an asker may not see give that asker the same answers, to the letter and in order.

And the entitled asker tells them apart, so the test can fail.
"""

from __future__ import annotations

import dataclasses
import random
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragward.domain.labels import Classification
from ragward.domain.passages import RetrievalRequest, SearchMode
from tests import company
from tests.conftest import PROVE
from tests.installation import asked_by, initialised, opened

#: May be asked for by name: the person's number, in the one world and in the other.
ONE, OTHER = "person", "nobody"


def ingested(directory, change):
    with opened(initialised(directory)) as ragward:
        chance = random.Random(6)
        with (
            pytest.MonkeyPatch.context() as patched
        ):  # equal scores go by id: the same in all worlds
            patched.setattr(
                uuid, "uuid4", lambda: uuid.UUID(int=chance.getrandbits(128), version=4)
            )
            for document in company.documents(45, seed=5):
                ragward.ingestion.ingest(company.subject("steward"), change(document))
        yield ragward


def with_other_addresses(document):
    data = document.data.replace(f"{ONE}".encode(), f"{OTHER}".encode())
    return dataclasses.replace(document, data=data)


def with_other_restricted_texts(document):
    """Documents that nobody but their readers may know of say something else entirely."""
    if document.label.classification is not Classification.RESTRICTED:
        return document
    words = document.data.decode().split(" ")
    changed = " ".join(reversed(words)).replace("budget", "merger")
    return dataclasses.replace(document, data=changed.encode())


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    yield from ingested(tmp_path_factory.mktemp("one"), lambda document: document)


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    yield from ingested(tmp_path_factory.mktemp("addresses"), with_other_addresses)


@pytest.fixture(scope="module")
def restricted(tmp_path_factory):
    yield from ingested(tmp_path_factory.mktemp("restricted"), with_other_restricted_texts)


def answer(ragward, asker, query, limit, *, minimize=None, mode=SearchMode.VECTOR):
    request = RetrievalRequest(
        query=query, limit=limit, max_passages_per_document=5, minimize=minimize, search=mode
    )
    found = ragward.retrieve(asked_by(asker), request)
    passages = [(p.source, p.text, p.score, p.share, dict(p.removed)) for p in found.passages]
    return passages, found.near_duplicates_removed, found.classification


words = st.lists(
    st.one_of(
        st.sampled_from(company.WORDS),
        st.integers(0, 44).map(lambda n: f"{ONE}{n}@example.com"),
        st.integers(0, 44).map(lambda n: f"{OTHER}{n}"),
    ),
    min_size=1,
    max_size=5,
).map(" ".join)
COUNT = 400 if PROVE else 16


@settings(max_examples=COUNT, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asker=st.sampled_from(["ben", "cai", "ben+bot", "ann+bot"]),
    query=words,
    k=st.integers(1, 10),
    mode=st.sampled_from(SearchMode),
)
def test_hidden_personal_data_changes_nothing_of_an_answer(one, addresses, asker, query, k, mode):
    assert answer(one, asker, query, k, mode=mode) == answer(addresses, asker, query, k, mode=mode)


@settings(max_examples=COUNT, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asker=st.sampled_from(["ben", "cai", "ben+bot"]),
    query=words,
    k=st.integers(1, 10),
    mode=st.sampled_from(SearchMode),
)
def test_documents_that_may_not_be_read_change_nothing_of_an_answer(
    one, restricted, asker, query, k, mode
):
    assert answer(one, asker, query, k, mode=mode) == answer(restricted, asker, query, k, mode=mode)


def test_the_entitled_tell_the_worlds_apart(one, addresses, restricted):
    """ann may see personal data in hr, and RESTRICTED documents of hr."""
    numbers = list(range(45))
    assert any(
        answer(one, "ann", f"{ONE}{n}@example.com", 5)
        != answer(addresses, "ann", f"{ONE}{n}@example.com", 5)
        for n in numbers
    )
    assert any(
        answer(one, "ann", word, 10) != answer(restricted, "ann", word, 10)
        for word in company.WORDS
    )
    assert any(
        f"{ONE}" in text
        for text in [
            t for n in numbers for _, t, *_ in answer(one, "ann", f"{ONE}{n}@example.com", 5)[0]
        ]
    )
