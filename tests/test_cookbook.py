"""docs/cookbook.md is true: every cell of every recipe, asked of the PDP and of pycasbin's own `enforce`."""

from __future__ import annotations

import dataclasses
import re

import pytest

from ragward.adapters.finder_presidio import ENTITY_TYPES
from ragward.adapters.pdp_casbin import CasbinPolicyDecisionPoint
from ragward.domain.access import Action, Application, Context, Subject
from ragward.domain.errors import InvalidRequestError
from ragward.domain.labels import AccessLabel, Classification, administrative, tenant_of
from ragward.domain.policy import PolicySnapshot
from ragward.domain.policy_csv import read_csv
from tests.conformance.oracle import MODEL_FILE, Oracle
from tests.conformance.shape_world import MemoryStore, revealed_by
from tests.cookbook_page import PAGE, Recipe, listed, load, window

RECIPES = load(PAGE.read_text(encoding="utf-8"))
each_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: str(r.number))


class Kitchen:
    """One recipe, cooked twice: ragward's PDP over its rows, and Casbin's enforcer over the page's own lines."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.tenants = {tenant_of(line[1]) for line in recipe.lines()}
        (self.home,) = self.tenants if len(self.tenants) == 1 else ("",)
        self.labels = {name: self._label(given) for name, given in recipe.documents.items()}
        lines = recipe.lines()
        self.oracle = Oracle(
            [line[1:] for line in lines if line[0] == "p"],
            [line[1:] for line in lines if line[0] == "g"],
        )
        self.store = store_of(recipe.policy)
        self.ids = {name: self.store.add_label(label) for name, label in self.labels.items()}
        self.pdp = pdp_over(self.store)

    def _label(self, given):
        begin, end = window(given.get("valid", ""))
        return AccessLabel(
            tenant=given.get("tenant", self.home),
            corpus=given["corpus"],
            classification=Classification.parse(given["level"]),
            compartments=listed(given.get("compartments", "")),
            granted=listed(given["granted"]),
            denied=listed(given.get("denied", "")),
            valid_from=begin,
            valid_until=end,
        )

    def subject(self, who: str) -> Subject:
        """`user:... + agent:... via app:...`, or an application alone."""
        people, _, through = who.partition(" via ")
        person, *agents = people.split(" + ")
        tenant = tenant_of(person)
        name = through or (person if person.startswith("app:") else f"app:{tenant}/any")
        given = self.recipe.applications.get(name, {"corpora": "*", "ceiling": "RESTRICTED"})
        if through and name not in self.recipe.applications:
            raise ValueError(f"the page does not say what {name} is")
        application = Application(
            principal=name,
            tenant=tenant,
            client_id="any",
            corpora=listed(given["corpora"]),
            ceiling=Classification.parse(given["ceiling"]),
        )
        return Subject(
            tenant=tenant,
            principal=person,
            application=application,
            agents=tuple(agents),
            not_after=2**52,
        )

    def decided(self, cell) -> bool:
        """What ragward says."""
        subject, what = self.subject(cell.who), cell.parsed
        context = Context(now=cell.now, purpose=what["purpose"] or "")
        if what["act"]:
            label = self._about(cell)
            return bool(self.pdp.decide(subject, Action(what["act"]), label, context))
        shown = revealed_by(self.pdp.decide_labels(subject, context))
        label_id = self.ids.get(cell.document)  # none of the tenant as a whole
        if what["reads"]:
            read = self.pdp.decide(subject, Action.CORPUS_RETRIEVE, self._about(cell), context)
            assert read == (label_id in shown), "one by one, and all at once"
            return read
        return what["shown"] in shown.get(label_id, ())

    def enforced(self, cell) -> bool:
        """What Casbin says."""
        subject, what, label = self.subject(cell.who), cell.parsed, self._about(cell)
        if what["act"]:
            return self.oracle.permits(subject, what["act"], label, cell.now, administrative=True)
        reads = self.oracle.permits(subject, "corpus:retrieve", label, cell.now)
        if what["reads"]:
            return reads
        kind = what["shown"] + (f"@{what['purpose']}" if what["purpose"] else "")
        return reads and self.oracle.reveals(subject, kind, label, cell.now)

    def _about(self, cell):
        if cell.document == "(tenant)":
            return administrative(tenant_of(cell.who))
        return self.labels[cell.document]

    def wrong(self) -> list[str]:
        """The cells that are not what both say."""
        return [
            f"{cell.who} {cell.what} {cell.document}: the page says {cell.says}, ragward {ours}, Casbin {theirs}"
            for cell in self.recipe.cells
            for ours, theirs in [(self.decided(cell), self.enforced(cell))]
            if not cell.says == ours == theirs
        ]


def store_of(policy: str) -> MemoryStore:
    """The rows as ragward reads them, tenant by tenant."""
    rows, members = read_csv(policy.splitlines())
    store = MemoryStore()
    for tenant in {tenant_of(row.subject) for row in rows}:
        store.put(
            tenant,
            [row for row in rows if tenant_of(row.subject) == tenant],
            [each for each in members if tenant_of(each.member) == tenant],
        )
    return store


def pdp_over(store) -> CasbinPolicyDecisionPoint:
    return CasbinPolicyDecisionPoint(
        store, model_text=MODEL_FILE.read_text(), entity_types=frozenset(ENTITY_TYPES)
    )


def written(policy: str, tenant: str = "acme") -> None:
    """As a tenant's policy is written. Raises `policy.invalid` and its like."""
    rows, members = read_csv(policy.splitlines())
    pdp_over(MemoryStore()).check(PolicySnapshot(tenant, 0, rows, members))


