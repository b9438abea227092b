"""Another model while everything goes on: what must not come back, be mixed or be lost, in every state. Attacks first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from ragward import reembedding
from ragward.domain.content import unpack_vector
from ragward.domain.errors import ConfigurationError, ConflictError, UnavailableError
from ragward.domain.generations import EmbeddedQuery, GenerationState
from ragward.domain.labels import Classification
from ragward.domain.passages import SearchMode
from tests import company
from tests.abuse.others import STEWARD, ask, document, label, put, relabel, sources
from tests.copies import copied
from tests.fakes.embedder_second import SecondEmbedder, WorseEmbedder
from tests.fakes.embedder_sentence_transformers import FakeEmbedder
from tests.installation import initialised, opened, settings_in

PEOPLE = ("ann", "ben", "cai")
QUESTION = "budget travel sensor contract"
BLUE, GREEN = 1, 2


def both(settings, *further, **given):
    """The installation with a second model beside the first."""
    return opened(settings, search_embedders=further or (SecondEmbedder(),), **given)


def told(ragward, mode=SearchMode.VECTOR, people=PEOPLE):
    """What everybody gets, whole: more is asked for than there is."""
    return {
        name: sorted((p.source, p.text) for p in ask(ragward, name, QUESTION, search=mode))
        for name in people
    }


def rows(settings, statement):
    engine = create_engine(f"sqlite:///{settings.data_dir}/catalog.db")
    with engine.begin() as connection:
        result = connection.execute(text(statement))
        found = result.all() if result.returns_rows else []
    engine.dispose()
    return found


def points_of(ragward, document_id):
    return [p.point_id for p in ragward.catalog.document_chunks("acme", document_id)]


def held(ragward, generation, names):
    """Which of these points the part of a generation has, in the index or in memory or in the catalog."""
    dimension = ragward.models.read().numbered(generation).dimension
    probe = EmbeddedQuery([1.0] + [0.0] * (dimension - 1), generation)
    found = ragward.index.plain.score_points(probe, names)
    return {c.point_id for c in (*found, *ragward.sealed.score_points(probe, names))}


def events(ragward, kind):
    found = [json.loads(entry.data) for entry in ragward.audit.entries(limit=10_000)]
    return [event for event in found if event["type"] == kind]


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """The directory of an installation with documents of every label."""
    home = tmp_path_factory.mktemp("filled")
    with opened(initialised(home)) as ragward:
        for each in company.documents(10, seed=5):
            ragward.ingestion.ingest(STEWARD, each)
    return home


@pytest.fixture
def settings(filled, tmp_path):
    """A copy of it for one test."""
    copied(filled, tmp_path / "home")
    return settings_in(tmp_path / "home")


class Walk:
    """An installation on its way, with documents that come, go and are taken away in every state."""

    def __init__(self, ragward):
        self.ragward, self.gone, self.here, self.number = ragward, {}, [], 0
        self.checked = []

    def step(self, state):
        """Whatever was deleted or revoked before is gone, whatever was added is there; then more of both."""
        ragward, number = self.ragward, self.number
        answers = told(ragward, people=("ann", "ben"))
        for name, passages in answers.items():
            shown = {source for source, _ in passages}
            assert not shown & set(self.gone), (state, name)
            if name == "ben":
                assert set(self.here) <= shown, (state, name)
        live = ragward.models.read().all
        for source, names in self.gone.items():
            if source.startswith("deleted"):
                for each in live:
                    assert not held(ragward, each.number, names), (state, source, each)
        ids = {
            kind: put(ragward, document(f"{kind}-{number}", f"Budget of the {kind} {number}."))
            for kind in ("deleted", "revoked", "raised", "kept")
        }
        secret = document(
            f"secret-{number}",
            f"Travel budget of the secret {number}.",
            level=Classification.CONFIDENTIAL,
            granted=("group:acme/eng",),
        )
        ids["secret"] = put(ragward, secret)
        names = {kind: points_of(ragward, name) for kind, name in ids.items()}
        for each in live:
            if each.is_live:
                for kind in ids:
                    assert held(ragward, each.number, names[kind]), (state, kind, each)
        assert {f"{kind}-{number}" for kind in ids} <= sources(ask(ragward, "ben", QUESTION))
        ragward.stewardship.delete(STEWARD, ids["deleted"])
        relabel(ragward, ids["revoked"], label(granted=("group:acme/hr",)))
        relabel(
            ragward,
            ids["raised"],
            label(level=Classification.RESTRICTED, granted=("group:acme/hr",)),
        )
        after = sources(ask(ragward, "ben", QUESTION))
        assert not {f"{kind}-{number}" for kind in ("deleted", "revoked", "raised")} & after, state
        for kind in ("deleted", "revoked", "raised"):
            self.gone[f"{kind}-{number}"] = names[kind]
        self.gone.pop(f"revoked-{number}")  # its readers in hr still get it; ben is checked below
        self.gone.pop(f"raised-{number}")
        self.here += [f"kept-{number}", f"secret-{number}"]
        self.number += 1
        self.checked.append(state)

    def revoked_stay_away(self):
        shown = sources(ask(self.ragward, "ben", QUESTION))
        assert not {s for s in shown if s.startswith(("revoked", "raised", "deleted"))}


def test_what_was_deleted_or_revoked_in_any_state_never_comes_back(settings, monkeypatch):
    monkeypatch.setattr(reembedding, "_AT_ONCE", 4)
    with both(settings) as ragward:
        walk, flow = Walk(ragward), ragward.reembedding
        walk.step("one generation")

        class EnoughError(Exception):
            pass

        def half(done, total):
            if done > total / 2:
                raise EnoughError

        with pytest.raises(EnoughError):
            flow.build(half)
        lacking, _ = ragward.catalog.count_lacking(GREEN)
        assert lacking > 0
        walk.step("half built")
        assert flow.build().lacking == 0
        walk.step("built")
        assert flow.switch().accepted
        assert ragward.models.serving()[0].number == GREEN
        walk.step("switched")
        flow.roll_back()
        assert ragward.models.serving()[0].number == BLUE
        walk.step("rolled back")
        assert flow.build().documents == 0  # it was kept up to date
        flow.roll_back()  # forth again
        walk.step("switched again")
        walk.revoked_stay_away()
        assert flow.drop().number == BLUE
        walk.step("dropped")
        walk.revoked_stay_away()
        assert rows(settings, "SELECT count(*) FROM points WHERE vector_blob != x''") == [(0,)]
    with both(settings) as ragward:
        walk.ragward = ragward
        walk.step("opened again")
        walk.revoked_stay_away()
        ragward.index_sync.rebuild()
        walk.step("rebuilt")
    assert len(walk.checked) == 9
    assert not (settings.data_dir / "index").exists()
    orphans = "SELECT count(*) FROM vectors v LEFT JOIN points p ON p.point_id = v.point_id"
    assert rows(settings, f"{orphans} WHERE p.point_id IS NULL") == [(0,)]


def test_answers_are_the_same_before_and_after(settings):
    with both(settings) as ragward:
        flow = ragward.reembedding
        before = told(ragward), told(ragward, SearchMode.LEXICAL)
        assert all(before[0].values())
        flow.build()
        for act in (flow.switch, flow.roll_back, flow.roll_back, flow.drop):
            act()
            ragward.sealed.clear()
            assert (told(ragward), told(ragward, SearchMode.LEXICAL)) == before, act


def test_two_models_are_never_in_one_search(settings, monkeypatch):
    """Also where the switch comes between a question's embedding and its search."""
    searched = []
    with both(settings) as ragward:
        flow, parts = ragward.reembedding, ragward.index.plain
        flow.build()
        for generation, dimension in ((BLUE, 64), (GREEN, 80)):
            for kind in (parts, ragward.sealed):
                part = kind.part(generation)

                def search(vector, *, _real=part.search, _dimension=dimension, **given):
                    searched.append(_dimension)
                    assert len(vector) == _dimension
                    return _real(vector, **given)

                part.search = search
        before = told(ragward)
        assert set(searched) == {64}
        switched = []

        first = FakeEmbedder()

        def embed(texts):
            made = first.embed(texts)
            if not switched:
                switched.append(None)  # the switch itself embeds
                switched[0] = flow.switch()
            return made

        monkeypatch.setattr(ragward.embedder, "embed", embed)
        searched.clear()
        assert sorted((p.source, p.text) for p in ask(ragward, "ben", QUESTION)) == before["ben"]
        assert switched[0].accepted
        assert set(searched) == {64}  # the question was embedded by the model before
        searched.clear()
        assert told(ragward) == before
        assert set(searched) == {80}


