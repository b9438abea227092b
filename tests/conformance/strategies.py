"""Generated organisations: principals, memberships without cycles, policy rows, labels."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import Membership, PolicyRow

TENANT = "acme"
CORPORA = ("hr", "eng", "fin")
COMPARTMENTS = ("deal", "case")
USERS = tuple(f"user:{TENANT}/{name}" for name in ("ann", "ben", "cai"))
AGENTS = (f"agent:{TENANT}/bot",)
GROUPS = tuple(f"group:{TENANT}/g{i}" for i in range(5))
CLEARANCES = tuple(f"compartment:{TENANT}/{name}" for name in COMPARTMENTS)

BROAD = PolicyRow(GROUPS[-1], "corpus:*", f"{TENANT}/*", "PUBLIC..RESTRICTED", "*", "allow")

levels = st.lists(st.sampled_from(list(Classification)), min_size=1, max_size=2).map(
    lambda ends: f"{min(ends).name}..{max(ends).name}"
)
rows = st.builds(
    PolicyRow,
    subject=st.sampled_from(USERS + AGENTS + GROUPS),
    action=st.sampled_from(
        ["corpus:retrieve", "corpus:*", "corpus:retrieve", "reveal:PERSON", "reveal:*"]
    ),
    corpus=st.sampled_from([f"{TENANT}/{c}" for c in CORPORA] + [f"{TENANT}/*"] * 2),
    levels=levels,
    compartment=st.sampled_from(["*", "*", "*", *COMPARTMENTS]),
    effect=st.sampled_from(["allow", "allow", "allow", "allow", "deny"]),
)


@st.composite
def memberships(draw):
    """Members only ever join later groups, so there is no cycle."""
    edges = set()
    nodes = USERS + AGENTS + GROUPS
    for member in nodes:
        first = GROUPS.index(member) + 1 if member in GROUPS else 0
        if member in USERS + AGENTS and draw(st.booleans()):
            edges.add(Membership(member, GROUPS[-1]))
        for group in draw(
            st.sets(
                st.sampled_from(GROUPS[first:] + CLEARANCES),
                min_size=2 if member in USERS else 0,
                max_size=4,
            )
        ):
            edges.add(Membership(member, group))
    return sorted(edges)


labels = st.builds(
    AccessLabel,
    tenant=st.just(TENANT),
    corpus=st.sampled_from(CORPORA),
    classification=st.sampled_from(list(Classification)),
    compartments=st.sampled_from([(), (), (), ("deal",), ("case",), ("deal", "case")]).map(
        frozenset
    ),
    granted=st.one_of(
        st.just(frozenset(USERS)),
        st.frozensets(st.sampled_from(USERS + GROUPS), max_size=5),
    ),
    denied=st.sampled_from([(), (), (), *[(name,) for name in USERS + GROUPS + AGENTS]]).map(
        frozenset
    ),
    valid_from=st.sampled_from([None, None, None, 100, 200]),
    valid_until=st.sampled_from([None, None, None, 300, 400]),
)


# Hostile: names that are alike, chains near the depth limit, windows round now, action patterns. ----------------------

NOW = 1_000
LOOK_ALIKES = (
    "ann",
    "Ann",
    "\u0430nn",
    "ann2",
    "an",
    "a.n",
    "*",
    "eval(True)",
    "r.sub.id",
    "%",
    "a|b",
)
DEEP = 9

LOOK_ALIKE_USERS = tuple(f"user:{TENANT}/{name}" for name in LOOK_ALIKES)
TOP = f"group:{TENANT}/c{DEEP - 4}"
FLOOR = PolicyRow(TOP, "corpus:*", f"{TENANT}/*", "PUBLIC..RESTRICTED", "*", "allow")

look_alikes = st.sampled_from(LOOK_ALIKE_USERS)
edges = st.sampled_from([None, None, None, None, NOW - 1, NOW, NOW + 1, 0, -1, 2**53 - 1])
instants = st.sampled_from([NOW - 2, NOW, NOW, NOW - 1, NOW, NOW + 1, NOW + 2, 0, -1, -2])


@st.composite
def chains(draw):
    """A chain of groups at most as deep as is valid, people who enter it at any height, and clearances that hang off it."""
    length = draw(st.integers(DEEP - 3, DEEP))
    links = [f"group:{TENANT}/c{i}" for i in range(length)]
    made = {Membership(low, high) for low, high in pairwise(links)}
    for person in draw(st.lists(look_alikes, min_size=3, max_size=8, unique=True)):
        made.add(Membership(person, draw(st.sampled_from(links))))
    for clearance in draw(st.sets(st.sampled_from(CLEARANCES))):
        made.add(Membership(draw(st.sampled_from(links[:-1])), clearance))
    return sorted(made)


hostile_principals = st.one_of(
    look_alikes, st.integers(0, DEEP - 1).map(lambda i: f"group:{TENANT}/c{i}")
)
hostile_rows = st.builds(
    PolicyRow,
    subject=hostile_principals,
    action=st.sampled_from(
        ["corpus:retrieve"] * 4
        + ["corpus:*", "corpus:*", "corpus:ret", "corpus:RETRIEVE", "corpusx:*", "document:*"]
        + ["reveal:*", "reveal:PERSON"]
    ),
    corpus=st.sampled_from([f"{TENANT}/*"] * 3 + [f"{TENANT}/{c}" for c in CORPORA]),
    levels=levels,
    compartment=st.sampled_from(["*", "*", "*", *COMPARTMENTS]),
    effect=st.sampled_from(["allow", "allow", "allow", "deny"]),
)


@st.composite
def hostile_labels(draw):
    """Labels whose windows begin and end within a second of NOW, granted to names that look alike."""
    begin, end = draw(edges), draw(edges)
    if begin is not None and end is not None and begin >= end:
        begin, end = None, end
    return AccessLabel(
        tenant=TENANT,
        corpus=draw(st.sampled_from(CORPORA)),
        classification=draw(st.sampled_from(list(Classification))),
        compartments=draw(
            st.sampled_from([(), (), (), ("deal",), ("deal", "case")]).map(frozenset)
        ),
        granted=draw(
            st.one_of(st.just(frozenset({TOP})), st.frozensets(hostile_principals, max_size=5))
        ),
        denied=draw(st.sampled_from([(), (), (), (TOP,), LOOK_ALIKE_USERS[:2]]).map(frozenset)),
        valid_from=begin,
        valid_until=end,
    )
