"""Deliberate one-line breaks of what decides and filters; each must be caught by the conformance tests named with it.

`old` must occur exactly once in its file: a mutant that no longer applies is an error, so this list follows the code.
Left out, because nothing can tell them from the original: the engine's own scope clause (`ScopeFilter.admits` looks at
every hit again) and the tenant in `in_corpus` (the PDP only meets labels of the subject's tenant).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "src/ragward"
SECONDS = 120

SHAPES = ("tests/conformance/test_shapes.py", "-k", "agree and not large")
REFUSALS = (
    "tests/conformance/test_shapes.py",
    "-k",
    "refused or decides_nothing or decide_nothing or are_damage",
)
MACHINE = ("tests/conformance/test_generated.py", "-k", "TestRevocations")
BOUNDARIES = ("tests/conformance/test_generated.py", "-k", "every_boundary")
DATABASE = ("tests/conformance/test_generated.py", "-k", "on_a_database")
EDGE = ("tests/conformance/test_shapes_on_indexes.py", "-k", "edge and (acl or reveal)")
QDRANT = ("tests/conformance/test_shapes_on_indexes.py", "-k", "qdrant and (acl or reveal)")
CONTRACT = ("tests/contract/test_index.py", "-k", "nobodys_place or no_scope")

PDP = "adapters/pdp_casbin.py"
ACCESS = "domain/access.py"
POLICY = "domain/policy.py"
LABELS = "domain/labels.py"
FILTER = "adapters/index_filter.py"


@dataclass(frozen=True)
class Mutant:
    """`old` becomes `new` in `file`; `tests` are pytest's arguments. `sample`: in every run, not in `make prove` only."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    sample: bool = False


