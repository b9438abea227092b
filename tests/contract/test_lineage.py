"""What every catalog keeps of where chunks came from."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest

from ragward.adapters.catalog_sql import SQLCatalog
from ragward.domain.corpus import DocumentState, NewScreening
from ragward.domain.errors import IntegrityError, NotFoundError
from ragward.domain.findings import Screening, Verdict
from ragward.domain.lineage import Origin, Tool, Toolchain
from tests.contract.catalog_contract import NOW
from tests.contract.catalog_examples import chunk, label, new_id, next_version, version
from tests.contract.conftest import MIGRATIONS
from tests.fakes.catalog_sql import FakeCatalog

ORIGIN = Origin(
    uri="s3://bucket/hr/a.md",
    bytes_sha256="ab" * 32,
    loader="ragward-1",
    chunker="c-1",
    rules="r-1",
    classifier="k-1",
)
RULES = "0123456789ab"  # of `catalog_examples.chunk`


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


def read(source="a.md", finder="f-1", **fields):
    """A version that was read from somewhere."""
    fields.setdefault("origin", ORIGIN)
    return version(source, finder=finder, **fields)


def names(found):
    return [record.source for record in found]


def test_a_chunk_says_where_it_came_from(catalog):
    staged = read(chunks=2, job_id="job-1")
    catalog.commit_version(staged)
    found = catalog.chunk_lineage("acme", staged.chunks[1].chunk_id)
    assert (found.ordinal, found.document_id, found.version) == (1, staged.document_id, 1)
    assert (found.uri, found.bytes_sha256, found.job_id) == (
        ORIGIN.uri,
        ORIGIN.bytes_sha256,
        "job-1",
    )
    assert found.toolchain == Toolchain(
        loader="ragward-1",
        chunker="c-1",
        finder="f-1",
        screener=RULES,
        rules="r-1",
        classifier="k-1",
        model="00" * 32,
    )
    assert found.toolchain.digest() in staged.toolchains()


def test_other_tenants_absent_and_malformed_ids_are_not_found(catalog):
    staged = read()
    catalog.commit_version(staged)
    name = staged.chunks[0].chunk_id
    for tenant, chunk_id in (("other", name), ("acme", new_id()), ("acme", "\0"), ("acme", "")):
        with pytest.raises(NotFoundError):
            catalog.chunk_lineage(tenant, chunk_id)
        with pytest.raises(NotFoundError):
            catalog.document_lineage(tenant, chunk_id)


def test_of_a_superseded_or_deleted_version_nothing_is_told(catalog):
    first = read()
    second = next_version(first, origin=replace(ORIGIN, uri="file:///b"), finder="f-2")
    catalog.commit_version(first)
    catalog.commit_version(second)
    with pytest.raises(NotFoundError):
        catalog.chunk_lineage("acme", first.chunks[0].chunk_id)
    assert catalog.chunk_lineage("acme", second.chunks[0].chunk_id).uri == "file:///b"
    catalog.set_state("acme", second.document_id, DocumentState.DELETED)
    with pytest.raises(NotFoundError):
        catalog.chunk_lineage("acme", second.chunks[0].chunk_id)
    with pytest.raises(NotFoundError):
        catalog.document_lineage("acme", second.document_id)
    assert catalog.versions_in_use("acme") == []
    assert catalog.documents_older("acme", Tool.FINDER, "f-9", limit=9) == []


def test_a_version_of_the_same_text_keeps_origin_and_job(catalog):
    first = read(job_id="job-1")
    again = next_version(first, finder="f-2", model_digest="11" * 32)
    catalog.commit_version(first)
    catalog.commit_version(again)
    found = catalog.chunk_lineage("acme", again.chunks[0].chunk_id)
    assert (found.uri, found.bytes_sha256, found.job_id) == (
        ORIGIN.uri,
        ORIGIN.bytes_sha256,
        "job-1",
    )
    made = found.toolchain
    assert (made.loader, made.chunker, made.rules, made.classifier) == (
        "ragward-1",
        "c-1",
        "r-1",
        "k-1",
    )
    assert (made.finder, made.model) == ("f-2", "11" * 32)
    assert again.toolchains() == []
    assert list(catalog.documents_of_job("acme", "job-1", limit=9)) == [first.document_id]


def test_a_version_that_was_read_anew_has_its_own_origin_and_job(catalog):
    first = read(job_id="job-1")
    anew = next_version(first, origin=Origin(uri="x:y"), job_id=None)
    catalog.commit_version(first)
    catalog.commit_version(anew)
    found = catalog.chunk_lineage("acme", anew.chunks[0].chunk_id)
    assert (found.uri, found.bytes_sha256, found.job_id) == ("x:y", "", None)
    assert list(catalog.documents_of_job("acme", "job-1", limit=9)) == []


def test_equal_toolchains_are_one_and_a_document_says_how_many_chunks_each_made(catalog):
    other = replace(chunk(2), rule_set="ffffffffffff")
    staged = read(chunks=(chunk(0), chunk(1), other))
    catalog.commit_version(staged)
    catalog.commit_version(read("b.md"))
    found = catalog.document_lineage("acme", staged.document_id)
    assert {(made.screener, count) for made, count in found.toolchains} == {
        (RULES, 2),
        ("ffffffffffff", 1),
    }
    by_tool = {(each.tool, each.version): each for each in catalog.versions_in_use("acme")}
    assert (by_tool[Tool.SCREENER, RULES].documents, by_tool[Tool.SCREENER, RULES].chunks) == (2, 3)
    finder = by_tool[Tool.FINDER, "f-1"]
    assert (finder.documents, finder.chunks) == (2, 4)
    assert catalog.versions_in_use("other") == []


def test_documents_of_a_job_come_page_by_page_and_of_one_tenant(catalog):
    mine = [read(f"{n}.md", job_id="job-1") for n in range(5)]
    for staged in (*mine, read("x.md", job_id="job-2"), read("y.md", label=label("other"))):
        catalog.commit_version(staged)
    ids = sorted(staged.document_id for staged in mine)
    first = list(catalog.documents_of_job("acme", "job-1", limit=3))
    assert first == ids[:3]
    assert list(catalog.documents_of_job("acme", "job-1", after=first[-1], limit=3)) == ids[3:]
    assert list(catalog.documents_of_job("other", "job-1", limit=3)) == []
    assert list(catalog.documents_of_job("acme", "\0", limit=3)) == []


def test_older_is_what_was_used_first_and_what_was_not_kept(catalog):
    for source, finder in (("a", "f-1"), ("b", "f-2"), ("c", "f-3"), ("d", "f-1"), ("e", "")):
        catalog.commit_version(read(source, finder=finder))
    catalog.commit_version(read("z", finder="f-0", label=label("other")))

    def older(finder, **given):
        return names(
            catalog.documents_older("acme", Tool.FINDER, finder, limit=9)
            if not given
            else catalog.documents_older("acme", Tool.FINDER, finder, **given)
        )

    assert older("f-1") == ["e"]
    assert older("f-2") == ["a", "d", "e"]
    assert older("f-3") == ["a", "b", "d", "e"]
    assert older("never") == ["a", "b", "c", "d", "e"]
    page = catalog.documents_older("acme", Tool.FINDER, "f-3", limit=2)
    assert names(page) == ["a", "b"]
    after = (page[-1].corpus, page[-1].source)
    assert older("f-3", limit=2, after=after) == ["d", "e"]
    assert [e.version for e in catalog.versions_in_use("acme") if e.tool is Tool.FINDER][1:] == [
        "f-2",
        "f-3",
        "",
    ]
    assert catalog.was_used("acme", Tool.FINDER, "f-3")
    assert not catalog.was_used("acme", Tool.FINDER, "f-0")
    assert not catalog.was_used("acme", Tool.CHUNKER, "f-3")


def test_screening_again_moves_a_chunk_to_another_toolchain(catalog):
    staged = read(chunks=2)
    catalog.commit_version(staged)
    record = catalog.get_document("acme", staged.document_id)
    [first, second] = [each.chunk_id for each in staged.chunks]
    now = Screening(verdict=Verdict.FLAG, rules=("x",), rule_set="new")
    found = NewScreening(
        document_id=record.document_id,
        version=1,
        expected_state=record.state,
        state=record.state,
        chunks={first: now},
    )
    assert names(catalog.documents_older("acme", Tool.SCREENER, "new", limit=9)) == ["a.md"]
    catalog.rescreen("acme", found)
    moved = catalog.chunk_lineage("acme", first)
    assert moved.toolchain == replace(
        catalog.chunk_lineage("acme", second).toolchain, screener="new"
    )
    assert names(catalog.documents_older("acme", Tool.SCREENER, "new", limit=9)) == ["a.md"]
    catalog.rescreen("acme", replace(found, chunks={second: now}))
    assert names(catalog.documents_older("acme", Tool.SCREENER, "new", limit=9)) == []


@pytest.fixture
def database(database_url, behind):
    """(catalog, a function that runs SQL behind its back)."""
    made = SQLCatalog.open(database_url, now=lambda: NOW)
    yield made, functools.partial(behind, database_url)
    made.close()


class TestDatabase:
    def test_an_edited_toolchain_is_noticed(self, database):
        catalog, run = database
        staged = read()
        catalog.commit_version(staged)
        run("UPDATE toolchains SET loader = 'something harmless'")
        with pytest.raises(IntegrityError):
            catalog.chunk_lineage("acme", staged.chunks[0].chunk_id)
        with pytest.raises(IntegrityError):
            catalog.document_lineage("acme", staged.document_id)

    def test_what_was_stored_before_it_was_kept_is_older_than_anything(self, database):
        catalog, run = database
        staged = read()
        catalog.commit_version(staged)
        run("UPDATE chunks SET toolchain_id = NULL")
        assert catalog.chunk_lineage("acme", staged.chunks[0].chunk_id).toolchain is None
        assert names(catalog.documents_older("acme", Tool.FINDER, "f-1", limit=9)) == ["a.md"]
        by_tool = {each.tool: each for each in catalog.versions_in_use("acme")}
        assert by_tool[Tool.LOADER].version == ""
        record = catalog.get_document("acme", staged.document_id)
        now = Screening(verdict=Verdict.FLAG, rules=("x",), rule_set="new")
        catalog.rescreen(
            "acme",
            NewScreening(
                document_id=record.document_id,
                version=1,
                expected_state=record.state,
                state=record.state,
                chunks={staged.chunks[0].chunk_id: now},
            ),
        )
        made = catalog.chunk_lineage("acme", staged.chunks[0].chunk_id).toolchain
        assert made == Toolchain(screener="new")

    def test_of_what_is_gone_neither_address_nor_digest_is_left(self, database):
        catalog, run = database
        first, gone = read(), read("gone.md")
        catalog.commit_version(first)
        catalog.commit_version(next_version(first, origin=replace(ORIGIN, uri="file:///b")))
        catalog.commit_version(gone)
        catalog.set_state("acme", gone.document_id, DocumentState.DELETED)
        left = run("SELECT source_uri, bytes_digest FROM versions WHERE source_uri != ''")
        assert [row[0] for row in left] == ["file:///b"]
        left = run("SELECT count(*) FROM versions WHERE bytes_digest IS NOT NULL")
        assert left == [(1,)]
