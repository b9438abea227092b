"""What every catalog does with generations of vectors."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ragward.adapters.catalog_sql import SQLCatalog
from ragward.domain.corpus import DocumentState
from ragward.domain.errors import ConfigurationError, ConflictError, IntegrityError
from ragward.domain.generations import Generations, GenerationState
from tests.contract.catalog_contract import NOW
from tests.contract.catalog_examples import chunk, label, next_version, points, version
from tests.contract.conftest import MIGRATIONS
from tests.fakes.catalog_sql import FakeCatalog

FIRST = Generations.first("aa" * 32, 64)
MODEL = "bb" * 32


@pytest.fixture(params=["fake", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def catalog(request, tmp_path):
    """Each implementation, new."""
    if request.param == "fake":
        yield FakeCatalog(now=lambda: NOW)
        return
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/catalog.db"
        SQLCatalog.migrate(url, migrations_dir=MIGRATIONS)
    else:
        url = request.getfixturevalue("postgres_databases")()
    made = SQLCatalog.open(url, now=lambda: NOW)
    yield made
    made.close()


def with_further(staged, number=2):
    """The version with vectors of another generation as well."""
    return replace(
        staged,
        chunks=tuple(
            replace(
                each,
                points=tuple(
                    replace(p, further={number: b"further " + p.vector_blob}) for p in each.points
                ),
            )
            for each in staged.chunks
        ),
    )


def add(catalog, staged, number=2, **changes):
    """The vectors of a version, made later."""
    given = {
        "tenant": staged.tenant,
        "document_id": staged.document_id,
        "version": staged.version,
        "dek_id": staged.dek_id,
        "generation": number,
        "blobs": {name: f"late {name}".encode() for name in points(staged)},
    } | changes
    return catalog.add_vectors(*given.values())


def started(catalog):
    return catalog.start_generation(FIRST, MODEL, 80)


def refused(act, *args, **given):
    with pytest.raises(ConfigurationError) as error:
        act(*args, **given)
    assert error.value.code == "config.generation"


def stored(catalog, staged, number):
    return {
        item.point_id: item.vector_blob
        for item in catalog.vectors_named(points(staged), generation=number)
    }


def test_there_is_one_as_long_as_nobody_begins_another(catalog):
    assert catalog.generations() is None
    for act in (catalog.begin_drop, catalog.finish_drop):
        refused(act, 1)
    refused(catalog.switch_generation, 2, {})
    new = started(catalog)
    assert (new.number, new.state) == (2, GenerationState.BUILDING)
    assert [each.number for each in catalog.generations().live] == [1, 2]
    refused(catalog.start_generation, FIRST, "cc" * 32, 80)


def test_a_version_without_vectors_of_a_live_generation_is_not_stored(catalog):
    before = version("before.md")
    catalog.commit_version(before)
    started(catalog)
    poor = version("poor.md", chunks=2)
    for staged in (poor, next_version(before)):
        with pytest.raises(ConflictError):
            catalog.commit_version(staged)
    assert catalog.find_document("acme", "handbook", "poor.md") is None
    assert catalog.get_document("acme", before.document_id).version == 1
    catalog.commit_version(with_further(poor))
    assert stored(catalog, poor, 2) == {
        p.point_id: b"further " + p.vector_blob for c in poor.chunks for p in c.points
    }


def test_late_vectors_are_counted_stored_and_owed(catalog):
    staged, other = version(chunks=(chunk(0), chunk(1, {"PERSON"}))), version(label=label("other"))
    for each in (staged, other):
        catalog.commit_version(each)
    catalog.finish_work(catalog.next_work(limit=10))
    started(catalog)
    assert catalog.count_lacking(1) == (0, 4)
    assert catalog.count_lacking(2) == (4, 4)
    lacking = catalog.documents_lacking(2, limit=9)
    assert {(e.tenant, e.document_id) for e in lacking} == {
        ("acme", staged.document_id),
        ("other", other.document_id),
    }
    assert [e.document_id for e in lacking] == sorted(e.document_id for e in lacking)
    assert catalog.documents_lacking(2, after=lacking[0].document_id, limit=9) == lacking[1:]
    mark = catalog.vector_mark("acme")
    assert add(catalog, staged)
    assert catalog.vector_mark("acme") > mark
    assert catalog.count_lacking(2) == (1, 4)
    work = {item.point_id: item for item in catalog.next_work(limit=10)}
    assert set(work) == set(points(staged))
    for item in work.values():
        own = {each.generation: each for each in item.vectors()}
        assert own[2].vector_blob == f"late {item.point_id}".encode()
        assert own[1].vector_context() != own[2].vector_context()
    blobs = catalog.vector_blobs("acme", staged.document_id, generation=2)
    assert blobs == stored(catalog, staged, 2)
    labels = list(catalog.labels("acme"))
    found = catalog.vectors_of("acme", [staged.document_id], labels, generation=2)
    assert {item.generation for item in found} == {2}
    assert add(catalog, staged, blobs={points(staged)[0]: b"again", "none": b"x"})
    assert stored(catalog, staged, 2)[points(staged)[0]] == f"late {points(staged)[0]}".encode()


def test_late_vectors_of_what_is_not_there_any_more_are_not_stored(catalog):
    staged, gone = version(), version("gone.md")
    for each in (staged, gone):
        catalog.commit_version(each)
    assert not add(catalog, staged)  # there is no such generation
    started(catalog)
    assert not add(catalog, staged, version=2)
    assert not add(catalog, staged, dek_id="another")
    assert not add(catalog, staged, tenant="other")
    assert not add(catalog, staged, number=3)
    catalog.set_state("acme", gone.document_id, DocumentState.DELETED)
    assert not add(catalog, gone)
    assert catalog.count_lacking(2) == (1, 1)
    assert add(catalog, staged)
    catalog.set_state("acme", staged.document_id, DocumentState.DELETED)
    assert stored(catalog, staged, 2) == {}
    assert catalog.count_lacking(2) == (0, 0)


def test_quarantined_versions_have_vectors_too_which_are_owed_when_they_are_released(catalog):
    held = version(state=DocumentState.QUARANTINED)
    catalog.commit_version(held)
    started(catalog)
    assert catalog.count_lacking(2) == (1, 1)
    assert add(catalog, held)
    assert catalog.next_work(limit=9) == []
    catalog.set_state("acme", held.document_id, DocumentState.ACTIVE)
    [item] = catalog.next_work(limit=9)
    assert {each.generation for each in item.vectors()} == {1, 2}


def test_a_switch_needs_every_vector_and_sets_all_down_at_once(catalog):
    staged = version()
    catalog.commit_version(staged)
    started(catalog)
    refused(catalog.switch_generation, 2, {"canary": "x"})
    assert (catalog.meta("canary"), catalog.generations().serving.number) == (None, 1)
    add(catalog, staged)
    refused(catalog.switch_generation, 1, {})
    refused(catalog.switch_generation, 7, {})
    done = catalog.switch_generation(2, {"canary": "x"})
    assert done == catalog.generations()
    assert (done.serving.number, catalog.meta("canary")) == (2, "x")
    assert done.numbered(1).state is GenerationState.STANDBY
    back = catalog.switch_generation(1, {"canary": "y"})
    assert (back.serving.number, catalog.meta("canary")) == (1, "y")


@pytest.mark.parametrize("number", [1, 2])
def test_a_dropped_generation_leaves_nothing_and_its_number_is_not_used_again(catalog, number):
    staged = version(chunks=3)
    catalog.commit_version(staged)
    started(catalog)
    add(catalog, staged)
    if number == 1:
        catalog.switch_generation(2, {})
    refused(catalog.begin_drop, catalog.generations().serving.number)
    refused(lambda: catalog.remove_vectors(number, limit=9))
    refused(catalog.finish_drop, number)
    for _ in range(2):
        catalog.begin_drop(number)
    assert [each.number for each in catalog.generations().live] == [3 - number]
    refused(catalog.switch_generation, number, {})
    assert not add(catalog, staged, number=number)
    assert catalog.remove_vectors(number, limit=2) == 2
    refused(catalog.finish_drop, number)
    assert catalog.remove_vectors(number, limit=2) == 1
    assert catalog.remove_vectors(number, limit=2) == 0
    left = catalog.finish_drop(number)
    assert [each.number for each in left.all] == [3 - number]
    assert stored(catalog, staged, number) == {}
    assert len(stored(catalog, staged, 3 - number)) == 3
    again = catalog.start_generation(FIRST, "dd" * 32, 5)
    assert again.number == 3


def test_a_damaged_record_is_noticed(catalog):
    for text in ("", "{}", '{"all": [], "last": 1}', "[]"):
        catalog.set_meta("generations", text)
        with pytest.raises(IntegrityError) as error:
            catalog.generations()
        assert error.value.code == "integrity.model"
