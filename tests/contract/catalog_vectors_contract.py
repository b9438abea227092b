"""What every catalog tells whoever holds some of its vectors opened: which there are, and which moved."""

from __future__ import annotations

from ragward.domain.corpus import DocumentState, Pending
from ragward.domain.labels import Classification
from tests.contract.catalog_examples import (
    chunk,
    label,
    next_version,
    points,
    relabelled,
    rewrapped,
    version,
)


def vectors(catalog, staged, *labels):
    found = catalog.vectors_of("acme", [staged.document_id], labels or all_labels(catalog))
    return {item.point_id: item for item in found}


def all_labels(catalog):
    return tuple(catalog.labels("acme"))


def moved(catalog, since):
    mark, documents = catalog.documents_moved("acme", since=since)
    assert mark == catalog.vector_mark("acme")
    return mark, set(documents)


class VectorContract:
    def test_vectors_come_with_their_scope_and_what_opens_them(self, catalog):
        staged = version(chunks=(chunk(0), chunk(1, {"PERSON"})))
        catalog.commit_version(staged)
        found = vectors(catalog, staged)
        assert set(found) == set(points(staged))
        work = {item.point_id: item for item in catalog.next_work(limit=10)}
        for name, item in found.items():
            owed = work[name]
            assert item.scope_id == owed.scope_id
            assert catalog.tenant_of_scope(item.scope_id) == "acme"
            assert item.vector_blob == owed.vector_blob
            assert item.vector_context() == owed.vector_context()
            assert item.wrapping_context() == owed.wrapping_context()
            assert owed.classification is staged.label.classification
        assert {i.point_id for i in catalog.vectors_named([*points(staged), "none"])} == set(found)
        assert catalog.vectors_named([]) == []
        assert catalog.tenant_of_scope(10**6) is None

    def test_only_what_is_under_the_labels_asked_for(self, catalog):
        one, other = (
            version(),
            version("b.md", label=label(classification=Classification.RESTRICTED)),
        )
        for staged in (one, other):
            catalog.commit_version(staged)
        mine = [n for n, of in catalog.labels("acme").items() if of == one.label]
        assert catalog.documents_answering("acme", mine) == [one.document_id]
        assert set(vectors(catalog, one, *mine)) == set(points(one))
        assert vectors(catalog, other, *mine) == {}
        assert catalog.documents_answering("acme", []) == []
        assert catalog.vectors_of("other", [one.document_id], mine) == []
        assert catalog.documents_answering("other", mine) == []

    def test_every_write_that_moves_points_moves_the_mark(self, catalog):
        assert catalog.vector_mark("acme") == 0
        first, second = version(), version("b.md")
        catalog.commit_version(first)
        mark, documents = moved(catalog, 0)
        assert documents == {first.document_id}
        catalog.commit_version(second)
        mark, documents = moved(catalog, mark)
        assert documents == {second.document_id}
        relabelled(catalog, first, label(classification=Classification.PUBLIC))
        mark, documents = moved(catalog, mark)
        assert documents == {first.document_id}
        newer = next_version(second)
        catalog.commit_version(newer)
        mark, documents = moved(catalog, mark)
        assert documents == {second.document_id}
        assert set(vectors(catalog, second)) == set(points(newer))
        for state in (DocumentState.QUARANTINED, DocumentState.ACTIVE, DocumentState.DELETED):
            catalog.set_state("acme", second.document_id, state)
            mark, documents = moved(catalog, mark)
            assert documents == {second.document_id}
            assert bool(vectors(catalog, second)) is (state is DocumentState.ACTIVE)
        assert moved(catalog, mark) == (mark, set())
        assert catalog.vector_mark("other") == 0
        catalog.finish_work(catalog.next_work(limit=100))
        assert moved(catalog, mark) == (mark, set())  # of the index's own copy it knows nothing
        catalog.requeue_all()
        assert moved(catalog, mark)[1] == {first.document_id}

    def test_what_waits_for_its_key_is_not_there_until_it_has_it(self, catalog):
        staged = version()
        catalog.commit_version(staged)
        to = label(classification=Classification.RESTRICTED)
        relabelled(catalog, staged, to, pending=Pending.REWRAP)
        assert vectors(catalog, staged) == {}
        assert catalog.vectors_named(points(staged)) == []
        assert catalog.documents_answering("acme", all_labels(catalog)) == []
        mark = catalog.vector_mark("acme")
        [item] = catalog.pending_versions(limit=10)
        assert catalog.finish_rewrap(item, rewrapped(staged), Pending.REENCRYPT)
        assert moved(catalog, mark)[1] == {staged.document_id}
        assert set(vectors(catalog, staged)) == set(points(staged))

    def test_points_of_an_earlier_version_are_owed_with_what_the_document_is_now(self, catalog):
        staged = version()
        catalog.commit_version(staged)
        higher = next_version(staged, label=label(classification=Classification.RESTRICTED))
        catalog.commit_version(higher)
        owed = {i.point_id: (i.scope_id, i.classification) for i in catalog.next_work(limit=100)}
        for name in points(staged):
            assert owed[name] == (None, Classification.RESTRICTED)
        for name in points(higher):
            assert owed[name][1] is Classification.RESTRICTED
