"""The certification scenario of AuthZEN 1.0 as data, in its own names (alice, record-1, read); each case by its section.

A case is (section, endpoint, request, expectation). Expectations: an HTTP status, a decision, a list of decisions, or
`Includes(...)`: ids or names that the results hold. `ANY` stands for a decision that the scenario leaves open.
"""

from __future__ import annotations

from dataclasses import dataclass

ANY = object()


@dataclass(frozen=True)
class Includes:
    names: tuple[str, ...]


ALICE = {"type": "user", "id": "alice"}
BOB = {"type": "user", "id": "bob"}
ADMIN = BOB | {"properties": {"role": "admin"}}
USERS = {"type": "user"}
READ, WRITE = {"name": "read"}, {"name": "write"}
ONE, TWO = {"type": "record", "id": "record-1"}, {"type": "record", "id": "record-2"}
RECORDS = {"type": "record"}
ACTIVE = ONE | {"properties": {"status": "active"}}
ARCHIVED = TWO | {"properties": {"status": "archived"}}
CONTEXT = {"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"}


def ask(subject, action, resource, **more):
    """A request of three entities; None leaves one out."""
    entities = {"subject": subject, "action": action, "resource": resource}
    return {name: value for name, value in entities.items() if value is not None} | more


BASIC = [
    ("2.2.1", "evaluation", ask(ALICE, READ, ONE), True),
    ("2.2.2", "evaluation", ask(BOB, WRITE, ONE), False),
    ("1.4 rule 2", "evaluation", ask(ALICE, WRITE, ONE), True),
    ("1.4 rule 3", "evaluation", ask(BOB, READ, ONE), True),
    ("2.2.3", "evaluation", ask(ALICE, READ, ONE, context=CONTEXT), True),
    ("2.2.4", "evaluation", ask(ALICE, WRITE, ARCHIVED), False),
    ("2.2.5", "evaluation", ask(ADMIN, WRITE, ARCHIVED), True),
    (
        "2.2.8",
        "evaluation",
        ask(
            ALICE | {"properties": {"department": "Sales", "role": "manager"}},
            READ | {"properties": {"method": "GET"}},
            ONE | {"properties": {"status": "active", "owner": "bob"}},
        ),
        True,
    ),
    ("2.2.9", "evaluation", ask(ALICE, READ, ONE, foo="bar", futureField={"nested": True}), True),
    ("2.4.1 subject", "evaluation", ask(None, READ, ONE), 400),
    ("2.4.1 action", "evaluation", ask(ALICE, None, ONE), 400),
    ("2.4.1 resource", "evaluation", ask(ALICE, READ, None), 400),
    ("2.4.2 subject type", "evaluation", ask({"id": "alice"}, READ, ONE), 400),
    ("2.4.2 subject id", "evaluation", ask({"type": "user"}, READ, ONE), 400),
    ("2.4.2 action name", "evaluation", ask(ALICE, {}, ONE), 400),
    ("2.4.2 resource type", "evaluation", ask(ALICE, READ, {"id": "record-1"}), 400),
    ("2.4.2 resource id", "evaluation", ask(ALICE, READ, {"type": "record"}), 400),
    ("2.4.6 subject", "evaluation", ask("alice", READ, ONE), 400),
    ("2.4.6 action name", "evaluation", ask(ALICE, {"name": 123}, ONE), 400),
]

