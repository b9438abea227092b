"""Generated organisations: principals, memberships without cycles, policy rows, labels."""

from __future__ import annotations

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