@each_recipe
def test_every_cell_is_what_ragward_and_casbin_say(recipe):
    assert Kitchen(recipe).wrong() == []


@each_recipe
def test_a_wrong_cell_is_found(recipe):
    lying = tuple(dataclasses.replace(cell, says=not cell.says) for cell in recipe.cells)
    found = Kitchen(dataclasses.replace(recipe, cells=lying)).wrong()
    assert len(found) == len(recipe.cells)


@each_recipe
def test_every_line_of_a_policy_is_needed(recipe):
    """A row or membership without which no cell changes teaches nothing, or its cell is missing."""
    lines = recipe.policy.splitlines()
    for line in lines:
        rest = "\n".join(other for other in lines if other != line)
        without = dataclasses.replace(recipe, policy=rest)
        if any(other.startswith("p") for other in rest.splitlines()):
            kitchen = Kitchen(without)
            changed = any(kitchen.enforced(cell) != cell.says for cell in recipe.cells)
            assert changed, line


@each_recipe
def test_a_recipe_permits_something_and_refuses_something(recipe):
    assert {cell.says for cell in recipe.cells} == {True, False}


@each_recipe
def test_a_policy_can_be_written(recipe):
    for tenant in {line[1].partition(":")[2].partition("/")[0] for line in recipe.lines()}:
        mine = [line for line in recipe.policy.splitlines() if f":{tenant}/" in line]
        written("\n".join(mine), tenant)


@pytest.mark.parametrize("policy", [text for recipe in RECIPES for text in recipe.refused])
def test_what_is_said_to_be_refused_is(policy):
    for tenant in set(re.findall(r"\w+:(\w+)/", policy)) | {"acme"}:
        with pytest.raises(InvalidRequestError) as caught:
            written(policy, tenant)
        assert caught.value.code == "policy.invalid"


def test_there_are_twenty_recipes_and_each_is_whole():
    assert [recipe.number for recipe in RECIPES] == list(range(1, 21))
    assert len({recipe.title for recipe in RECIPES}) == 20
    assert sum(len(recipe.refused) for recipe in RECIPES) >= 5
    for recipe in RECIPES:
        assert recipe.question, recipe.title
        assert len(recipe.story) > 40, recipe.title
        assert not re.match(r"[|`*]", recipe.story), recipe.title
        named = {cell.document for cell in recipe.cells} - {"(tenant)"}
        assert named == set(recipe.documents), recipe.title


def test_a_page_that_cannot_be_read_is_refused():
    text = PAGE.read_text(encoding="utf-8")
    for wrong in (
        text.replace("| yes |", "| maybe |", 1),
        text.replace("| what |", "| how |", 1),
        text.replace("| corpus |", "| corpse |", 1),
    ):
        with pytest.raises((ValueError, KeyError)):
            load(wrong)
    with pytest.raises(ValueError, match="what is"):
        load(text.replace("| reads |", "| writes |", 1))[0].cells[0].parsed  # noqa: B018