def test_no_vector_opens_as_another_generations(settings):
    """Whoever writes to the database cannot put one model's vectors in the place of another's."""
    with both(settings) as ragward:
        flow = ragward.reembedding
        flow.build()
        flow.switch()
    rows(
        settings,
        "UPDATE vectors SET vector_blob = (SELECT p.vector_blob FROM points p"
        " WHERE p.point_id = vectors.point_id)",
    )
    with both(settings) as ragward:
        ragward.index_sync.rebuild()
        assert not any(told(ragward).values())
        assert events(ragward, "integrity.failure")


def test_a_model_that_answers_worse_is_refused_and_nothing_changes(settings):
    with both(settings, WorseEmbedder()) as ragward:
        flow = ragward.reembedding
        before = told(ragward)
        flow.build()
        done = flow.switch()
        assert not done.accepted
        assert any("recall" in problem for problem in done.problems)
        assert (done.serving.number, told(ragward)) == (BLUE, before)
        assert events(ragward, "model.refused")
        assert ragward.catalog.meta("model_canary") is None
        flow.drop()
        assert told(ragward) == before
    with opened(settings) as ragward:
        assert told(ragward) == before


def test_while_a_vector_lacks_there_is_no_switch(settings, monkeypatch):
    monkeypatch.setattr(reembedding, "_AT_ONCE", 4)
    with both(settings) as ragward:
        flow = ragward.reembedding
        with pytest.raises(ConfigurationError) as refused:
            flow.switch()
        assert refused.value.code == "config.generation"

        class EnoughError(Exception):
            pass

        def once(done, total):
            raise EnoughError

        with pytest.raises(EnoughError):
            flow.build(once)
        with pytest.raises(ConfigurationError, match="still to be made"):
            flow.switch()
        for act in (flow.roll_back,):
            with pytest.raises(ConfigurationError):
                act()
        assert ragward.models.read().serving.number == BLUE


