"""What applications do on a vector engine of their own: Qdrant Edge with texts, groups and label in the payload.

One shard serves three systems. Points carry what a team without ragward would put there, and every answer comes with its texts.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

from ragward.bench.systems import UNFILTERED, Found, Site, files_of
from ragward.bench.world import CORPUS, TENANT, Asker, K, Question, World
from ragward.domain.labels import AccessLabel
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot

_BATCH: Final = 2_000
_COMPLETE: Final = "complete"
_EF: Final = 100
_NOW: Final = 1_800_000_000


class Shard:
    """The engine and its points."""

    def __init__(self, shard: Any, bytes_per_chunk: float) -> None:
        self._shard, self.bytes_per_chunk = shard, bytes_per_chunk

    @classmethod
    def load(cls, path: Path) -> Shard:
        """One that is there."""
        from qdrant_edge import EdgeShard

        shard = EdgeShard.load(str(path))
        return cls(shard, files_of(path) / max(1, shard.info().points_count))

    @classmethod
    def opened(cls, site: Site) -> Shard:
        """The one below the site's directory, made and filled if it is not there."""
        path, world = site.directory / "shard", site.world
        if not (path / _COMPLETE).exists():
            shutil.rmtree(path, ignore_errors=True)  # an interrupted run left it
            path.mkdir(parents=True)
            shard = _created(path, world.shape.dimension)
            for start in range(0, world.size, _BATCH):
                _put(shard, world, range(start, min(start + _BATCH, world.size)))
                site.progress("shard", min(1.0, (start + _BATCH) / world.size))
            shard.flush()
            shard.optimize()
            shard.close()
            (path / _COMPLETE).touch()
        return cls.load(path)

    def search(self, question: Question, limit: int, condition: Any = None) -> list[Any]:
        """The engine's hits, with their payloads."""
        from qdrant_edge import Query, SearchParams, SearchRequest

        request = SearchRequest(
            query=Query.Nearest(question.vector.tolist()),  # an array takes seven times as long
            limit=limit,
            filter=condition,
            params=SearchParams(hnsw_ef=max(_EF, limit)),
            with_payload=True,
        )
        found: list[Any] = self._shard.search(request)
        return found

    def close(self) -> None:
        """Lets go of the files."""
        self._shard.close()


def _created(path: Path, dimension: int) -> Any:
    from qdrant_edge import (
        Distance,
        EdgeConfig,
        EdgeShard,
        EdgeVectorParams,
        PayloadSchemaType,
        UpdateOperation,
    )

    config = EdgeConfig(vectors=EdgeVectorParams(size=dimension, distance=Distance.Dot))
    shard = EdgeShard.create(str(path), config)
    shard.update(UpdateOperation.create_field_index("groups", PayloadSchemaType.Keyword))
    return shard


def _put(shard: Any, world: World, numbers: range) -> None:
    from qdrant_edge import Point, UpdateOperation

    points = [
        Point(
            n,
            world.vectors[n],
            {
                "text": world.text(n),
                "groups": list(world.groups_of(int(world.label[n]))),
                "label": int(world.label[n]),
            },
        )
        for n in numbers
    ]
    shard.update(UpdateOperation.upsert_points(points))


class _OnShard:
    """A system over the shared shard, which it does not close."""

    slow = False

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self.bytes_per_chunk: float | None = shard.bytes_per_chunk

    def prepare(self, asker: Asker) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """The shard is closed by who opened it."""


class Unfiltered(_OnShard):
    """No authorization: the floor of every latency."""

    name = UNFILTERED

    def ask(self, asker: Asker, question: Question) -> Found:
        """The best ten of everything."""
        return Found(numbers=[int(hit.id) for hit in self._shard.search(question, K)])


