"""The scopes of a permit, all at once, are those that match one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ragward.adapters.scope_directory import MemoryScopeDirectory
from ragward.domain.access import Grant, Permit, TenantHead
from ragward.domain.admission import matches_view
from ragward.domain.corpus import IndexScope, View

TYPES = ("AGE", "PERSON", "US_SSN")
some_types = st.frozensets(st.sampled_from(TYPES))


class Store:
    def __init__(self):
        self.rows = {}
        self.reads = 0

    def scopes(self, tenant, *, after=0):
        self.reads += 1
        return [scope for scope in self.rows.get(tenant, []) if scope.scope_id > after]

    def add(self, tenant, fields):
        rows = self.rows.setdefault(tenant, [])
        first = rows[-1].scope_id + 1 if rows else 1
        rows += [
            IndexScope(scope_id=i, label_id=label, corpus=corpus, view=view, entity_types=types)
            for i, (label, corpus, view, types) in enumerate(fields, start=first)
        ]

    def head(self, tenant):
        rows = self.rows.get(tenant, [])
        return TenantHead(epoch=1, last_scope_id=rows[-1].scope_id if rows else 0)


scopes = st.lists(
    st.tuples(
        st.integers(1, 12), st.sampled_from(["hr", "eng"]), st.sampled_from(list(View)), some_types
    ),
    max_size=30,
)


@st.composite
def permits(draw):
    labels = draw(st.lists(st.integers(1, 14), unique=True))
    cut = draw(st.integers(0, len(labels)))
    parts = [part for part in (labels[:cut], labels[cut:]) if part]
    return [Grant(labels=frozenset(part), revealed=draw(some_types)) for part in parts]


def permit_at(store, grants):
    return Permit(
        head=store.head("acme"), not_after=10, grants=tuple(grants), policy_digest="p", reason="r"
    )


@given(
    first=scopes,
    later=scopes,
    grants=permits(),
    corpora=st.sampled_from([(), ("hr",), ("eng", "hr"), ("none",)]),
)
def test_it_equals_matching_one_by_one(first, later, grants, corpora):
    store = Store()
    directory = MemoryScopeDirectory(store)
    for more in (first, later):
        store.add("acme", more)
        store.add("other", more[:1])
        permit = permit_at(store, grants)
        expected = {
            scope.scope_id
            for scope in store.rows["acme"]
            if matches_view(permit, scope) and (not corpora or scope.corpus in corpora)
        }
        found = directory.permitted("acme", permit, corpora)
        assert set(found) == expected
        assert directory.permitted("acme", permit, corpora) is found


def test_one_permit_has_other_scopes_in_other_corpora():
    store = Store()
    store.add("acme", [(1, "hr", View.FULL, frozenset()), (1, "eng", View.FULL, frozenset())])
    directory = MemoryScopeDirectory(store)
    permit = permit_at(store, [Grant(labels=frozenset({1}), revealed=frozenset())])
    for corpora, expected in (((), {1, 2}), (("hr",), {1}), (("eng",), {2}), (("none",), set())):
        assert set(directory.permitted("acme", permit, corpora)) == expected


def test_nothing_is_read_twice():
    store = Store()
    store.add("acme", [(1, "hr", View.FULL, frozenset())])
    directory = MemoryScopeDirectory(store)
    permit = permit_at(store, [Grant(labels=frozenset({1}), revealed=frozenset())])
    for _ in range(3):
        assert set(directory.permitted("acme", permit, ())) == {1}
    assert store.reads == 1


def test_tenants_with_equal_permits_do_not_meet():
    store = Store()
    store.add("acme", [(1, "hr", View.FULL, frozenset())])
    store.add("other", [(2, "hr", View.FULL, frozenset()), (1, "hr", View.FULL, frozenset())])
    directory = MemoryScopeDirectory(store)
    permit = permit_at(store, [Grant(labels=frozenset({1}), revealed=frozenset())])
    assert set(directory.permitted("acme", permit, ())) == {1}
    assert set(directory.permitted("other", permit, ())) == {2}
