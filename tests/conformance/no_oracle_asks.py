"""What is asked of a pair of worlds, and the kinds of pairs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from tests import company
from tests.conformance import no_oracle_worlds as worlds

# Requests. -----------------------------------------------------------------------------------------------------------


def question(chance, facts):
    """Words of the hidden text, of the company, or of both."""
    hidden = chance.sample(facts.words, min(len(facts.words), chance.randint(1, 4)))
    plain = chance.sample(company.WORDS, chance.randint(1, 3))
    return " ".join(chance.choice((hidden, hidden, hidden + plain, plain)))


def a_filter(chance):
    """None, or one on attributes that hidden documents have, or others too; or one that is malformed."""
    return chance.choice(
        (
            None,
            None,
            {"type": "eq", "key": "project", "value": "merger"},
            {"type": "gte", "key": "number", "value": chance.randint(0, 30)},
            {"type": "eq", "key": "corpus", "value": "eng"},
            {"type": "eq", "key": "rw_forbidden", "value": 1},
        )
    )


def retrieve(chance, facts):
    """A question, with every knob turned."""
    body = {
        "query": question(chance, facts),
        "limit": chance.randint(1, 12),
        "minimize": chance.choice(["off", "balanced", "strict", None]),
        "max_passages_per_document": chance.choice((1, 3, 12)),
        "corpora": chance.choice(([], [], list(facts.corpora), ["eng", "hr"])),
        "filters": a_filter(chance),
        "search": chance.choice(("vector", "lexical", "hybrid")),
    }
    return lambda world, asker: [world.ask(asker, "POST", "/v1/retrieve", body)]


def twice(chance, facts):
    """The same question again, with whatever others do in between."""
    body = {"query": question(chance, facts), "limit": chance.randint(1, 6)}

    def ask(world, asker):
        first = world.ask(asker, "POST", "/v1/retrieve", body)
        world.meanwhile()
        return [first, world.ask(asker, "POST", "/v1/retrieve", body)]

    return ask


def vector_store(chance, facts):
    """A corpus as OpenAI's clients ask it."""
    body = {"query": question(chance, facts), "max_num_results": chance.randint(1, 12)}
    if chance.random() < 0.3:
        body["filters"] = a_filter(chance)
    path = f"/v1/vector_stores/{chance.choice(facts.corpora)}/search"
    return lambda world, asker: [world.ask(asker, "POST", path, body)]


def listing(chance, facts):
    """All pages of the list of documents."""
    limit = chance.choice((1, 2, 5, 40, 1000))
    narrowed = chance.choice(("", "", "&state=quarantined", f"&corpus={facts.corpora[0]}"))

    def ask(world, asker):
        replies, after = [], ""
        while len(replies) < 6:
            path = f"/v1/documents?limit={limit}{narrowed}{after}"
            replies.append(world.ask(asker, "GET", path))
            token = json.loads(replies[-1].body)["next_page_token"]
            if token is None:
                break
            after = f"&page_token={token}"
        return replies

    return ask


def by_id(chance, facts):
    """A request that names a document."""
    name = chance.choice(facts.documents)
    url, reason = f"/v1/documents/{name}", "a reason that is long enough"
    method, path, body = chance.choice(
        (
            ("GET", url, None),
            ("DELETE", url, None),
            ("PATCH", f"{url}/label", {"granted": ["user:acme/ben"], "reason": reason}),
            ("PATCH", f"{url}/label", {"granted": ["nobody"], "reason": reason}),
            ("POST", f"{url}/release", {"reason": reason}),
            ("POST", "/v1/explain", {"principal": "user:acme/ben", "document_id": name}),
            ("GET", f"{url}/readers", None),
        )
    )
    return lambda world, asker: [world.ask(asker, method, path, body)]


def evaluation(chance, facts):
    """The decision point asked about oneself."""
    kind, name = chance.choice(
        (
            ("document", chance.choice(facts.documents or ["x"])),
            ("chunk", chance.choice(facts.chunks or ["x"])),
            ("corpus", chance.choice(facts.corpora)),
        )
    )
    actions = ("corpus:retrieve", "document:ingest", "document:delete", "reveal:PERSON")
    action = {"name": chance.choice(actions)}
    path, more = chance.choice(
        (
            ("evaluation", {"action": action, "resource": {"type": kind, "id": name}}),
            ("search/action", {"resource": {"type": kind, "id": name}}),
            (
                "search/resource",
                {"action": action, "resource": {"type": chance.choice(("document", "corpus"))}},
            ),
        )
    )

    def ask(world, asker):
        about = {"subject": {"type": "user", "id": asker.partition("+")[0]}}
        return [world.ask(asker, "POST", f"/access/v1/{path}", about | more)]

    return ask


