"""Memberships for a time: at every instant the PDP permits what `enforce` permits with the memberships that hold then."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ragward.domain.access import Context
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot, TimedMembership
from tests.conformance import strategies as make
from tests.conformance.oracle import Oracle
from tests.conformance.test_pdp_equals_casbin import EXACT, Store, pdp_over, permitted, subject

ROLES = tuple(f"role:{make.TENANT}/r{i}" for i in range(3))
INSTANTS = (50, 99, 100, 101, 199, 200, 249, 250, 300, 401)
FORBIDDEN = ("access", "application", "audit", "directory", "key", "policy", "pseudonym")
seen = {"changed": 0, "same": 0}


class TimedStore(Store):
    """With memberships that begin and end."""

    def __init__(self, rows, memberships, labels, timed):
        super().__init__(rows, memberships, labels)
        self.timed = tuple(timed)

    def policy(self, tenant):
        return PolicySnapshot(tenant, self.now_epoch, self.rows, self.memberships, 0, self.timed)


bounds = st.sampled_from([100, 200, 250, 400])
timed = st.builds(
    TimedMembership,
    member=st.sampled_from(make.USERS),
    group=st.sampled_from(ROLES),
    not_before=bounds,
    not_after=bounds,
    emergency=st.booleans(),
)
#: What roles are: rows of their own, groups and clearances they belong to, and now and then a right too many.
role_rows = st.builds(
    PolicyRow,
    subject=st.sampled_from(ROLES + make.GROUPS),
    action=st.sampled_from(
        ["corpus:retrieve", "corpus:*", "reveal:PERSON", "corpus:retrieve", "key:*", "policy:read"]
    ),
    corpus=st.just(f"{make.TENANT}/*"),
    levels=make.levels,
    compartment=st.just("*"),
    effect=st.sampled_from(["allow", "allow", "allow", "deny"]),
)
role_memberships = st.lists(
    st.builds(Membership, st.sampled_from(ROLES), st.sampled_from(make.GROUPS + make.CLEARANCES)),
    max_size=4,
    unique=True,
)


def holding(rows, memberships, timed, now):
    """The pairs that hold at `now`, naively."""
    pairs = [(m.member, m.group) for m in memberships]
    for each in timed:
        if each.not_before <= now < each.not_after:
            above, last = {each.group}, set()
            while above != last:
                last = set(above)
                above |= {
                    group
                    for member, group in [(m.member, m.group) for m in memberships]
                    if member in last
                }
            powerful = any(
                row.subject in above
                and row.effect == "allow"
                and row.action.split(":")[0] in FORBIDDEN
                for row in rows
            )
            if not (each.emergency and powerful):
                pairs.append((each.member, each.group))
    return pairs


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(make.rows, max_size=6, unique=True),
    more=st.lists(role_rows, min_size=1, max_size=5, unique=True),
    memberships=make.memberships(),
    roles=role_memberships,
    timed=st.lists(timed, min_size=1, max_size=4, unique=True),
    labels=st.lists(make.labels, min_size=1, max_size=8),
    principal=st.sampled_from(make.USERS),
)
def test_at_every_instant_what_enforce_permits_then(
    rows, more, memberships, roles, timed, labels, principal
):
    rows = list(dict.fromkeys([*rows, *more]))
    memberships = [*memberships, *roles]
    store = TimedStore(rows, memberships, labels, timed)
    warm, exact = pdp_over(store), pdp_over(store, EXACT)
    answers = set()
    for now in (*INSTANTS, 150, 50, 250):  # and backwards, as a clock that was set
        oracle = Oracle([r.fields() for r in rows], holding(rows, memberships, timed, now))
        expected = {
            i
            for i, label in store.by_id.items()
            if oracle.may(principal, "corpus:retrieve", label, now)
        }
        decision = warm.decide_labels(subject(principal), Context(now=now))
        assert permitted(decision) == expected
        assert permitted(exact.decide_labels(subject(principal), Context(now=now))) == expected
        if decision:
            ends = {
                bound
                for each in timed
                for bound in (each.not_before, each.not_after)
                if bound > now
            }
            assert decision.not_after <= min(ends, default=2**53)
        for label in labels:
            may = warm.decide(subject(principal), "corpus:retrieve", label, Context(now=now))
            assert may == oracle.may(principal, "corpus:retrieve", label, now)
        answers.add(frozenset(holding(rows, memberships, timed, now)))
    seen["changed" if len(answers) > 1 else "same"] += 1


def test_time_made_a_difference():
    assert seen["changed"] > 20, seen


def test_a_version_is_the_same_version_whatever_holds_for_a_time():
    row = PolicyRow(ROLES[0], "corpus:retrieve", "acme/*", "PUBLIC", "*", "allow")
    plain = PolicySnapshot("acme", 1, (row,), ())
    for_a_time = PolicySnapshot(
        "acme", 1, (row,), (), 0, (TimedMembership("user:acme/ann", ROLES[0], 1, 9),)
    )
    assert plain.digest() == for_a_time.digest()
    assert for_a_time.at(1).memberships == (Membership("user:acme/ann", ROLES[0]),)
    assert for_a_time.at(9).memberships == for_a_time.at(0).memberships == ()
    assert [for_a_time.span(now) for now in (0, 1, 8, 9)] == [
        (-(2**53), 1),
        (1, 9),
        (1, 9),
        (9, 2**53),
    ]
