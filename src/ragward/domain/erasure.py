"""Every store there is, and what shredding did to it: the part of a receipt that leaves none out.

`docs/data-inventory.md` says the same at length; tests hold both to the tables that there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """What became of it."""

    REMOVED = "removed"
    SHREDDED = "shredded"
    """Its bytes may be there; nothing opens them once the receipt is backup-proof."""
    RETAINED = "retained"
    OUTSIDE = "outside"
    """Beyond ragward's reach: somebody else has to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOutcome:
    """One store: what was done there, to how many items where they were counted, and why."""

    store: str
    outcome: Outcome
    items: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Store:
    """`count` names the count of a receipt; `tables` what of the catalog it is."""

    name: str
    outcome: Outcome
    note: str
    tables: tuple[str, ...] = ()
    count: str = ""


_STORES: Final = (
    _Store(
        name="wrapped keys, titles, attributes, evidence of every version",
        outcome=Outcome.REMOVED,
        note="state, label id and KEK ids stay, as a tombstone",
        tables=("versions",),
        count="versions",
    ),
    _Store(
        name="texts and spans",
        outcome=Outcome.REMOVED,
        note="freed pages are overwritten",
        tables=("chunks",),
        count="chunks",
    ),
    _Store(
        name="vectors and hashed words, full and redacted views",
        outcome=Outcome.REMOVED,
        note="freed pages are overwritten",
        tables=("points", "vectors"),
        count="points",
    ),
    _Store(
        name="fingerprints",
        outcome=Outcome.REMOVED,
        note="",
        tables=("fingerprints",),
        count="fingerprints",
    ),
    _Store(
        name="source names",
        outcome=Outcome.REMOVED,
        note="the id stays, as a tombstone",
        tables=("documents",),
        count="documents",
    ),
    _Store(
        name="results of ingest jobs",
        outcome=Outcome.REMOVED,
        note="names, counts and remarks",
        tables=("jobs", "job_items"),
        count="job_items",
    ),
    _Store(
        name="review queue",
        outcome=Outcome.REMOVED,
        note="reasons; open questions end",
        tables=("reviews",),
        count="reviews",
    ),
    _Store(
        name="queue of the index",
        outcome=Outcome.REMOVED,
        note="worked off",
        tables=("outbox",),
        count="outbox",
    ),
    _Store(
        name="vector index: vectors, graph, words",
        outcome=Outcome.REMOVED,
        note="points taken out; the embedded index's files are written without them",
    ),
    _Store(name="opened segments of sealed vectors, cached keys", outcome=Outcome.REMOVED, note=""),
    _Store(name="temporary files", outcome=Outcome.REMOVED, note="none are written"),
    _Store(
        name="backups of the catalog",
        outcome=Outcome.SHREDDED,
        note="open until the KEK versions of this receipt are destroyed: see its level",
    ),
    _Store(
        name="copies of the index directory, backups of keyring files",
        outcome=Outcome.OUTSIDE,
        note="the operator sees to them, and states it",
    ),
    _Store(
        name="the source, and answers that were given",
        outcome=Outcome.OUTSIDE,
        note="delete it at the source first, or the next ingest brings it back",
    ),
    _Store(
        name="audit log",
        outcome=Outcome.RETAINED,
        note="evidence: ids, counts, codes and digests, reasons that people gave, no content",
    ),
    _Store(
        name="receipts and holds",
        outcome=Outcome.RETAINED,
        note="evidence: ids, counts and keyed tags",
        tables=("shreddings", "holds", "held_documents"),
    ),
    _Store(
        name="access labels and policy",
        outcome=Outcome.RETAINED,
        note="who may act, by principal: other documents share them",
        tables=("labels", "scopes", "casbin_rule", "policy_versions", "policy_proposals"),
    ),
    _Store(
        name="task grants, roles for a time, restrictions",
        outcome=Outcome.RETAINED,
        note="evidence: principals, terms, reasons that people gave",
        tables=("task_grants", "elevations", "restrictions"),
    ),
    _Store(
        name="counts of behaviour and rates",
        outcome=Outcome.RETAINED,
        note="numbers and keyed tags by principal, no content",
        tables=("behaviours", "exposures", "rate_windows"),
    ),
    _Store(
        name="directory of people and groups",
        outcome=Outcome.RETAINED,
        note="the identity provider deletes people",
        tables=("directory_users", "directory_groups", "directory_members"),
    ),
    _Store(
        name="applications, facts about the installation",
        outcome=Outcome.RETAINED,
        note="nothing of content",
        tables=(
            "applications",
            "application_keys",
            "agents",
            "identity_uses",
            "policy_roots",
            "retired_keks",
            "tenants",
            "toolchains",
            "meta",
            "alembic_version",
        ),
    ),
    _Store(
        name="log lines, metrics", outcome=Outcome.RETAINED, note="codes and counts, no content"
    ),
)
_VAULT: Final = _Store(
    name="vault of pseudonyms", outcome=Outcome.RETAINED, note="", tables=("pseudonyms",)
)
TABLES: Final = frozenset(table for store in (*_STORES, _VAULT) for table in store.tables)
"""Every table that a receipt speaks of."""


def outcomes(
    counts: Mapping[str, int], *, vault_emptied: bool, by_identifiers: bool, held: int
) -> tuple[StoreOutcome, ...]:
    """What a receipt says of every store, given what was counted."""
    found = [
        StoreOutcome(
            store=store.name,
            outcome=store.outcome,
            items=counts.get(store.count, 0) if store.count else None,
            note=store.note,
        )
        for store in _STORES
    ]
    found.append(_of_vault(counts, vault_emptied, by_identifiers, held))
    if held:
        found.append(
            StoreOutcome(
                store="documents under legal hold",
                outcome=Outcome.RETAINED,
                items=held,
                note="a hold wins: shred again when it is lifted",
            )
        )
    return tuple(found)


def _of_vault(
    counts: Mapping[str, int], emptied: bool, by_identifiers: bool, held: int
) -> StoreOutcome:
    number = counts.get("pseudonyms", 0)
    if emptied:
        outcome, note = Outcome.REMOVED, "all of the tenant's"
        items = None
    elif by_identifiers and not held:
        outcome, note, items = Outcome.REMOVED, "of the identifiers, as texts had them", number
    else:
        note = "a value may be another document's too: `ragward pseudonym erase`"
        outcome, items = Outcome.RETAINED, None
    return StoreOutcome(store=_VAULT.name, outcome=outcome, items=items, note=note)
