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
CONTRACT = ("tests/contract/test_index.py", "-k", "nobodys_place or no_scope or equal_scores")

GRAPH = ("tests/contract/test_index_graph.py", "-k", "permitted_is_found")
CATALOG = ("tests/contract/test_catalog.py", "-k", "sqlite and (Head or Relabel or Version)")
SCOPES = ("tests/unit/adapters/test_scope_directory.py",)
MODELS = ("tests/conformance/test_pdp_equals_casbin.py", "-k", "model or effect")

CASES = ("tests/conformance/test_no_oracle_cases.py",)

WORDS = ("tests/conformance/test_words.py", "-k", "not qdrant and (bm25 or paused or unkeyed)")
WORDS_IN = ("tests/contract/test_index_words.py", "-k", "moves_neither or as_rare")

PDP = "adapters/pdp_casbin/pdp.py"
VERDICTS = "adapters/pdp_casbin/verdicts.py"
MODEL = "adapters/pdp_casbin/model.py"
COMPILER = "adapters/pdp_casbin/compiler.py"
FAST = "adapters/pdp_casbin/fast.py"
INDEX = "adapters/pdp_casbin/label_index.py"
UNCHANGED = ("tests/unit/adapters/test_catalog_unchanged.py",)
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
    # what a search may match (an engine that forgets an exclusion is made up for: `_best` looks again)
    Mutant(
        "filter-trusts-payloads",
        FILTER,
        "return type(scope) is int and 0 < scope < 2**32 and scope in self.scopes",
        "return True",
        EDGE,
    ),
    Mutant(
        "filter-takes-lists",
        FILTER,
        "return type(scope) is int and 0 < scope < 2**32 and scope in self.scopes",
        "return scope in self.scopes or (isinstance(scope, list) and bool(set(scope) & set(self.scopes)))",
        QDRANT,
    ),
    Mutant(
        "filter-takes-any-scope",
        FILTER,
        "type(scope) is int and 0 < scope < 2**32 for scope in scopes",
        "True for scope in scopes",
        CONTRACT,
    ),
    Mutant(
        "filter-stops-short",
        FILTER,
        "(len(best) == limit and hits[-1].score < best[-1].score)",
        "hits[-1].score < hits[min(limit, len(hits)) - 1].score",
        CONTRACT,
    ),
    Mutant(
        "filter-forgets-exclusion",
        FILTER,
        "excluding=frozenset(excluding),",
        "excluding=frozenset(),",
        EDGE,
    ),
    Mutant(
        "over-fetch-believes-the-index",
        FILTER,
        "if admits((hit.payload or {}).get(SCOPE_FIELD)):",
        "if hit.payload is not admits:",
        GRAPH,
    ),
    Mutant(
        "over-fetch-is-content-with-less",
        FILTER,
        "return best if len(best) == limit and best[-1].score > hits[-1].score else None",
        "return best",
        GRAPH,
    ),
    Mutant(
        "over-fetch-goes-too-deep",
        "adapters/index_plan.py",
        "MAX_FETCHED: Final = 250",
        "MAX_FETCHED: Final = 2_000",
        ("tests/contract/test_index_graph.py", "-k", "fetched_than"),
    ),
    Mutant(
        "over-fetch-forgets-ties",
        FILTER,
        "if len(right) >= limit and -hit.score > right[-1][0]:",
        "if len(right) >= limit:",
        CONTRACT,
    ),
    Mutant(
        "scopes-of-any-view",
        "adapters/scope_directory.py",
        "(types <= grant.revealed) == (view is View.FULL)",
        "True",
        SCOPES,
    ),
    Mutant(
        "scopes-of-another-corpus",
        "adapters/scope_directory.py",
        "labels[columns.label] & views[columns.kind] & eligible",
        "labels[columns.label] & views[columns.kind]",
        SCOPES,
    ),
    Mutant(
        "scopes-remembered-for-every-corpus",
        "adapters/scope_directory.py",
        "key = tenant, id(permit.grants), frozenset(corpora), columns.last_id",
        "key = tenant, id(permit.grants), columns.last_id",
        SCOPES,
    ),
    Mutant(
        "filter-forgets-restriction",
        FILTER,
        "only_points=None if only_points is None else frozenset(only_points),",
        "only_points=None,",
        EDGE,
    ),
    Mutant(
        "view-any",
        "domain/admission.py",
        "return entitled if of.view is View.FULL else not entitled",
        "return True",
        EDGE,
    ),
    Mutant(
        "view-full-for-everybody",
        "domain/admission.py",
        "return entitled if of.view is View.FULL else not entitled",
        "return of.view is View.FULL",
        EDGE,
    ),
    # what an application narrows
    Mutant(
        "application-empty-means-all",
        ACCESS,
        "(ALL_CORPORA in self.corpora or label.corpus in self.corpora)",
        "(not self.corpora or ALL_CORPORA in self.corpora or label.corpus in self.corpora)",
        SHAPES,
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
        "if tenant_of(member) != tenant_of(group):",
        "if False:",
        REFUSALS,
    ),
    Mutant(
        "membership-of-another-tenant",
        POLICY,
        "if tenant_of(membership.member) != self.tenant:",
        "if False:",
        REFUSALS,
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
        CATALOG,
    ),
    Mutant(
        "policy-epoch-stands-still",
        "adapters/catalog_sql/tenants.py",
        "policy_epoch=tenants.c.epoch + 1)",
        "policy_epoch=tenants.c.policy_epoch)",
        DATABASE,
    ),
    # one decision: the model's functions
    Mutant(
        "corpus-any",
        MODEL,
        'return label.tenant == tenant and corpus in ("*", label.corpus)',
        "return label.tenant == tenant",
        SHAPES,
    ),
    Mutant(
        "levels-ceiling-only",
        MODEL,
        "return low <= label.classification <= high",
        "return label.classification <= high",
        SHAPES,
    ),
    Mutant(
        "compartment-of-row-ignored",
        MODEL,
        'return compartment == "*" or compartment in label.compartments',
        "return True",
        SHAPES,
    ),
    Mutant(
        "cleared-for-any-of-them",
        MODEL,
        "return ctx.administrative or all(",
        "return ctx.administrative or not label.compartments or any(",
        SHAPES,
    ),
    Mutant(
        "denied-by-own-name-only",
        MODEL,
        "if label.denied & sub.reached:",
        "if label.denied & {sub.id}:",
        SHAPES,
    ),
    Mutant(
        "empty-grants-mean-everybody",
        MODEL,
        "return ctx.delegate or bool(label.granted & sub.reached)",
        "return ctx.delegate or not label.granted or bool(label.granted & sub.reached)",
        SHAPES,
    ),
    Mutant(
        "delegate-needs-a-grant",
        MODEL,
        "return ctx.delegate or bool(label.granted & sub.reached)",
        "return bool(label.granted & sub.reached)",
        SHAPES,
    ),
    Mutant(
        "validity-not-looked-at",
        MODEL,
        "return ctx.administrative or label.is_valid_at(ctx.now)",
        "return True",
        SHAPES,
    ),
    # the matcher compiler
    Mutant(
        "effect-not-read",
        COMPILER,
        "deny_overrides=effect == _DENY_OVERRIDES",
        "deny_overrides=False",
        SHAPES,
    ),
    Mutant(
        "unknown-terms-dropped",
        COMPILER,
        "if any(text not in names for text in texts):",
        "texts = [text for text in texts if text in names]\n    if False:",
        MODELS,
    ),
    Mutant(
        "another-effect-taken-for-ours",
        COMPILER,
        "if effect not in (_ALLOW, _DENY_OVERRIDES):",
        "if False:",
        MODELS,
    ),
    Mutant("row-terms-not-required", COMPILER, "if not terms >= _ROW_TERMS:", "if False:", MODELS),
    # all labels at once
    Mutant(
        "deny-rows-ignored",
        FAST,
        'found -= union(index.signatures_of(row) for row in rows if row.effect == "deny")',
        "pass",
        SHAPES,
    ),
    Mutant(
        "deny-rows-ignored-one-by-one",
        FAST,
        'denied = self._deny_overrides and any(row.effect == "deny" for row in rows)',
        "denied = False",
        SHAPES,
    ),
    Mutant(
        "deny-rows-allow",
        FAST,
        'found = union(index.signatures_of(row) for row in rows if row.effect == "allow")',
        "found = union(index.signatures_of(row) for row in rows)",
        MODELS,
    ),
    Mutant(
        "clearances-ignored",
        FAST,
        "signatures -= index.uncleared(reached)",
        "pass",
        SHAPES,
    ),
    Mutant("denials-ignored", FAST, "found -= index.denied_to(reached)", "pass", SHAPES),
    Mutant("grants-ignored", FAST, "found &= index.granted_to(reached)", "pass", SHAPES),
    Mutant("everybody-a-delegate", FAST, "if not ctx.delegate:", "if False:", SHAPES),
    Mutant(
        "windows-ignored",
        FAST,
        "found -= index.validity.outside(ctx.now)",
        "pass",
        SHAPES,
    ),
    Mutant(
        "ceiling-exclusive", INDEX, "self._levels[: ceiling + 1]", "self._levels[:ceiling]", SHAPES
    ),
    Mutant(
        "top-level-of-a-row-lost",
        INDEX,
        "found = union(self._levels[low : high + 1])",
        "found = union(self._levels[low:high])",
        SHAPES,
    ),
    Mutant("matches-kept-when-signatures-come", INDEX, "self._matched.clear()", "pass", MACHINE),
    Mutant(
        "another-compartments-rows",
        INDEX,
        "found &= self._compartments.get(compartment, BitMap())",
        "pass",
        SHAPES,
    ),
    Mutant(
        "another-corpus-rows",
        INDEX,
        "found &= self._corpora.get(corpus, BitMap())",
        "pass",
        SHAPES,
    ),
    Mutant(
        "window-closes-late", INDEX, "if begin <= now < end:", "if begin <= now <= end:", SHAPES
    ),
    Mutant("window-opens-late", INDEX, "if begin <= now < end:", "if begin < now < end:", SHAPES),
    Mutant(
        "windows-not-stepped-back",
        INDEX,
        "if self._at is None or now < self._at:",
        "if self._at is None:",
        BOUNDARIES,
    ),
    Mutant(
        "windows-of-new-labels-unjudged",
        INDEX,
        "if self._at is not None:\n            self._judge(label_id, self._at)",
        "pass",
        MACHINE,
    ),
    Mutant(
        "groups-of-groups-forgotten",
        POLICY,
        "reached.add(group)\n                        frontier.append(group)",
        "reached.add(group)",
        SHAPES,
    ),
    Mutant(
        "actions-not-matched",
        "adapters/pdp_casbin/rule_index.py",
        "if self._matches_action(action, row.action)",
        "",
        SHAPES,
    ),
    # who takes part
    Mutant(
        "application-not-asked", VERDICTS, "if not application.admits(label):", "if False:", SHAPES
    ),
    Mutant(
        "application-ceiling-ignored",
        VERDICTS,
        "within &= index.up_to(application.ceiling)",
        "pass",
        SHAPES,
    ),
    Mutant(
        "application-corpora-ignored",
        VERDICTS,
        "within &= index.in_corpora(application.corpora)",
        "pass",
        SHAPES,
    ),
    Mutant(
        "application-of-another-tenant",
        VERDICTS,
        "if application.tenant != index.tenant:",
        "if False:",
        SHAPES,
    ),
    Mutant(
        "application-alone-like-a-person",
        VERDICTS,
        "within &= index.up_to(Classification.PUBLIC)",
        "pass",
        SHAPES,
    ),
    Mutant(
        "application-denial-ignored",
        VERDICTS,
        "labels -= index.denied_to(rules.sub(about.application.principal).reached)",
        "pass",
        SHAPES,
    ),
    Mutant(
        "first-agent-only",
        VERDICTS,
        "for agent in about.agents:",
        "for agent in about.agents[:1]:",
        SHAPES,
    ),
    Mutant(
        "reveal-by-the-person-alone",
        PDP,
        "principals = (about.principal, *about.agents)",
        "principals = (about.principal,)",
        SHAPES,
    ),
    Mutant(
        "reveal-everywhere",
        PDP,
        "inside, outside = part & showing, part - showing",
        "inside, outside = part if showing else part & showing, part - part",
        SHAPES,
    ),
    # what is remembered
    Mutant(
        "key-without-agents",
        PDP,
        "asking_as = (subject.principal, subject.agents, subject.application, task, holds)",
        "asking_as = (subject.principal, subject.application, task, holds)",
        SHAPES,
    ),
    Mutant(
        "key-without-application",
        PDP,
        "asking_as = (subject.principal, subject.agents, subject.application, task, holds)",
        "asking_as = (subject.principal, subject.agents, task, holds)",
        MACHINE,
    ),
    Mutant(
        "key-without-person",
        PDP,
        "asking_as = (subject.principal, subject.agents, subject.application, task, holds)",
        "asking_as = (subject.agents, subject.application, task, holds)",
        SHAPES,
    ),
    Mutant(
        "key-without-purpose",
        PDP,
        "key = (asking_as, context.purpose, unmet)",
        "key = (asking_as, unmet)",
        ("tests/abuse/test_personal_data.py", "-k", "purpose"),
    ),
    Mutant(
        "key-without-task",
        PDP,
        "asking_as = (subject.principal, subject.agents, subject.application, task, holds)",
        "asking_as = (subject.principal, subject.agents, subject.application)",
        ("tests/abuse/test_agents.py", "-k", "revoked or expired or permit"),
    ),
    Mutant(
        "key-without-proof",
        PDP,
        "key = (asking_as, context.purpose, unmet)",
        "key = (asking_as, context.purpose)",
        ("tests/abuse/test_assurance.py", "-k", "turns"),
    ),
    Mutant(
        "timed-memberships-never-end",
        PDP,
        "elif not known.span[0] <= now < known.span[1]:",
        "elif False:",
        ("tests/conformance/test_timed_memberships.py",),
    ),
    Mutant(
        "policy-epoch-not-compared",
        PDP,
        "if head.policy_epoch > known.epoch or known.epoch < 0:",
        "if known.epoch < 0:",
        MACHINE,
    ),
    Mutant("permits-outlive-the-policy", PDP, "known.permits.clear()", "pass", MACHINE),
    Mutant(
        "permits-never-end",
        PDP,
        "and found.decided_at <= context.now < found.not_after",
        "and found.decided_at <= context.now",
        MACHINE,
    ),
    Mutant(
        "permits-hold-backwards",
        PDP,
        "and found.decided_at <= context.now < found.not_after",
        "and context.now < found.not_after",
        BOUNDARIES,
    ),
    Mutant(
        "new-labels-unseen",
        PDP,
        "found.last_label_id == known.index.last_id",
        "found.last_label_id > 0",
        MACHINE,
    ),
    Mutant(
        "new-labels-unread",
        PDP,
        "if head.last_label_id > known.index.last_id:",
        "if not known.index.last_id:",
        MACHINE,
    ),
    # what would show that something is hidden
    Mutant(
        "filter-counts-the-hidden",
        "adapters/catalog_sql/documents.py",
        "if admits(row.label_id) and wanted.matches(attributes_of(row.attributes))",
        "if wanted.matches(attributes_of(row.attributes))",
        (*CASES, "-k", "filter_counts"),
    ),
    Mutant(
        "filter-counts-views",
        "adapters/catalog_sql/documents.py",
        "counted += sum(row.view == View.FULL for row in rows)",
        "counted += len(rows)",
        (*CASES, "-k", "filter_counts"),
    ),
    Mutant(
        "readers-know-of-quarantine",
        "domain/admission.py",
        "return STEWARDING_ACTIONS if state in held else ()",
        "return KNOWING_ACTIONS",
        (*CASES, "-k", "waits_for_a_steward"),
    ),
    Mutant(
        "quarantine-is-found-by-search",
        "evaluation/asking.py",
        "waiting = self._stewarded(labels) if states != _ANSWERED else frozenset()",
        "waiting = frozenset(labels)",
        (*CASES, "-k", "does_not_tell"),
    ),
    Mutant(
        "stale-points-shorten-answers",
        "authorizing.py",
        "while len(seen) < _MAX_SEEN:",
        "while len(seen) < 3 * attempt.enough:",
        (*CASES, "-k", "still_holds"),
    ),
    Mutant(
        "a-remembered-token-outlives-its-key",
        "adapters/identity_jwt.py",
        "return found is not None and found[0] is self.key and",
        "return found is not None and",
        ("tests/abuse/test_tokens.py", "-k", "good_before"),
    ),
    Mutant(
        "a-remembered-token-does-not-expire",
        "adapters/identity_jwt.py",
        "self._check_times(claims, issuer)",
        "None",
        ("tests/abuse/test_tokens.py", "-k", "good_before"),
    ),
    Mutant(
        "permissions-move-between-two-lots",
        "authorizing.py",
        "if snapshot.epoch != attempt.permit.epoch:",
        "if snapshot.epoch < attempt.permit.epoch:",
        ("tests/conformance/test_lots.py", "-k", "between"),
    ),
    Mutant(
        "ingest-tells-of-others",
        "ingestion.py",
        "known = before is not None and self._acts.may_know(subject, before)",
        "known = before is not None",
        (*CASES, "-k", "may_only_ingest"),
    ),
    Mutant(
        "ingest-tells-of-what-was-there",
        "ingestion.py",
        "told = label if known else Labelling.label(source.label, opinion).label",
        "told = label",
        (*CASES, "-k", "may_only_ingest"),
    ),
    Mutant(
        "pages-end-where-the-hidden-begins",
        "stewardship.py",
        "if len(found) <= limit:",
        "if len(found) < limit:",
        (*CASES, "-k", "pages_say_nothing"),
    ),
    Mutant(
        "page-tokens-for-everybody",
        "domain/tokens.py",
        'return "|".join(chain)',
        'return ""',
        (*CASES, "-k", "page_token"),
    ),
    # words: counted among what may be read, in the view that may be seen, hashed with the tenant's key
    Mutant(
        "words-counted-in-everything",
        "adapters/index_words.py",
        "[w for w in words if w not in inverse], corpus)",
        "[w for w in words if w not in inverse], None)",
        WORDS_IN,
    ),
    Mutant(
        "sealed-words-counted-in-everything",
        "adapters/sealed_segment.py",
        "admitted[self._admitted(asked)] = True",
        "admitted[:] = True",
        WORDS_IN,
    ),
    Mutant(
        "sealed-words-not-counted",
        "adapters/index_merged.py",
        ") + self.sealed.count_words(words, scopes=scopes, excluding=excluding)",
        ")",
        WORDS,
    ),
    Mutant(
        "words-counted-where-they-were",
        "searching.py",
        "wrong = {*owed, *pending}",
        "wrong = set(pending)",
        WORDS,
    ),
    Mutant(
        "words-of-the-full-view-for-everybody",
        "protection.py",
        "word_weights(text, words_key)",
        "word_weights(item.chunk.text, words_key)",
        ("tests/conformance/test_ranking_oracle.py", "-k", "does_not_rank and lexical"),
    ),
    Mutant(
        "words-hashed-without-a-key",
        "domain/words.py",
        "int.from_bytes(hmac.digest(key, token.encode()",
        "int.from_bytes(hmac.digest(b'', token.encode()",
        WORDS,
    ),
    Mutant(
        "one-words-key-for-all-tenants",
        "domain/words.py",
        '+ tenant.encode(), "sha256")',
        "+ b'', \"sha256\")",
        WORDS,
    ),
    # what is remembered of the catalog's file
    Mutant(
        "a-commit-goes-unnoticed",
        "adapters/catalog_sql/unchanged.py",
        "if version != self._version:",
        "if self._version is None:",
        UNCHANGED,
    ),
    Mutant(
        "kept-though-somebody-committed",
        "adapters/catalog_sql/unchanged.py",
        "if now is not seen:",
        "if now is None:",
        UNCHANGED,
    ),
    Mutant(
        "two-states-in-one-read",
        "adapters/catalog_sql/stored_chunks.py",
        "if database.unchanged.keep(seen, added):",
        "if database.unchanged.keep(seen, added) or known:",
        UNCHANGED,
    ),
    Mutant(
        "one-row-for-all-that-is-asked",
        "adapters/catalog_sql/prepared.py",
        "asked = (self, *given.values())",
        "asked = (self, tenant)",
        UNCHANGED,
    ),
    Mutant(
        "segments-remembered-too-early",
        "adapters/sealed_places.py",
        "if complete:",
        "if found is not None:",
        ("tests/unit/adapters/test_index_sealed.py",),
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