def explanation(chance, facts):
    """What can I see, and what only stewards are told of somebody's answer."""
    asked = {"principal": "user:acme/ben", "query": question(chance, facts)}
    method, path, body = chance.choice(
        (
            ("GET", "/v1/me/access", None),
            ("GET", "/v1/subjects/user%3Aacme%2Fben/access", None),
            ("POST", "/v1/explain", asked),
        )
    )
    return lambda world, asker: [world.ask(asker, method, path, body)]


def jobs(chance, facts):
    """Others' jobs."""
    url = f"/v1/jobs/{chance.choice(facts.jobs)}"
    method, path = chance.choice((("GET", url), ("POST", f"{url}/cancel")))
    return lambda world, asker: [world.ask(asker, method, path)]


def administration(chance, facts):
    """What only stewards and administrators may look at."""
    method, path = chance.choice(
        (
            ("GET", "/v1/policy"),
            ("GET", f"/v1/policy/versions/{chance.randint(1, 12)}"),
            ("GET", "/v1/policy/diff?from=1&to=5"),
            ("GET", f"/v1/policy/proposals/{chance.randint(1, 9)}"),
            ("GET", "/v1/keys"),
            ("GET", f"/v1/audit/entries?start={chance.randint(0, 200)}"),
            ("GET", f"/v1/audit/entries/{chance.randint(0, 200)}"),
            ("GET", "/metrics"),
            ("GET", "/readyz"),
            ("GET", "/scim/v2/Users"),
            ("GET", "/scim/v2/Groups/1"),
        )
    )
    return lambda world, asker: [world.ask(asker, method, path)]


def ingest(chance, facts):
    """A source that is taken, or is not; each is tried once."""
    source, text = facts.sources.pop()
    body = {
        "corpus": "eng",
        "source": source,
        "filename": "taken.txt",
        "content": text,
        "classification": "INTERNAL",
        "granted": ["user:acme/dot"],
    }
    return lambda world, asker: [world.ask(asker, "POST", "/v1/documents", body)]


# Pairs. --------------------------------------------------------------------------------------------------------------


def _to_dot(world, facts):
    shown = []
    for query in (*facts.words, " ".join(facts.words)):
        body = {"query": query, "limit": 20, "max_passages_per_document": 20}
        found = json.loads(world.ask("dot", "POST", "/v1/retrieve", body).body)
        shown.append([passage["text"] for passage in found["passages"]])
    return shown


def _to_stewards(world, facts):
    found = json.loads(world.ask("steward", "GET", "/v1/documents?limit=1000").body)
    return [document["source"] for document in found["documents"]]


def _in_the_index(world, facts):
    return world.ragward.index.count()


def _epoch(world, facts):
    return world.ragward.catalog.epoch("acme")


def _log(world, facts):
    world.meanwhile()
    return len(world.ragward.audit.entries(limit=100_000))


@dataclass(frozen=True)
class Kind:
    """A kind of pair: how the worlds differ, what is asked of them, by whom, and how often beside the other kinds.

    `shows` is what somebody entitled sees of the difference: without it the pair would test nothing.
    """

    change: Callable
    asks: tuple[Callable, ...]
    shows: Callable
    askers: tuple[str, ...] = worlds.READERS
    weight: int = 4

    @property
    def name(self):
        """As the report names it."""
        return self.change.__name__


KINDS = (
    Kind(
        worlds.forbidden,
        (retrieve, retrieve, retrieve, listing, evaluation, explanation),
        _to_dot,
        weight=8,
    ),
    Kind(worlds.other_text, (retrieve, retrieve, listing), _to_dot, weight=6),
    Kind(worlds.near_duplicate, (retrieve,), _to_dot, weight=6),
    Kind(
        worlds.corpus,
        (vector_store, vector_store, retrieve, listing, evaluation, explanation),
        _to_dot,
        weight=6,
    ),
    Kind(worlds.hidden_data, (retrieve, retrieve, listing), _to_dot, ("ben", "cai", "ben+bot"), 6),
    Kind(worlds.waiting, (retrieve, retrieve, by_id, listing), _to_dot, weight=6),
    Kind(worlds.deleted, (retrieve, retrieve, by_id, listing), _in_the_index, weight=6),
    Kind(
        worlds.quarantined,
        (retrieve, by_id, listing, evaluation, explanation),
        _to_stewards,
        worlds.ASKERS,
    ),
    Kind(
        worlds.expired,
        (retrieve, by_id, listing, evaluation, explanation),
        _to_stewards,
        worlds.ASKERS,
    ),
    Kind(worlds.other_tenant, (retrieve, retrieve, by_id, listing, vector_store), _in_the_index),
    Kind(worlds.attributes, (retrieve, vector_store), _to_dot),
    Kind(
        worlds.every_kind,
        (by_id, by_id, evaluation, listing, jobs, explanation),
        _to_stewards,
        worlds.ASKERS,
        weight=8,
    ),
    Kind(worlds.sources, (ingest,), _to_stewards, ("loader",), weight=2),
    Kind(worlds.epoch, (retrieve, twice, administration), _epoch),
    Kind(worlds.traffic, (twice,), _log),
)
