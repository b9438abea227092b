"""What every catalog does with documents: versions, labels, states, the one authoritative read, filters."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragward.domain.corpus import DocumentState, LabelMove, NewScreening, Pending
from ragward.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from ragward.domain.findings import Screening, Verdict
from ragward.domain.labels import Classification
from tests.contract.catalog_contract import NOW
from tests.contract.catalog_examples import (
    chunk,
    label,
    new_id,
    next_version,
    points,
    pseudonym,
    relabelled,
    rewrapped,
    version,
)


def anything(_label_id):
    """Every label is admitted."""
    return True


class Killed(BaseException):
    """The process ended here."""


class KillsWhoeverReadsIt:
    """Stands in a list of chunks: whoever comes to it is killed."""

    def __getattr__(self, name):
        raise Killed


class DocumentContract:
    def test_a_document_is_read_back_as_committed(self, catalog):
        staged = version("sub/ä.md", attributes={"year": 2024, "ok": True, "by": "Ann", "x": 0.5})
        catalog.commit_version(staged)
        found = catalog.get_document("acme", staged.document_id)
        assert found == catalog.find_document("acme", "handbook", "sub/ä.md")
        assert [found] == list(catalog.documents("acme"))
        for name in ("version", "source_digest", "state", "title", "media_type", "label"):
            assert getattr(found, name) == getattr(staged, name), name
        assert (found.attributes, found.evidence) == (staged.attributes, staged.evidence)
        assert {type(value) for value in found.attributes.values()} == {int, bool, str, float}
        assert (found.chunk_count, found.created_at) == (1, NOW)
        assert catalog.labels("acme")[found.label_id] == staged.label

    def test_chunks_are_found_by_the_fingerprints_they_share(self, catalog):
        open_, held = version(chunks=2), version("b.md", state=DocumentState.QUARANTINED)
        foreign = version(label=label("globex"))
        for staged in (open_, held, foreign):
            catalog.commit_version(staged)
        found = catalog.chunks_sharing("acme", {2, -(2**63), 77})
        assert [match.chunk_id for match in found] == sorted(
            each.chunk_id for each in (*open_.chunks, *held.chunks)
        )
        shared = {match.chunk_id: (match.is_active, match.shared) for match in found}
        assert shared[open_.chunks[1].chunk_id] == (True, frozenset({2, -(2**63)}))
        assert shared[held.chunks[0].chunk_id] == (False, frozenset({-(2**63)}))
        assert catalog.chunks_sharing("acme", ()) == []
        assert catalog.chunks_sharing("acme", {77}) == []
        catalog.set_state("acme", open_.document_id, DocumentState.DELETED)
        left = catalog.chunks_sharing("acme", range(10))
        assert [match.document_id for match in left] == [held.document_id]
        assert catalog.get_document("acme", held.document_id).label_id == left[0].label_id

    def test_one_read_returns_label_state_key_ciphertext_and_epoch(self, catalog):
        staged = version(chunks=(chunk(0, {"PERSON"}), chunk(1)), attributes={"year": 2024})
        epoch = catalog.commit_version(staged)
        snapshot = catalog.stored_chunks("acme", [*points(staged), new_id(), "", "\0", "\ud800"])
        assert snapshot.epoch == epoch == catalog.epoch("acme")
        assert set(snapshot.chunks) == set(points(staged))
        for each in staged.chunks:
            for point in each.points:
                found = snapshot.chunks[point.point_id]
                assert (found.chunk_id, found.ordinal) == (each.chunk_id, each.ordinal)
                assert (found.blob, found.verdict) == (each.blob, each.verdict)
                assert (found.rules, found.rule_set) == (each.rules, each.rule_set)
                assert (found.view, found.entity_types) == (point.view, each.entity_types)
                assert (found.document_id, found.version) == (staged.document_id, 1)
                assert (found.corpus, found.source, found.title) == (
                    "handbook",
                    "a.md",
                    staged.title,
                )
                assert found.state is DocumentState.ACTIVE
                assert found.label == staged.label == catalog.labels("acme")[found.label_id]
                assert (found.key.dek_id, found.key.kek_id) == (staged.dek_id, "kek-1")
                assert (found.key.kek_version, found.key.wrapped_dek) == (1, staged.wrapped_dek)
                assert found.attributes == {"year": 2024}
        in_order = catalog.document_chunks("acme", staged.document_id)
        assert [each.point_id for each in in_order] == points(staged)
        assert {each.point_id: each for each in in_order} == snapshot.chunks

    def test_more_points_than_a_statement_takes_are_read_together(self, catalog):
        staged = version(chunks=30)
        catalog.commit_version(staged)
        asked = [*points(staged), *(new_id() for _ in range(2000))]
        assert set(catalog.stored_chunks("acme", asked).chunks) == set(points(staged))

    def test_documents_are_listed_by_corpus_and_source_in_pages(self, catalog):
        for corpus, source in (("b", "x"), ("a", "z"), ("a", "Z"), ("a", "_")):
            catalog.commit_version(version(source, label=label(corpus=corpus)))
        names = [(each.corpus, each.source) for each in catalog.documents("acme")]
        assert names == [("a", "Z"), ("a", "_"), ("a", "z"), ("b", "x")]
        page = catalog.documents("acme", corpus="a", limit=2, after=("a", "Z"))
        assert [each.source for each in page] == ["_", "z"]
        page = catalog.documents("acme", limit=2, after=("a", "_"))
        assert [each.source for each in page] == ["z", "x"]
        assert list(catalog.documents("acme", after=("b", "x"))) == []
        assert len(catalog.documents("acme", after=("", ""))) == 4
        with pytest.raises(InvalidRequestError):
            catalog.documents("acme", limit=-1)

    def test_documents_under_labels_are_listed_by_id(self, catalog):
        wide, narrow, theirs = label(), label(granted=("few",)), label("other")
        ids = {}
        for name, of in (("a", wide), ("b", wide), ("c", narrow), ("d", wide), ("e", theirs)):
            staged = version(f"{name}.md", label=of)
            catalog.commit_version(staged)
            ids[name] = staged.document_id
        catalog.set_state("acme", ids["d"], DocumentState.QUARANTINED)
        by_label = {each: i for t in ("acme", "other") for i, each in catalog.labels(t).items()}

        def found(*labels_, states=(DocumentState.ACTIVE,), limit=10, **given):
            wanted = {by_label[each] for each in labels_} | set(range(10_000, 10_700))
            page = catalog.documents_under("acme", wanted, states=states, limit=limit, **given)
            return [each.document_id for each in page]

        everything = sorted(ids[name] for name in "abc")
        assert found(wide, narrow, theirs) == everything
        assert found(wide) == sorted([ids["a"], ids["b"]])
        assert found(theirs) == []
        assert catalog.documents_under("acme", (), states=DocumentState, limit=10) == []
        assert found(wide, states=()) == []
        waiting = (DocumentState.ACTIVE, DocumentState.QUARANTINED)
        assert found(wide, narrow, states=waiting) == sorted([*everything, ids["d"]])
        assert found(wide, narrow, after=everything[0], limit=1) == [everything[1]]
        assert found(wide, narrow, after=everything[2]) == []
        assert found(wide, limit=0) == []
        catalog.set_state("acme", ids["a"], DocumentState.DELETED)
        catalog.commit_version(next_version(catalog.get_document("acme", ids["b"]), label=narrow))
        assert found(wide, states=waiting) == [ids["d"]]
        assert found(narrow) == sorted([ids["b"], ids["c"]])
        for bad in ({"limit": -1}, {"after": "\0"}, {"after": "\ud800"}):
            with pytest.raises(InvalidRequestError):
                found(wide, **bad)

    def test_a_second_judgement_moves_the_epoch_with_the_state_and_never_a_changed_document(
        self, catalog
    ):
        staged, foreign = version(chunks=2), version(label=label("other"))
        for each in (staged, foreign):
            catalog.commit_version(each)
        first, second = (each.chunk_id for each in staged.chunks)
        now = Screening(verdict=Verdict.QUARANTINE, rules=("magic", "more"), rule_set="newer")
        found = NewScreening(
            document_id=staged.document_id,
            version=1,
            expected_state=DocumentState.ACTIVE,
            state=DocumentState.ACTIVE,
            chunks={first: now, foreign.chunks[0].chunk_id: now},
        )
        epoch = catalog.epoch("acme")
        assert catalog.rescreen("acme", found) == epoch == catalog.epoch("acme")
        stored = {c.chunk_id: c for c in catalog.document_chunks("acme", staged.document_id)}
        assert (stored[first].verdict, stored[first].rules) == ("quarantine", now.rules)
        assert (stored[first].rule_set, stored[second].rule_set) == ("newer", "0123456789ab")
        [theirs] = catalog.document_chunks("other", foreign.document_id)
        assert theirs.verdict == "allow"
        held = replace(found, chunks={}, state=DocumentState.QUARANTINED, note="held back")
        assert catalog.rescreen("acme", held) == epoch + 1 == catalog.epoch("acme")
        record = catalog.get_document("acme", staged.document_id)
        assert record.state is DocumentState.QUARANTINED
        assert record.evidence[-1] == "held back"
        for stale in (held, replace(found, version=2)):
            with pytest.raises(ConflictError):
                catalog.rescreen("acme", stale)
        with pytest.raises(NotFoundError):
            catalog.rescreen("acme", replace(found, document_id=foreign.document_id))
        assert catalog.epoch("acme") == epoch + 1

    def test_the_first_pseudonym_of_a_tag_stays_until_it_is_erased(self, catalog):
        first = pseudonym("acme", b"\0\xff", "one")
        second = pseudonym("acme", b"2", "two", "research")
        assert catalog.add_pseudonyms("acme", []) == {}
        assert catalog.add_pseudonyms("acme", [first]) == {b"\0\xff": "one"}
        late = replace(first, token="late")
        assert catalog.add_pseudonyms("acme", [late, second]) == {b"\0\xff": "one", b"2": "two"}
        catalog.add_pseudonyms("other", [pseudonym("other", b"2", "theirs")])
        assert catalog.pseudonym_tokens("acme", [b"2", b"3"]) == {b"2": "two"}
        assert catalog.pseudonym_tokens("acme", []) == {}
        assert catalog.find_pseudonym("acme", "one") == first
        assert catalog.pseudonym_kinds("acme") == {("", "PERSON"), ("research", "PERSON")}
        for unknown in ("late", "theirs", "", "\0", "\ud800"):
            assert catalog.find_pseudonym("acme", unknown) is None
        assert catalog.erase_pseudonyms("acme", ["theirs", "late", "\0"]) == 0
        assert catalog.erase_pseudonyms("acme", ["one", "two"]) == 2
        assert catalog.erase_pseudonyms("acme", ["one"]) == 0
        assert catalog.find_pseudonym("acme", "one") is None
        assert catalog.add_pseudonyms("acme", [late]) == {b"\0\xff": "late"}
        assert catalog.find_pseudonym("other", "theirs") is not None

    def test_what_the_source_claimed_is_kept_beside_what_was_decided(self, catalog):
        claim = label(granted=("staff", "few"), classification=Classification.PUBLIC)
        staged = version(claimed=claim)
        catalog.commit_version(staged)
        record = catalog.get_document("acme", staged.document_id)
        assert (record.claimed, record.label) == (claim, staged.label)
        relabelled(catalog, staged, label())
        assert catalog.get_document("acme", staged.document_id).claimed == claim
        catalog.commit_version(next_version(staged))
        assert catalog.get_document("acme", staged.document_id).claimed is None

    def test_a_version_does_not_undo_a_relabelling_that_it_did_not_see(self, catalog):
        staged = version()
        catalog.commit_version(staged)
        seen = catalog.get_document("acme", staged.document_id).label_id
        narrow = label(granted=("few",))
        relabelled(catalog, staged, narrow)
        with pytest.raises(ConflictError):
            catalog.commit_version(next_version(staged, replaces_label_id=seen))
        assert catalog.get_document("acme", staged.document_id).label == narrow
        now = catalog.get_document("acme", staged.document_id).label_id
        catalog.commit_version(next_version(staged, replaces_label_id=now))
        assert catalog.get_document("acme", staged.document_id).version == 2

    def test_absent_malformed_deleted_and_foreign_ids_look_the_same(self, catalog):
        mine, deleted = version("a.md"), version("b.md")
        foreign = version("a.md", label=label("other"))
        for each in (mine, deleted, foreign):
            catalog.commit_version(each)
        catalog.set_state("acme", deleted.document_id, DocumentState.DELETED)
        bad = [foreign.document_id, deleted.document_id, new_id(), "", "\0", "\ud800", "' OR 1=1"]
        said = set()
        for document_id in bad:
            calls = (
                lambda d: catalog.get_document("acme", d),
                lambda d: catalog.document_chunks("acme", d),
                lambda d: relabelled(catalog, mine, label(), document_id=d),
                lambda d: catalog.set_state("acme", d, DocumentState.DELETED),
            )
            for call in calls:
                with pytest.raises(NotFoundError) as refused:
                    call(document_id)
                said.add(str(refused.value))
        assert len(said) == 1
        assert catalog.get_document("other", foreign.document_id).label == foreign.label

    def test_two_tenants_with_equal_names_never_cross(self, catalog):
        ours = version("a.md", attributes={"k": 1})
        theirs = version("a.md", label=label("other"), attributes={"k": 1})
        for each in (ours, theirs):
            catalog.commit_version(each)
        both = [*points(ours), *points(theirs)]
        for tenant, mine in (("acme", ours), ("other", theirs)):
            assert set(catalog.stored_chunks(tenant, both).chunks) == set(points(mine))
            found = catalog.find_document(tenant, "handbook", "a.md")
            assert found.document_id == mine.document_id
            assert list(catalog.labels(tenant).values()) == [mine.label]
            assert set(catalog.pending_points(tenant, limit=9)) == set(points(mine))
            wanted = {"type": "eq", "key": "k", "value": 1}
            found = catalog.points_with_attributes(tenant, wanted, admits=anything, limit=9)
            assert list(found) == points(mine)
        label_ids = [set(catalog.labels(tenant)) for tenant in ("acme", "other")]
        assert not label_ids[0] & label_ids[1]
        scope_ids = [
            {scope.scope_id for scope in catalog.scopes(tenant)} for tenant in ("acme", "other")
        ]
        assert not scope_ids[0] & scope_ids[1]


class VersionContract:
    def test_a_new_version_supersedes_the_one_before(self, catalog):
        first = version(chunks=2)
        second = next_version(first, chunks=1)
        catalog.commit_version(first)
        catalog.finish_work(catalog.next_work(limit=10))
        catalog.commit_version(second)
        assert catalog.get_document("acme", first.document_id).version == 2
        readable = catalog.stored_chunks("acme", [*points(first), *points(second)]).chunks
        states = {point: found.state for point, found in readable.items()}
        assert states.pop(points(second)[0]) is DocumentState.ACTIVE
        assert set(states.values()) <= {DocumentState.SUPERSEDED}
        work = {item.point_id: item.scope_id for item in catalog.next_work(limit=10)}
        assert work[points(second)[0]] is not None
        assert [work[point] for point in points(first)] == [None, None]

    def test_the_epoch_moves_when_something_may_have_become_unreadable_and_only_then(self, catalog):
        first = version()
        assert catalog.commit_version(first) == 0
        second = next_version(first)
        assert catalog.commit_version(second) == 0
        third = next_version(second, label=label(granted=("boss",)))
        assert catalog.commit_version(third) == 1
        fourth = next_version(third, state=DocumentState.QUARANTINED)
        assert catalog.commit_version(fourth) == catalog.epoch("acme") == 2

    @pytest.mark.parametrize("number", [1, 3])
    def test_a_version_that_does_not_follow_is_refused(self, catalog, number):
        first = version()
        catalog.commit_version(first)
        with pytest.raises(ConflictError):
            catalog.commit_version(replace(next_version(first), version=number))
        with pytest.raises(ConflictError):
            catalog.commit_version(version("new.md", number=2))
        assert catalog.get_document("acme", first.document_id).version == 1
        assert catalog.find_document("acme", "handbook", "new.md") is None

    def test_a_source_has_one_document_and_a_document_one_source(self, catalog):
        first = version()
        catalog.commit_version(first)
        for wrong in (
            version(),
            version("b.md", 2, document_id=first.document_id),
            version("a.md", 2, document_id=first.document_id, label=label("other")),
        ):
            with pytest.raises(ConflictError):
                catalog.commit_version(wrong)
        assert len(catalog.documents("acme")) == 1
        assert list(catalog.documents("other")) == []

    def test_a_version_with_a_taken_point_id_leaves_nothing_behind(self, catalog):
        first = version()
        catalog.commit_version(first)
        with pytest.raises(ConflictError):
            catalog.commit_version(version("b.md", chunks=(chunk(0), first.chunks[0])))
        assert catalog.find_document("acme", "handbook", "b.md") is None
        assert catalog.stored_chunks("acme", points(first)).chunks.keys() == set(points(first))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"tenant": "other"},
            {"corpus": "elsewhere"},
            {"state": DocumentState.STAGED},
            {"attributes": {"x": float("nan")}},
            {"attributes": {"x": ["list"]}},
            {"title": "nul \0"},
            {"chunks": (chunk(0, {"A,B"}),)},
        ],
    )
    def test_a_version_that_could_not_be_read_back_is_refused(self, catalog, wrong):
        with pytest.raises(InvalidRequestError):
            catalog.commit_version(version(**wrong))
        assert list(catalog.documents("acme")) == []

    def test_a_quarantined_version_is_current_and_not_queued(self, catalog):
        first = version()
        catalog.commit_version(first)
        catalog.finish_work(catalog.next_work(limit=10))
        doubtful = next_version(first, state=DocumentState.QUARANTINED)
        catalog.commit_version(doubtful)
        [item] = catalog.next_work(limit=10)
        assert (item.point_id, item.scope_id) == (points(first)[0], None)
        found = catalog.stored_chunks("acme", points(doubtful)).chunks[points(doubtful)[0]]
        assert found.state is DocumentState.QUARANTINED
        catalog.set_state("acme", doubtful.document_id, DocumentState.ACTIVE)
        assert set(catalog.pending_points("acme", limit=10)) == set(points(doubtful))

    def test_deleting_takes_content_and_key_away_and_the_source_can_come_again(self, catalog):
        first = version(attributes={"k": 1})
        catalog.commit_version(first)
        epoch = catalog.epoch("acme")
        assert (
            catalog.set_state("acme", first.document_id, DocumentState.DELETED)
            == catalog.epoch("acme")
            == epoch + 1
        )
        for found in catalog.stored_chunks("acme", points(first)).chunks.values():
            assert found.state is DocumentState.DELETED
            assert found.key.wrapped_dek == b""
        assert list(catalog.documents("acme")) == []
        left = catalog.find_document("acme", "handbook", "a.md")
        assert (left.state, left.version) == (DocumentState.DELETED, 1)
        assert (left.source_digest, left.title, left.attributes) == (b"", "", {})
        again = next_version(first)
        catalog.commit_version(again)
        assert catalog.get_document("acme", first.document_id).version == 2
        work = {item.point_id: item.scope_id for item in catalog.next_work(limit=10)}
        assert work[points(first)[0]] is None
        assert work[points(again)[0]] is not None

    def test_a_state_that_is_set_already_changes_nothing(self, catalog):
        first = version()
        catalog.commit_version(first)
        catalog.finish_work(catalog.next_work(limit=10))
        epoch = catalog.epoch("acme")
        assert catalog.set_state("acme", first.document_id, DocumentState.ACTIVE) == epoch
        assert list(catalog.next_work(limit=10)) == []
        for state in (DocumentState.STAGED, DocumentState.SUPERSEDED):
            with pytest.raises(InvalidRequestError):
                catalog.set_state("acme", first.document_id, state)

    def test_a_commit_killed_between_slices_leaves_the_old_version_readable(self, catalog):
        first = version()
        catalog.commit_version(first)
        catalog.finish_work(catalog.next_work(limit=10))
        before = catalog.stored_chunks("acme", points(first))
        many = tuple(chunk(ordinal) for ordinal in range(450))
        half = next_version(first, chunks=(*many, KillsWhoeverReadsIt()))
        with pytest.raises(Killed):
            catalog.commit_version(half)
        staged_points = [point.point_id for each in many for point in each.points]
        assert catalog.stored_chunks("acme", [*points(first), *staged_points]) == before
        assert [each.version for each in catalog.documents("acme")] == [1]
        assert list(catalog.next_work(limit=10)) == []
        catalog.recover()
        assert catalog.stored_chunks("acme", [*points(first), *staged_points]) == before
        whole = next_version(first, chunks=many)
        catalog.commit_version(whole)
        assert len(catalog.document_chunks("acme", first.document_id)) == 450
        assert catalog.get_document("acme", first.document_id).chunk_count == 450

    def test_a_new_document_killed_between_slices_can_be_committed_again_without_a_sweep(
        self, catalog
    ):
        many = tuple(chunk(ordinal) for ordinal in range(250))
        with pytest.raises(Killed):
            catalog.commit_version(version(chunks=(*many, KillsWhoeverReadsIt())))
        assert catalog.find_document("acme", "handbook", "a.md") is None
        catalog.commit_version(version(chunks=many))
        assert catalog.find_document("acme", "handbook", "a.md").chunk_count == 250

    def test_a_long_version_is_superseded_and_deleted_whole(self, catalog):
        long = version(chunks=450)
        catalog.commit_version(long)
        longer = next_version(long, chunks=451)
        catalog.commit_version(longer)
        assert catalog.stored_chunks("acme", points(long)).chunks == {}
        catalog.set_state("acme", long.document_id, DocumentState.DELETED)
        assert catalog.stored_chunks("acme", points(longer)).chunks == {}
        work = catalog.next_work(limit=2000)
        assert {item.point_id for item in work} == {*points(long), *points(longer)}
        assert {item.scope_id for item in work} == {None}


class RelabelContract:
    def test_a_relabelling_changes_label_key_scope_evidence_and_epoch_and_nothing_else(
        self, catalog
    ):
        staged = version(chunks=(chunk(0), chunk(1, {"PERSON"})))
        catalog.commit_version(staged)
        catalog.finish_work(catalog.next_work(limit=10))
        before = catalog.get_document("acme", staged.document_id)
        chunks_before = catalog.stored_chunks("acme", points(staged))
        lower = label(classification=Classification.PUBLIC)
        epoch = relabelled(catalog, staged, lower, note="said so")
        after = catalog.get_document("acme", staged.document_id)
        assert after.label == lower == catalog.labels("acme")[after.label_id]
        assert after == replace(
            before,
            label=lower,
            label_id=after.label_id,
            key=rewrapped(staged),
            evidence=(*before.evidence, "said so"),
        )
        snapshot = catalog.stored_chunks("acme", points(staged))
        assert snapshot.epoch == epoch == chunks_before.epoch + 1
        for point, found in snapshot.chunks.items():
            assert found == replace(
                chunks_before.chunks[point],
                label=lower,
                label_id=after.label_id,
                key=rewrapped(staged),
            )
        scopes = {scope.scope_id: scope for scope in catalog.scopes("acme")}
        pending = catalog.pending_points("acme", limit=10)
        assert set(pending) == set(points(staged))
        assert {scopes[scope].label_id for scope in pending.values()} == {after.label_id}

    def test_a_key_of_an_earlier_version_is_refused(self, catalog):
        first = version()
        catalog.commit_version(first)
        second = next_version(first)
        catalog.commit_version(second)
        before = catalog.get_document("acme", first.document_id)
        with pytest.raises(ConflictError):
            relabelled(catalog, first, label(), note="late")
        assert catalog.get_document("acme", first.document_id) == before

    def test_a_label_of_another_tenant_or_corpus_is_refused(self, catalog):
        staged = version()
        catalog.commit_version(staged)
        for wrong in (label("other"), label(corpus="elsewhere")):
            with pytest.raises(InvalidRequestError):
                relabelled(catalog, staged, wrong)

    def test_a_quarantined_document_is_relabelled_without_entering_the_index(self, catalog):
        staged = version(state=DocumentState.QUARANTINED)
        catalog.commit_version(staged)
        other = label(granted=("boss",))
        relabelled(catalog, staged, other)
        assert list(catalog.next_work(limit=10)) == []
        catalog.set_state("acme", staged.document_id, DocumentState.ACTIVE)
        [scope_id] = catalog.pending_points("acme", limit=10).values()
        [scope] = [each for each in catalog.scopes("acme") if each.scope_id == scope_id]
        assert catalog.labels("acme")[scope.label_id] == other

    def test_all_of_many_are_moved_or_none(self, catalog):
        several = [version(f"{number}.md") for number in range(5)]
        for each in several:
            catalog.commit_version(each)
        ids = [each.document_id for each in several]
        before = [catalog.get_document("acme", name) for name in ids]
        boss = label(granted=("boss",))
        moves = [move(each, record, boss) for each, record in zip(several, before, strict=True)]
        for wrong in (
            replace(moves[3], expected_label_id=before[3].label_id + 1),
            replace(moves[3], version=2),
            replace(moves[3], key=replace(moves[3].key, dek_id="another")),
        ):
            with pytest.raises(ConflictError):
                catalog.relabel("acme", [*moves[:3], wrong, moves[4]])
        with pytest.raises(NotFoundError):
            catalog.relabel("acme", [*moves, replace(moves[0], document_id=new_id())])
        assert [catalog.get_document("acme", name) for name in ids] == before
        epoch = catalog.relabel("acme", moves)
        assert epoch == catalog.epoch("acme")
        assert {catalog.get_document("acme", name).label for name in ids} == {boss}
        assert len(catalog.pending_points("acme", limit=50)) == 5

    def test_what_waits_for_its_key_is_known_and_finished(self, catalog):
        staged = version(label=label(granted=("staff",)))
        catalog.commit_version(staged)
        catalog.finish_work(catalog.next_work(limit=10))
        as_it_was = catalog.get_document("acme", staged.document_id).key
        boss, nobody = label(granted=("boss",)), label(granted=())
        for to in (boss, nobody):  # twice, before the key is back
            relabelled(catalog, staged, to, key=as_it_was, pending=Pending.REWRAP)
        assert catalog.count_pending() == {Pending.REWRAP: 1}
        [item] = catalog.pending_versions(limit=10)
        assert (item.label, item.bound_label, item.key) == (nobody, staged.label, as_it_was)
        [stored] = catalog.stored_chunks("acme", points(staged)).chunks.values()
        assert stored.pending is Pending.REWRAP
        assert list(catalog.next_work(limit=10)) == []  # it cannot be opened
        stale = replace(item, label=boss)
        assert not catalog.finish_rewrap(stale, rewrapped(staged), Pending.NOTHING)
        assert catalog.finish_rewrap(item, rewrapped(staged), Pending.REENCRYPT)
        assert not catalog.finish_rewrap(item, rewrapped(staged), Pending.NOTHING)
        assert catalog.count_pending() == {Pending.REENCRYPT: 1}
        assert [work.key for work in catalog.next_work(limit=10)] == [rewrapped(staged)]
        [item] = catalog.pending_versions(limit=10)
        assert (item.label, item.bound_label, item.pending) == (nobody, nobody, Pending.REENCRYPT)
        catalog.commit_version(next_version(staged, label=nobody))
        assert catalog.count_pending() == {}
        assert list(catalog.pending_versions(limit=10)) == []

    def test_a_title_goes_with_what_may_not_lie_in_clear(self, catalog):
        staged = version(title="A merger", label=label(classification=Classification.INTERNAL))
        catalog.commit_version(staged)
        assert catalog.get_document("acme", staged.document_id).title == "A merger"
        secret = label(classification=Classification.CONFIDENTIAL)
        relabelled(catalog, staged, secret, pending=Pending.REENCRYPT)
        assert catalog.get_document("acme", staged.document_id).title == ""


def move(staged, record, to) -> LabelMove:
    """A move of the document as it is."""
    return LabelMove(
        document_id=record.document_id,
        version=record.version,
        expected_label_id=record.label_id,
        label=to,
        key=rewrapped(staged),
        note="x",
    )


class FilterContract:
    def test_a_filter_selects_the_points_of_active_current_documents(self, catalog):
        first = version("a.md", attributes={"year": 2020})
        catalog.commit_version(first)
        now = next_version(first, attributes={"year": 2024}, chunks=(chunk(0, {"PERSON"}),))
        catalog.commit_version(now)
        catalog.commit_version(
            version("b.md", attributes={"year": 2024}, state=DocumentState.QUARANTINED)
        )
        gone = version("c.md", attributes={"year": 2024})
        catalog.commit_version(gone)
        catalog.set_state("acme", gone.document_id, DocumentState.DELETED)
        catalog.commit_version(version("d.md", attributes={"%": "year"}))

        def found(year):
            wanted = {"type": "eq", "key": "year", "value": year}
            return list(catalog.points_with_attributes("acme", wanted, admits=anything, limit=1))

        assert found(2024) == sorted(points(now))
        assert found(2020) == []

    def test_a_filter_that_selects_more_than_the_limit_is_refused(self, catalog):
        for name in "ab":
            catalog.commit_version(version(f"{name}.md", attributes={"k_": name}, chunks=2))
        wanted = {"type": "in", "key": "k_", "value": ["a", "b"]}
        assert len(catalog.points_with_attributes("acme", wanted, admits=anything, limit=4)) == 4
        with pytest.raises(InvalidRequestError) as refused:
            catalog.points_with_attributes("acme", wanted, admits=anything, limit=3)
        assert refused.value.code == "request.filter_too_broad"

    def test_what_is_not_admitted_is_neither_found_nor_counted(self, catalog):
        ours, theirs = version("a.md", attributes={"k": 1}), []
        catalog.commit_version(ours)
        for name in "bcd":
            few = label(granted=("few",))
            theirs.append(version(f"{name}.md", label=few, attributes={"k": 1}, chunks=3))
            catalog.commit_version(theirs[-1])
        [mine] = [i for i, found in catalog.labels("acme").items() if found == ours.label]
        wanted = {"type": "eq", "key": "k", "value": 1}

        def found(admits, limit):
            return list(catalog.points_with_attributes("acme", wanted, admits=admits, limit=limit))

        assert found(mine.__eq__, 1) == points(ours)
        assert len(found(mine.__ne__, 9)) == 9
        assert found(lambda _: False, 0) == []

    def test_views_are_not_counted(self, catalog):
        """How many views a chunk has says whether something is hidden in it."""
        hidden = (chunk(0, {"PERSON"}), chunk(1, {"PERSON"}))
        staged = version("a.md", attributes={"k": 1}, chunks=hidden)
        catalog.commit_version(staged)
        wanted = {"type": "eq", "key": "k", "value": 1}
        found = catalog.points_with_attributes("acme", wanted, admits=anything, limit=2)
        assert sorted(found) == sorted(points(staged))
        assert len(found) == 4
        with pytest.raises(InvalidRequestError):
            catalog.points_with_attributes("acme", wanted, admits=anything, limit=1)

    def test_a_malformed_filter_is_refused(self, catalog):
        with pytest.raises(InvalidRequestError) as refused:
            catalog.points_with_attributes("acme", {}, admits=lambda _: False, limit=3)
        assert refused.value.code == "request.invalid"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["commit", "relabel", "quarantine", "release", "delete", "work"]),
        st.sampled_from("ab"),
    ),
    max_size=12,
)


class HistoryContract:
    @settings(
        max_examples=15,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(steps=STEPS)
    def test_whatever_happens_the_index_ends_as_the_catalog_says(self, catalog, steps):
        """Any history, the outbox worked off half-way at any time: the epoch never falls, and the index holds exactly the
        current active points under their authoritative scope."""
        corpus = f"c{new_id()}"  # one database serves all examples
        last, index, epoch = {}, {}, catalog.epoch("acme")
        for step, name in [*steps, ("work", "a"), ("work", "a")]:
            self._step(catalog, step, name, corpus, last)
            if step == "work":
                for item in catalog.next_work(limit=1000):
                    index.pop(item.point_id, None)
                    if item.scope_id is not None:
                        index[item.point_id] = item.scope_id
                    catalog.finish_work([item])
            assert catalog.epoch("acme") >= epoch
            epoch = catalog.epoch("acme")
        scopes = {scope.scope_id: scope for scope in catalog.scopes("acme")}
        truth = {
            stored.point_id: (stored.label_id, stored.view, stored.entity_types)
            for record in catalog.documents("acme", corpus=corpus)
            if record.state is DocumentState.ACTIVE
            for stored in catalog.document_chunks("acme", record.document_id)
        }
        held = {
            point: (scopes[scope].label_id, scopes[scope].view, scopes[scope].entity_types)
            for point, scope in index.items()
        }
        assert held == truth
        assert catalog.pending_points("acme", limit=1000) == {}

    def _step(self, catalog, step, name, corpus, last):
        before = last.get(name)
        try:
            if step == "commit":
                chunks = (chunk(0), chunk(1, {"PERSON"}))
                given_label = label(corpus=corpus)
                new = (
                    next_version(before, label=given_label, chunks=chunks)
                    if before
                    else version(name, label=given_label, chunks=chunks)
                )
                catalog.commit_version(new)
                last[name] = new
            elif before is not None and step == "relabel":
                other = label(corpus=corpus, granted=(new_id(),))
                relabelled(catalog, before, other)
            elif before is not None and step in ("quarantine", "release", "delete"):
                state = {
                    "quarantine": DocumentState.QUARANTINED,
                    "release": DocumentState.ACTIVE,
                    "delete": DocumentState.DELETED,
                }[step]
                catalog.set_state("acme", before.document_id, state)
        except NotFoundError:
            assert catalog.find_document("acme", corpus, name).state is DocumentState.DELETED
