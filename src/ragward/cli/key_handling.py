"""What `ragward keys` and `ragward shred` do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ragward.adapters.clock_system import SystemClock
from ragward.bootstrap import Ragward
from ragward.cli import commands, render
from ragward.cli.commands import Caller
from ragward.domain.envelope import KeyPurpose
from ragward.domain.errors import InvalidRequestError
from ragward.domain.labels import Classification
from ragward.domain.rotation import Due, KEKReport, report
from ragward.domain.shredding import (
    MEANING,
    Copies,
    ShredEvidence,
    ShredKind,
    ShredLevel,
    ShredRequest,
)
from ragward.opening import open_keyring, open_ledger
from ragward.settings import Settings

_OVERDUE = frozenset({Due.ROTATE_AGE, Due.ROTATE_WRAPS})


class Wanted(NamedTuple):
    """What to shred."""

    kind: str
    target: str
    reason: str
    dry_run: bool
    identifiers: tuple[str, ...] = ()


class Finishing(NamedTuple):
    """How to finish a shredding."""

    receipt: str
    reason: str
    gone: Sequence[str]
    roll: bool
    wait: bool


def status(settings: Settings, tenant: str | None, *, as_json: bool) -> None:
    """`ragward keys status`: needs the keyring and the catalog, and opens nothing else."""
    keyring, clock = open_keyring(settings), SystemClock()
    ledger = open_ledger(settings, clock)
    try:
        statuses = keyring.status()
        names = sorted({s.tenant for s in statuses if tenant in (None, s.tenant)})
        found = [
            line
            for name in names
            for line in report(
                [s for s in statuses if s.tenant == name],
                ledger.ledger(name),
                settings.rotate_after_days,
                clock.now(),
            )
        ]
    finally:
        ledger.close()
        keyring.close()
    if as_json:
        typer.echo(json.dumps([_fields(line) for line in found]))
        return
    table = Table(
        "tenant", "classification", "KEK", "version", "state", "age", "wraps", "holds", "due"
    )
    for line in found:
        key = line.status
        table.add_row(
            key.tenant,
            render.badge(key.classification.name),
            key.kek_id,
            str(key.version),
            key.state.value,
            f"{line.age_days} d",
            str(key.wraps),
            str(line.held),
            ", ".join(due.value for due in line.due),
        )
    render.console().print(table)


def overdue(ragward: Ragward) -> list[str]:
    """KEKs that are older or more used than they should be, for `doctor`."""
    tenants = sorted({s.tenant for s in ragward.keyring.status() if s.tenant})
    return [
        f"{name} {line.status.classification.name}: {due.value}"
        for name in tenants
        for line in ragward.rotation.report(name)
        for due in line.due
        if due in _OVERDUE
    ]


def rotate(
    settings: Settings, classification: str, purpose: str, caller: Caller, *, as_json: bool
) -> int:
    """`ragward keys rotate`; exit 1 while something is left under an earlier version."""
    if purpose not in set(KeyPurpose):
        raise InvalidRequestError(f"a purpose is one of {', '.join(sorted(KeyPurpose))}")
    level = Classification.parse(classification)
    columns = (TextColumn("rewrapping"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=render.console(), disable=as_json, transient=True)
    with commands.opened(settings, caller) as (ragward, subject), bar:
        task = bar.add_task("", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        done = ragward.rotation.rotate(subject, level, KeyPurpose(purpose), advance)
    result = {
        "kek_id": done.kek_id,
        "version": done.version,
        "resumed": done.resumed,
        "rewrapped": done.rewrapped,
        "remaining": done.remaining,
        "damaged": done.damaged,
    }
    line = f"{done.kek_id} is at version {done.version}: {done.rewrapped} keys moved to it"
    if done.resumed:
        line += "; an earlier rotation was finished, rotate again for a new version"
    if done.remaining:
        line += f"; {done.remaining} ARE LEFT under earlier versions, {done.damaged} do not open"
    render.result(result, line, as_json=as_json)
    return 0 if done.complete else 1


def destroy(
    settings: Settings, kek: str, version: int, reason: str, caller: Caller, *, as_json: bool
) -> None:
    """`ragward keys destroy`."""
    with commands.opened(settings, caller) as (ragward, subject):
        ragward.rotation.destroy(subject, kek, version, reason)
    result = {"kek_id": kek, "version": version, "state": "destroyed"}
    render.result(result, f"version {version} of {kek} is destroyed", as_json=as_json)


def shred(settings: Settings, wanted: Wanted, caller: Caller, *, as_json: bool) -> None:
    """`ragward shred document|source|subject|tenant`."""
    with commands.opened(settings, caller) as (ragward, subject):
        target = wanted.target
        if wanted.kind == "document":
            target = commands.document_id(ragward, subject, target)
        request = ShredRequest(
            kind=ShredKind(wanted.kind),
            target=target,
            identifiers=wanted.identifiers,
            reason=wanted.reason,
            dry_run=wanted.dry_run,
        )
        evidence = ragward.shredding.shredded(subject, request)
    _show(evidence, dry_run=wanted.dry_run, as_json=as_json)


def show(settings: Settings, receipt: str, caller: Caller, *, as_json: bool) -> int:
    """`ragward shred show`."""
    with commands.opened(settings, caller) as (ragward, subject):
        evidence = ragward.shredding.show(subject, receipt)
    _show(evidence, as_json=as_json)
    return 0 if evidence.recorded and evidence.keys_gone else 1


def show_list(settings: Settings, caller: Caller, *, as_json: bool) -> None:
    """`ragward shred list`."""
    with commands.opened(settings, caller) as (ragward, subject):
        found = ragward.shredding.receipts(subject)
    if as_json:
        typer.echo(json.dumps([_evidence_fields(evidence) for evidence in found]))
        return
    table = Table("receipt", "at", "what", "documents", "level")
    for evidence in found:
        given = evidence.receipt
        table.add_row(
            given.receipt_id,
            datetime.fromtimestamp(given.at, UTC).isoformat(timespec="seconds"),
            f"{given.kind.value} {given.target}",
            str(len(given.documents)),
            evidence.level.value,
        )
    render.console().print(table)


def finish(settings: Settings, wanted: Finishing, caller: Caller, *, as_json: bool) -> int:
    """`ragward shred finish`."""
    if not set(wanted.gone) <= set(Copies):
        raise InvalidRequestError(f"what can be gone: {', '.join(sorted(Copies))}")
    gone = [Copies(name) for name in wanted.gone]
    with commands.opened(settings, caller) as (ragward, subject):
        evidence = ragward.shredding.finish(
            subject, wanted.receipt, wanted.reason, gone, roll=wanted.roll
        )
        seconds = ragward.rotation.wait(subject)
        if wanted.roll and wanted.wait and seconds and evidence.level is ShredLevel.LOGICAL:
            typer.echo(f"waiting {seconds} s for requests that have read the keys", err=True)
            ragward.clock.sleep(seconds)
            evidence = ragward.shredding.finish(subject, wanted.receipt, wanted.reason)
    _show(evidence, as_json=as_json)
    return 0 if evidence.level is ShredLevel.BACKUP_PROOF else 1


def _show(evidence: ShredEvidence, *, dry_run: bool = False, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_evidence_fields(evidence) | {"dry_run": dry_run}))
        return
    given = evidence.receipt
    console = render.console()
    counts = ", ".join(f"{count} {name}" for name, count in given.counts.items())
    if given.held:
        console.print(f"{len(given.held)} documents are under legal hold and stay")
    if dry_run:
        console.print(f"would shred {given.kind.value} {given.target}: {counts}")
        return
    console.print(f"receipt {given.receipt_id}: {given.kind.value} {given.target}, {counts}")
    console.print(f"level: {evidence.level.value}")
    for obstacle in evidence.obstacles:
        console.print(f"  {obstacle.value}: {MEANING[obstacle]}")
    for statement in given.statements:
        console.print(f"  stated by {statement.by}: no {statement.gone.value} copies are left")
    for store in given.stores:
        number = "" if store.items is None else f" ({store.items})"
        note = f": {store.note}" if store.note else ""
        console.print(f"  {store.outcome.value}{number} {store.store}{note}")
    console.print(f"in the log: {evidence.recorded}; keys gone: {evidence.keys_gone}")


def _fields(line: KEKReport) -> dict[str, object]:
    key = line.status
    return {
        "kek_id": key.kek_id,
        "tenant": key.tenant,
        "classification": key.classification.name,
        "purpose": key.purpose.value,
        "version": key.version,
        "state": key.state.value,
        "provider": key.provider,
        "created_at": key.created_at,
        "activated_at": key.activated_at,
        "destroyed_at": key.destroyed_at,
        "retired_at": line.retired_at,
        "wraps": key.wraps,
        "held": line.held,
        "age_days": line.age_days,
        "due": [due.value for due in line.due],
    }


def _evidence_fields(evidence: ShredEvidence) -> dict[str, object]:
    given = evidence.receipt
    return given.to_fields() | {
        "digest": given.digest(),
        "level": evidence.level.value,
        "obstacles": {o.value: MEANING[o] for o in evidence.obstacles},
        "recorded": evidence.recorded,
        "keys_gone": evidence.keys_gone,
    }
