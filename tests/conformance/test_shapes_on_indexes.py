"""Every decision shape on every engine: a search that asks for everything finds exactly the permitted chunks' points.

One point per label without personal data, and two (full and redacted view) of a chunk that holds a name. All shapes of
a file lie in the index together, as tenants do. Then somebody who can write past our adapter adds points with payloads
of every other type, and the same searches find the same points.
"""

from __future__ import annotations

import uuid
from itertools import groupby

import pytest

from ragward.domain.access import Deny
from ragward.domain.admission import matches_view
from ragward.domain.corpus import IndexPoint, IndexScope, View
from tests.conformance.shape_files import load_shapes
from tests.conformance.shape_world import world_of
from tests.contract.test_index import DIMENSION, ENGINES, QUERY, made, tampered

THEMES = {
    theme: [shape for shape in shapes if shape.kind == "decision"]
    for theme, shapes in groupby(load_shapes(), key=lambda shape: shape.theme)
}
#: (view, personal-data types of the chunk)
POINTS = (
    (View.FULL, frozenset()),
    (View.FULL, frozenset({"PERSON"})),
    (View.REDACTED, frozenset({"PERSON"})),
)
MOST_LABELS = 100


@pytest.fixture(scope="module", params=ENGINES)
def index(request, tmp_path_factory):
    with made(request.param, tmp_path_factory.mktemp("shapes") / "index") as opened:
        yield opened


class Filled:
    """The shapes of one file in an index: every label's three points, under scopes that no other label has."""

    def __init__(self, shapes):
        self.scopes, points = {}, []
        for shape in shapes:
            world = world_of(shape)
            own = list(world.ids.items())[:MOST_LABELS]
            for name, label_id in own:
                for view, types in POINTS:
                    scope_id = len(points) + 1
                    scope = IndexScope(
                        scope_id=scope_id,
                        label_id=label_id,
                        corpus="",
                        view=view,
                        entity_types=types,
                    )
                    self.scopes.setdefault(shape.id, []).append((name, scope))
                    vector = [1.0 - scope_id / 10_000, *[0.0] * (DIMENSION - 1)]
                    points.append(
                        IndexPoint(point_id=point_id(scope_id), scope_id=scope_id, vector=vector)
                    )
        self.points = points

    def permitted_scopes(self, shape, permit):
        """As the scope directory is held to: through `matches_view` alone."""
        if isinstance(permit, Deny):
            return set()
        return {s.scope_id for _, s in self.scopes.get(shape.id, ()) if matches_view(permit, s)}

    def expected(self, shape, enforced):
        """By the oracle: the plain point, and one of the two views of the other chunk."""
        wanted = set()
        for name, scope in self.scopes.get(shape.id, ()):
            if name in enforced:
                shown = scope.entity_types <= enforced[name]
                if shown == (scope.view is View.FULL):
                    wanted.add(scope.scope_id)
        return wanted


def point_id(number):
    return str(uuid.UUID(int=number))


def numbers(candidates):
    return [uuid.UUID(candidate.point_id).int for candidate in candidates]


@pytest.mark.parametrize("theme", THEMES)
def test_everything_asked_for_is_exactly_what_is_permitted(index, theme):
    filled = Filled(THEMES[theme])
    index.clear()
    index.upsert(filled.points)
    check(index, filled, THEMES[theme])
    for number, payload in enumerate(hostile(len(filled.points)), start=1_000_000):
        tampered(index, number, payload)
    check(index, filled, THEMES[theme])


def hostile(count):
    """Payloads that name every scope there is, in every type but the right one."""
    for scope in range(1, count + 1, max(1, count // 4)):
        yield {"scope": str(scope)}
        yield {"scope": float(scope)}
        yield {"scope": [scope]}
        yield {"scope": [scope, scope + 1]}
        yield {"scope": -scope}
        yield {"scope": {"scope": scope}}
        yield {"scopes": scope}
    yield {"scope": list(range(1, count + 1))}
    for nothing in (None, [], "", True, False, 0, 2**53):
        yield {"scope": nothing}
    yield {}


def check(index, filled, shapes):
    something = False
    for shape in shapes:
        world = world_of(shape)
        for asker in shape.permitted:
            permit = world.pdp.decide_labels(world.subject(asker), world.context)
            scopes = filled.permitted_scopes(shape, permit)
            wanted = filled.expected(shape, world.enforced(asker))
            where = (shape.id, asker)
            found = numbers(index.search(QUERY, scopes=scopes, limit=10_000))
            assert set(found) == wanted, where
            assert found == sorted(wanted), where  # best first, none twice
            few = numbers(index.search(QUERY, scopes=scopes, limit=2))
            assert few == sorted(wanted)[:2], where  # wrong payloads take nobody's place
            narrowed(index, scopes, sorted(wanted), where)
            something |= bool(wanted)
    assert something


def narrowed(index, scopes, wanted, where):
    """Without some points, and among some points: a forbidden one that is named stays out."""
    without = {point_id(number) for number in wanted[:1]}
    assert (
        numbers(index.search(QUERY, scopes=scopes, limit=10_000, excluding=without)) == wanted[1:]
    ), where
    among = {point_id(number) for number in (*wanted[-1:], *range(1, 40, 3), 1_000_001)}
    left = [number for number in wanted if point_id(number) in among]
    found = numbers(index.search(QUERY, scopes=scopes, limit=10_000, only_points=among))
    assert found == left, where
    assert not index.search(QUERY, scopes=scopes, limit=5, only_points=()), where