def test_damage_stands_in_the_way_of_a_switch_and_is_reported(settings):
    with both(settings) as ragward:
        damaged = put(ragward, document("damaged"))
    rows(
        settings,
        "UPDATE chunks SET blob = CAST(substr(blob, 1, 90) || x'00' || substr(blob, 92) AS BLOB)"
        f" WHERE document_id = '{damaged}'",
    )
    with both(settings) as ragward:
        built = ragward.reembedding.build()
        assert (built.lacking, dict(built.failed)) == (1, {"integrity.envelope": 1})
        with pytest.raises(ConfigurationError):
            ragward.reembedding.switch()
        ragward.stewardship.delete(STEWARD, damaged)
        assert ragward.reembedding.build().lacking == 0
        assert ragward.reembedding.switch().accepted


def test_who_does_not_have_the_model_neither_opens_nor_writes(settings):
    with both(settings) as ragward:
        ragward.reembedding.build()
        staged = _staged(ragward)
        poor = replace(
            staged,
            chunks=tuple(
                replace(c, points=tuple(replace(p, further={}) for p in c.points))
                for c in staged.chunks
            ),
        )
        with pytest.raises(ConflictError):
            ragward.catalog.commit_version(poor)
        ragward.catalog.commit_version(staged)
    for given in ({}, {"search_embedders": (WorseEmbedder(),)}):
        with pytest.raises(ConfigurationError) as refused:
            opened(settings, **given)
        assert refused.value.code == "config.model_mismatch"


def _staged(ragward):
    """A version as ingestion makes it, caught before it is committed."""
    caught = []

    class CaughtError(Exception):
        pass

    real = ragward.catalog.commit_version

    def commit(staged):
        caught.append(staged)
        raise CaughtError

    ragward.catalog.commit_version = commit
    try:
        with pytest.raises(CaughtError):
            put(ragward, document("caught"))
    finally:
        ragward.catalog.commit_version = real
    return caught[0]