MUTANTS = [
    # what a search may match
    Mutant(
        "filter-trusts-payloads",
        FILTER,
        "return type(scope) is int and scope in self.scopes",
        "return True",
        EDGE,
        sample=True,
    ),
    Mutant(
        "filter-takes-lists",
        FILTER,
        "return type(scope) is int and scope in self.scopes",
        "return scope in self.scopes or (isinstance(scope, list) and bool(set(scope) & set(self.scopes)))",
        QDRANT,
    ),
    Mutant(
        "filter-takes-any-scope",
        FILTER,
        "type(scope) is int and scope > 0 for scope in scopes",
        "True for scope in scopes",
        CONTRACT,
    ),
    Mutant(
        "filter-stops-short",
        FILTER,
        "(len(right) >= limit and hits[-1][1] < right[limit - 1][1])",
        "hits[-1][1] < hits[min(limit, len(hits)) - 1][1]",
        CONTRACT,
    ),
    Mutant(
        "filter-forgets-exclusion",
        FILTER,
        "excluding=tuple(sorted(excluding)),",
        "excluding=(),",
        EDGE,
    ),
    Mutant(
        "filter-forgets-restriction",
        FILTER,
        "only_points=None if only_points is None else tuple(sorted(only_points)),",
        "only_points=None,",
        EDGE,
    ),
    Mutant(
        "edge-forgets-exclusion",
        "adapters/index_edge.py",
        "must_not = [HasIdCondition(set(asked.excluding))]",
        "must_not = None",
        EDGE,
    ),
    Mutant(
        "edge-forgets-restriction",
        "adapters/index_edge.py",
        "must.append(HasIdCondition(set(asked.only_points)))",
        "pass",
        EDGE,
    ),
    Mutant(
        "qdrant-forgets-exclusion",
        "adapters/index_qdrant.py",
        "excluded = [HasIdCondition(has_id=list(asked.excluding))]",
        "excluded = None",
        QDRANT,
    ),
    Mutant(
        "qdrant-forgets-restriction",
        "adapters/index_qdrant.py",
        "must.append(HasIdCondition(has_id=list(asked.only_points)))",
        "pass",
        QDRANT,
    ),
    Mutant(
        "view-any",
        "domain/admission.py",
        "return entitled if scope.view is View.FULL else not entitled",
        "return True",
        EDGE,
    ),
    Mutant(
        "view-full-for-everybody",
        "domain/admission.py",
        "return entitled if scope.view is View.FULL else not entitled",
        "return scope.view is View.FULL",
        EDGE,
    ),
    # what an application narrows
    Mutant(
        "application-empty-means-all",
        ACCESS,
        "(ALL_CORPORA in self.corpora or label.corpus in self.corpora)",
        "(not self.corpora or ALL_CORPORA in self.corpora or label.corpus in self.corpora)",
        SHAPES,
        sample=True,
    ),
    Mutant(
        "application-without-ceiling",
        ACCESS,
        "and label.classification <= self.ceiling",
        "",
        SHAPES,
    ),
    Mutant(
        "application-ceiling-exclusive",
        ACCESS,
        "label.classification <= self.ceiling",
        "label.classification < self.ceiling",
        SHAPES,
    ),
    Mutant(
        "application-of-any-tenant",
        ACCESS,
        "label.tenant == self.tenant",
        "True",
        SHAPES,
    ),
    # time
    Mutant(
        "validity-until-inclusive",
        LABELS,
        "now < self.valid_until",
        "now <= self.valid_until",
        SHAPES,
        sample=True,
    ),
    Mutant(
        "validity-from-exclusive", LABELS, "self.valid_from <= now", "self.valid_from < now", SHAPES
    ),
    Mutant(
        "validity-zero-is-none",
        LABELS,
        "self.valid_until is None or now",
        "not self.valid_until or now",
        SHAPES,
    ),
    # closure and what makes a policy valid
    Mutant("closure-one-level", POLICY, "frontier.append(group)", "pass", SHAPES),
    Mutant("depth-ten", POLICY, "MAX_DEPTH: Final = 9", "MAX_DEPTH: Final = 10", REFUSALS),
    Mutant("depth-eight", POLICY, "MAX_DEPTH: Final = 9", "MAX_DEPTH: Final = 8", SHAPES),
    Mutant(
        "row-about-another-tenant",
        POLICY,
        "if tenant != tenant_of(self.subject):",
        "if False:",
        REFUSALS,
    ),
    Mutant(
        "membership-across-tenants",
        POLICY,
        "if tenant_of(self.member) != tenant_of(self.group):",
        "if False:",
        REFUSALS,
    ),
    Mutant(
        "membership-of-another-tenant",
        POLICY,
        "if tenant_of(membership.member) != self.tenant:",
        "if False:",
        REFUSALS,
        sample=True,
    ),
    Mutant("no-rows-at-all", POLICY, "if not self.rows:", "if False:", REFUSALS),
    Mutant("levels-upside-down", POLICY, "if bounds[0] > bounds[1]:", "if False:", REFUSALS),
    Mutant(
        "principals-not-normalised",
        LABELS,
        'or unicodedata.normalize("NFKC", text) != text',
        "",
        REFUSALS,
    ),
    Mutant("principals-blank", LABELS, "if _BLANK.search(text) or any(", "if any(", REFUSALS),
    Mutant(
        "stored-gaps-closed",
        "adapters/catalog_sql/policy.py",
        "fields = list(row[1:])",
        "fields = [value for value in row[1:] if value is not None]",
        REFUSALS,
    ),
    Mutant(
        "stored-labels-believed",
        "adapters/catalog_sql/labels.py",
        "if label.digest() != digest:",
        "if False:",
        REFUSALS,
    ),
    Mutant(
        "epoch-stands-still",
        "adapters/catalog_sql/tenants.py",
        ".values(epoch=tenants.c.epoch + 1)",
        ".values(epoch=tenants.c.epoch + 0)",
        DATABASE,
    ),
    # the decision: the model's functions
    Mutant(
        "corpus-any",
        PDP,
        'return label.tenant == tenant and corpus in ("*", label.corpus)',
        "return label.tenant == tenant",
        SHAPES,
    ),
    Mutant(
        "levels-ceiling-only",
        PDP,
        "return low <= label.classification <= high",
        "return label.classification <= high",
        SHAPES,
    ),
    Mutant(
        "compartment-of-row-ignored",
        PDP,
        'return compartment == "*" or compartment in label.compartments',
        "return True",
        SHAPES,
    ),
    Mutant(
        "cleared-for-any-of-them",
        PDP,
        "return ctx.administrative or all(",
        "return ctx.administrative or not label.compartments or any(",
        SHAPES,
    ),
    Mutant(
        "denied-by-own-name-only",
        PDP,
        "if label.denied & sub.reached:",
        "if label.denied & {sub.id}:",
        SHAPES,
        sample=True,
    ),
    Mutant(
        "empty-grants-mean-everybody",
        PDP,
        "return ctx.delegate or bool(label.granted & sub.reached)",
        "return ctx.delegate or not label.granted or bool(label.granted & sub.reached)",
        SHAPES,
    ),
    Mutant(
        "delegate-needs-a-grant",
        PDP,
        "return ctx.delegate or bool(label.granted & sub.reached)",
        "return bool(label.granted & sub.reached)",
        SHAPES,
    ),
    Mutant(
        "validity-not-looked-at",
        PDP,
        "return ctx.administrative or label.is_valid_at(ctx.now)",
        "return True",
        SHAPES,
    ),
    # the decision: who takes part
    Mutant("application-not-asked", PDP, "or not subject.application.admits(label)", "", SHAPES),
    Mutant(
        "application-alone-like-a-person",
        PDP,
        "if subject.is_application_alone and label.classification > Classification.PUBLIC:",
        "if False:",
        SHAPES,
    ),
    Mutant(
        "application-denial-ignored",
        PDP,
        "if not administrative and label.denied & policy.closure(subject.application.principal):",
        "if False:",
        SHAPES,
    ),
    Mutant(
        "first-agent-only",
        PDP,
        "policy.enforce(agent, action, label, acting) for agent in subject.agents",
        "policy.enforce(agent, action, label, acting) for agent in subject.agents[:1]",
        SHAPES,
    ),
    Mutant(
        "reveal-remembered-across-corpora",
        PDP,
        "signature = (label.corpus, label.classification, label.compartments)",
        "signature = (label.classification, label.compartments)",
        SHAPES,
    ),
    Mutant(
        "reveal-remembered-across-compartments",
        PDP,
        "signature = (label.corpus, label.classification, label.compartments)",
        "signature = (label.corpus, label.classification)",
        SHAPES,
    ),
    # the decision: what is remembered
    Mutant(
        "key-without-agents",
        PDP,
        "key = (subject.principal, subject.agents, subject.application)",
        "key = (subject.principal, subject.application)",
        SHAPES,
    ),
    Mutant(
        "key-without-application",
        PDP,
        "key = (subject.principal, subject.agents, subject.application)",
        "key = (subject.principal, subject.agents)",
        MACHINE,
    ),
    Mutant(
        "key-without-person",
        PDP,
        "key = (subject.principal, subject.agents, subject.application)",
        "key = (subject.agents, subject.application)",
        SHAPES,
    ),
    Mutant(
        "epoch-not-compared",
        PDP,
        "if known is not None and known.snapshot.epoch == epoch:",
        "if known is not None:",
        MACHINE,
        sample=True,
    ),
    Mutant(
        "digest-not-compared",
        PDP,
        "if known is not None and known.snapshot.digest() == snapshot.digest():",
        "if known is not None:",
        MACHINE,
    ),
    Mutant(
        "permits-never-end",
        PDP,
        "if found is not None and found.decided_at <= context.now < found.not_after:",
        "if found is not None and found.decided_at <= context.now:",
        MACHINE,
    ),
    Mutant(
        "permits-hold-backwards",
        PDP,
        "if found is not None and found.decided_at <= context.now < found.not_after:",
        "if found is not None and context.now < found.not_after:",
        BOUNDARIES,
    ),
    Mutant(
        "boundary-of-ends-only",
        PDP,
        "for bound in (label.valid_from, label.valid_until))",
        "for bound in (label.valid_until,))",
        BOUNDARIES,
    ),
    Mutant(
        "new-labels-unseen",
        PDP,
        "if next(reversed(labels), 0) <= remembered.last_label_id:",
        "if remembered.last_label_id:",
        MACHINE,
    ),
]