BATCH = [
    (
        "3.2.1",
        "evaluations",
        {"subject": ALICE, "action": READ, "evaluations": [{"resource": ONE}, {"resource": TWO}]},
        [True, ANY],
    ),
    (
        "3.2.2",
        "evaluations",
        {"subject": BOB, "resource": ONE, "evaluations": [{"action": READ}, {"action": WRITE}]},
        [True, False],
    ),
    (
        "3.2.3",
        "evaluations",
        {
            "subject": ALICE,
            "action": WRITE,
            "evaluations": [{"resource": ACTIVE}, {"resource": ARCHIVED}],
        },
        [True, False],
    ),
    (
        "3.2.4",
        "evaluations",
        {
            "action": WRITE,
            "resource": ARCHIVED,
            "evaluations": [{"subject": ALICE}, {"subject": ADMIN}],
        },
        [False, True],
    ),
    (
        "3.2.5",
        "evaluations",
        {"evaluations": [ask(ALICE, READ, ONE), ask(BOB, WRITE, ONE)]},
        [True, False],
    ),
    (
        "3.2.6",
        "evaluations",
        {
            "subject": ALICE,
            "action": READ,
            "context": CONTEXT,
            "evaluations": [
                {"resource": ONE},
                {"resource": TWO, "context": {"source": "batch-override"}},
            ],
        },
        [True, ANY],
    ),
    (
        "3.2.7",
        "evaluations",
        ask(ALICE, WRITE, ACTIVE, evaluations=[{}, {"resource": ARCHIVED}]),
        [True, False],
    ),
    (
        "3.4.1",
        "evaluations",
        {
            "subject": ALICE,
            "action": READ,
            "options": {"evaluations_semantic": "execute_all"},
            "evaluations": [{"resource": ONE}, {}],
        },
        [True, False],
    ),
    ("3.4.2", "evaluations", ask(ALICE, READ, ONE), True),
    ("3.4.3", "evaluations", ask(ALICE, READ, ONE, evaluations=[]), True),
]

SEARCH = [
    ("4.2.1", "search/subject", ask(USERS, READ, ONE), Includes(("alice", "bob"))),
    ("4.2.2", "search/subject", ask(USERS, READ, ONE, context=CONTEXT), Includes(("alice", "bob"))),
    ("4.2.3", "search/subject", ask(ALICE, READ, ONE), Includes(("alice", "bob"))),
    ("4.2.4", "search/subject", ask(USERS, WRITE, ARCHIVED), Includes(("bob",))),
    ("4.3.1", "search/resource", ask(ALICE, READ, RECORDS), Includes(("record-1",))),
    (
        "4.3.2",
        "search/resource",
        ask(ALICE, READ, RECORDS, context=CONTEXT),
        Includes(("record-1",)),
    ),
    ("4.3.3", "search/resource", ask(ALICE, READ, ONE), Includes(("record-1",))),
    ("4.3.4", "search/resource", ask(ADMIN, WRITE, RECORDS), Includes(("record-2",))),
    ("4.4.1", "search/action", ask(ALICE, None, ONE), Includes(("read", "write"))),
    (
        "4.4.2",
        "search/action",
        ask(ALICE, None, ONE, context=CONTEXT),
        Includes(("read", "write")),
    ),
    ("4.4.3", "search/action", ask(ADMIN, None, ARCHIVED), Includes(("write",))),
    ("4.5.1", "search/subject", ask(USERS, READ, ONE, page={"limit": 1}), Includes(())),
    ("4.6.1", "search/action", ask({"type": "user", "id": "nonexistent-user"}, None, ONE), []),
    ("4.6.2 subject", "search/subject", ask({"type": "spaceship"}, READ, ONE), []),
    ("4.6.2 resource", "search/resource", ask(ALICE, READ, {"type": "spaceship"}), []),
    ("4.6.2 action", "search/action", ask({"type": "spaceship", "id": "x"}, None, ONE), []),
    ("4.7.1 subject", "search/subject", ask(USERS, None, ONE), 400),
    ("4.7.1 resource", "search/resource", ask(None, READ, RECORDS), 400),
    ("4.7.1 action", "search/action", ask(ALICE, None, None), 400),
    ("4.7.2 subject", "search/subject", ask(USERS, READ, RECORDS), 400),
    ("4.7.2 resource", "search/resource", ask(USERS, READ, RECORDS), 400),
    ("4.7.2 action", "search/action", ask(USERS, None, ONE), 400),
]

CASES = [*BASIC, *BATCH, *SEARCH]

#: Rules 7 and 8 want a decision by `action.properties.soft`: we have no such action, and properties of actions are ignored.
NOT_OURS = [
    ("2.2.6", {"name": "delete", "properties": {"soft": True}}),
    ("2.2.7", {"name": "delete", "properties": {"soft": False}}),
]