class GroupTokens(_OnShard):
    """The asker's groups as a payload filter: what most guides say."""

    name = "group-token filter"

    def __init__(self, shard: Shard) -> None:
        super().__init__(shard)
        self._conditions: dict[str, Any] = {}

    def prepare(self, asker: Asker) -> None:
        """The filter is made once."""
        from qdrant_edge import FieldCondition, Filter, MatchAny

        condition = FieldCondition("groups", match=MatchAny(list(asker.groups)))
        self._conditions[asker.name] = Filter(must=[condition])

    def ask(self, asker: Asker, question: Question) -> Found:
        """The best ten that carry one of the groups."""
        hits = self._shard.search(question, K, self._conditions[asker.name])
        return Found(numbers=[int(hit.id) for hit in hits])


class PostFilter(_OnShard):
    """Casbin's `enforce` on each hit of a search of everything, by the same model and rows as ragward's: what most applications
    do. `fetch` hits are asked for, ten or more."""

    def __init__(self, shard: Shard, site: Site, fetch: int) -> None:
        super().__init__(shard)
        self.name = f"post-filter, Casbin, {fetch}"
        self.slow = fetch > K
        self._world, self._fetch = site.world, fetch
        self._labels: dict[int, AccessLabel] = {}
        self._enforcers: dict[str, tuple[Any, Any, Any]] = {}

    def prepare(self, asker: Asker) -> None:
        """An enforcer with all rows and the memberships that concern the asker: all memberships would take minutes to load."""
        from ragward.adapters.pdp_casbin.model import Ctx, Sub, enforcer
        from ragward.opening import resource

        mine = memberships_of(asker)
        snapshot = PolicySnapshot(TENANT, 1, policy_rows(self._world.shape.rules), mine)
        model = (resource("policies") / "model.conf").read_text(encoding="utf-8")
        reached = frozenset({asker.principal, *(m.group for m in mine)})
        context = Ctx(_NOW, delegate=False, administrative=False)
        self._enforcers.clear()  # they are large, and askers come one after the other
        made = enforcer(snapshot, model)
        self._enforcers[asker.name] = made, Sub(asker.principal, reached), context

    def ask(self, asker: Asker, question: Question) -> Found:
        """The first ten of those fetched that Casbin permits."""
        made, subject, context = self._enforcers[asker.name]
        kept: list[int] = []
        for hit in self._shard.search(question, self._fetch):
            number = hit.payload["label"]
            label = self._labels.get(number)
            if label is None:
                label = self._labels[number] = self._world.access_label(number)
            if made.enforce(subject, "corpus:retrieve", label, context):
                kept.append(int(hit.id))
                if len(kept) == K:
                    break
        return Found(numbers=kept)


def policy_rows(count: int) -> tuple[PolicyRow, ...]:
    """One row that lets readers read within their grants, one that says nobody sees less of it; the rest is for roles of
    others, as most rows are for most askers."""
    levels = "PUBLIC..RESTRICTED"
    everybody = f"group:{TENANT}/readers"
    rows = {
        PolicyRow(everybody, "corpus:retrieve", f"{TENANT}/{CORPUS}", levels, "*", "allow"),
        PolicyRow(everybody, "reveal:*", f"{TENANT}/{CORPUS}", levels, "*", "allow"),
    }
    number = 0
    while len(rows) < count:
        role = f"role:{TENANT}/r{number % 200}"
        corpus = f"{TENANT}/{'*' if number % 3 else CORPUS}"
        low = ("PUBLIC", "INTERNAL")[number % 2]
        action = ("corpus:retrieve", "corpus:*", "reveal:PERSON")[number // 200 % 3]
        effect = "deny" if number % 10 == 9 else "allow"
        compartment = f"deal{number // 600}" if number >= 600 else "*"
        rows.add(PolicyRow(role, action, corpus, f"{low}..RESTRICTED", compartment, effect))
        number += 1
    return tuple(sorted(rows))


def memberships_of(asker: Asker) -> tuple[Membership, ...]:
    """The asker's groups, and the one that lets anybody read."""
    groups = (*asker.groups, "readers")
    return tuple(Membership(asker.principal, f"group:{TENANT}/{name}") for name in groups)