def test_a_document_that_changed_meanwhile_gets_no_vectors_of_its_old_text(settings, monkeypatch):
    with both(settings) as ragward:
        name = put(ragward, document("changing", "Budget of the first text."))
        gone = put(ragward, document("going", "Budget of another text."))
        flow, catalog = ragward.reembedding, ragward.catalog
        real, done = catalog.add_vectors, []

        def add(tenant, document_id, *rest):
            if not done:
                done.append(1)
                put(ragward, document("changing", "Budget of the second text."))
                ragward.stewardship.delete(STEWARD, gone)
            return real(tenant, document_id, *rest)

        monkeypatch.setattr(catalog, "add_vectors", add)
        flow.build()
        monkeypatch.undo()
        assert flow.build().lacking == 0
        flow.switch()
        [now] = [p.text for p in ask(ragward, "ben", "budget text") if p.source == "changing"]
        assert "second" in now
        assert "going" not in sources(ask(ragward, "ben", "budget text"))
        record = catalog.get_document("acme", name)
        assert vectors(ragward, GREEN).keys() >= set(points_of(ragward, record.document_id))


def vectors(ragward, generation):
    """point id -> (vector, words), as they are stored, opened."""
    found = {}
    for record in ragward.catalog.documents("acme"):
        labels = [record.label_id]
        stored = ragward.catalog.vectors_of(
            "acme", [record.document_id], labels, generation=generation
        )
        for item, opened_ in zip(stored, ragward.index_sync.opener.opened(stored), strict=True):
            found[item.point_id] = unpack_vector(opened_)
    return found


def building(home, pause):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.reembedding_driver", str(home), pause],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout.readline() == "begin\n"
    return process


@pytest.mark.prove
def test_killed_in_the_middle_and_resumed_it_equals_an_undisturbed_build(filled, tmp_path):
    for name in ("killed", "undisturbed"):
        copied(filled, tmp_path / name)
    process = building(tmp_path / "killed", "5")
    reached = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with both(settings_in(tmp_path / "killed")) as ragward:
        lacking, total = ragward.catalog.count_lacking(GREEN)
        assert 0 < total - lacking == reached < total
        done = ragward.reembedding.build()
        assert done.lacking == 0
        killed, answers = vectors(ragward, GREEN), _after_the_switch(ragward)
    with both(settings_in(tmp_path / "undisturbed")) as ragward:
        ragward.reembedding.build()
        assert vectors(ragward, GREEN) == killed
        assert len(killed) == len(vectors(ragward, BLUE))
        assert _after_the_switch(ragward) == answers


def _after_the_switch(ragward):
    assert ragward.reembedding.switch().accepted
    indexed = {
        name: c.score
        for name in vectors(ragward, GREEN)
        for c in ragward.index.plain.score_points(EmbeddedQuery([1.0] + [0.0] * 79, GREEN), [name])
    }
    assert indexed
    return told(ragward), indexed


def test_a_drop_that_was_killed_is_finished_and_answers_meanwhile(settings, monkeypatch):
    with both(settings) as ragward:
        flow = ragward.reembedding
        flow.build()
        flow.switch()
        before = told(ragward)

        class Killed(BaseException):
            pass

        def killed(number, *, limit):
            raise Killed

        monkeypatch.setattr(ragward.catalog, "remove_vectors", killed)
        with pytest.raises(Killed):
            flow.drop()
        monkeypatch.undo()
        assert told(ragward) == before
        with pytest.raises(ConfigurationError):
            flow.roll_back()
        with pytest.raises(ConfigurationError):
            flow.build()
    with both(settings) as ragward:
        states = {each.number: each.state for each in ragward.models.read().all}
        assert states == {BLUE: GenerationState.DROPPING, GREEN: GenerationState.SERVING}
        late = put(ragward, document("late", "Budget that came late."))
        assert ragward.reembedding.drop().number == BLUE
        assert [each.number for each in ragward.models.read().all] == [GREEN]
        assert held(ragward, GREEN, points_of(ragward, late))
        stale = EmbeddedQuery([1.0] + [0.0] * 63, BLUE)
        with pytest.raises(UnavailableError):  # rather than an answer that is empty by mistake
            ragward.index.search(stale, scopes=[1], limit=3)


def test_scanning_again_and_reclassifying_make_both(settings):
    class Newer(type(opened_finder())):
        version = "fake/2"

    with both(settings) as ragward:
        ragward.reembedding.build()
    with both(settings, finder=Newer()) as ragward:
        done = ragward.rescanning.run(STEWARD)
        assert done.changed > 0
        assert done.embedded == 0  # every text is as it was: both generations' vectors were kept
        for generation in (BLUE, GREEN):
            assert ragward.catalog.count_lacking(generation)[0] == 0
        assert ragward.reembedding.switch().accepted
        assert all(told(ragward).values())