def source_with(mutant: Mutant | None, directory: Path) -> Path:
    """A copy of the sources below `directory`, broken as the mutant says; what to put on PYTHONPATH."""
    shutil.copytree(ROOT / "src", directory / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("policies", "schemas", "migrations"):  # found beside the sources
        (directory / name).symlink_to(ROOT / name)
    if mutant is not None:
        file = directory / PACKAGE / mutant.file
        file.write_text(broken(mutant, file.read_text("utf-8")), "utf-8")
    return directory / "src"


def broken(mutant: Mutant, text: str) -> str:
    """The text with the break in it. Raises ValueError unless it applies exactly once."""
    if text.count(mutant.old) != 1 or mutant.old == mutant.new:
        raise ValueError(
            f"{mutant.name}: its text occurs {text.count(mutant.old)} times in {mutant.file}"
        )
    return text.replace(mutant.old, mutant.new)


def run(source: Path, tests: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Runs tests on these sources until the first failure: 0 all passed, 1 a test failed, else nothing was shown."""
    environment = os.environ | {
        "PYTHONPATH": f"{source}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "RAGWARD_PROVE": "",
    }
    unused = ("cacheprovider", "schemathesis", "pytest_cov", "anyio")  # loading them takes longest
    options = ["-x", "-q", "--hypothesis-profile=mutant", *(f"-pno:{name}" for name in unused)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