def opened_finder():
    from tests.fakes.finder_presidio import FakeFinder

    return FakeFinder()


def test_processes_that_share_an_installation_switch_together(settings):
    with both(settings) as owner:
        owner.share()
        with both(settings) as worker:
            before = told(owner)
            assert told(worker) == before
            assert worker.reembedding.build().lacking == 0
            assert told(owner) == told(worker) == before
            assert worker.reembedding.switch().accepted
            owner.models.read()
            assert owner.models.serving()[0].number == GREEN
            assert told(owner) == told(worker) == before
            late = put(worker, document("late", "Budget that came late."))
            names = points_of(owner, late)
            assert held(owner, BLUE, names) == held(owner, GREEN, names) == set(names)
            owner.stewardship.delete(STEWARD, late)
            assert not held(owner, BLUE, names) | held(owner, GREEN, names)
            worker.reembedding.drop()
            owner.models.read()
            assert told(owner) == told(worker) == before
        with pytest.raises(ConfigurationError) as refused:
            opened(settings)
        assert refused.value.code == "config.model_mismatch"


class Traffic:
    """Somebody asks and somebody writes, each in a thread, until five rounds are written; `wrong` is what should not be."""

    def __init__(self, ragward):
        self.ragward, self.wrong, self.over = ragward, [], threading.Event()
        self.here = {p.source for p in ask(ragward, "ben", QUESTION)}
        self.gone = set()
        self.threads = [
            threading.Thread(target=self._run, args=[a]) for a in (self._ask, self._write)
        ]

    def __enter__(self):
        for each in self.threads:
            each.start()
        return self

    def __exit__(self, *_):
        self.threads[1].join()
        self.over.set()
        self.threads[0].join()

    def _run(self, act):
        number = 0
        while not self.over.is_set() and not (act == self._write and number == 5):
            try:
                act(number)
            except Exception as error:
                self.wrong.append(repr(error))
            number += 1

    def _ask(self, _number):
        here, gone = set(self.here), set(self.gone)  # before the question
        got = sources(ask(self.ragward, "ben", QUESTION))
        if here - got or gone & got:
            self.wrong.append((here - got, gone & got))

    def _write(self, number):
        name = put(self.ragward, document(f"gone-{number}", f"Budget {number} of what goes."))
        relabel(self.ragward, name, label(granted=()))
        self.gone.add(f"gone-{number}")
        put(self.ragward, document(f"new-{number}", f"Budget {number} of what stays."))
        self.here.add(f"new-{number}")


def test_answers_and_writes_go_on_while_it_is_built_and_switched(settings, monkeypatch):
    monkeypatch.setattr(reembedding, "_AT_ONCE", 2)
    with both(settings) as ragward:
        flow = ragward.reembedding
        with Traffic(ragward) as traffic:
            while flow.build().lacking:
                pass
            for act in (flow.switch, flow.roll_back, flow.roll_back):
                assert act().accepted
        assert traffic.wrong == []
        assert len(traffic.gone) == 5
        assert [ragward.catalog.count_lacking(g)[0] for g in (BLUE, GREEN)] == [0, 0]
        assert flow.drop().number == BLUE
        got = sources(ask(ragward, "ben", QUESTION))
        assert traffic.here <= got
        assert not traffic.gone & got


def test_every_step_is_on_record_before_it_takes_effect(settings):
    with both(settings) as ragward:
        flow = ragward.reembedding
        flow.build()
        flow.switch()
        flow.roll_back()
        flow.drop()
        acts = [event["details"]["act"] for event in events(ragward, "generation.changed")]
        assert acts == ["begun", "built", "switched", "rolled back", "dropping", "dropped"]

        class Broken:
            def append(self, event, *, durable):
                raise UnavailableError(code="unavailable.audit")

        recorder = replace(flow._ports.recorder, audit=Broken())
        broken = reembedding.Reembedding(replace(flow._ports, recorder=recorder))
        with pytest.raises(UnavailableError):
            broken.build()
        assert [each.number for each in ragward.models.read().all] == [BLUE]
