"""What `ragward audit` does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from ragward.auditing import verified
from ragward.cli import render
from ragward.domain.audit import AuditEntry, AuditVerification
from ragward.domain.audit_verification import verify_log
from ragward.domain.checkpoints import InclusionProof, LogKey, notes_in, opened_checkpoint
from ragward.domain.errors import InvalidRequestError, NotFoundError
from ragward.domain.merkle import leaf_hash
from ragward.opening import (
    kept_checkpoints,
    open_audit_reader,
    open_keyring,
    signature_verifier,
)
from ragward.ports import AuditLog
from ragward.settings import Settings


def verify(
    settings: Settings,
    checkpoints: Path | None,
    receipt: str | None,
    *,
    of_broker: bool = False,
    as_json: bool,
) -> int:
    """`ragward audit verify`."""
    if checkpoints is not None:
        anchors: Sequence[str] = notes_in(checkpoints.read_text(encoding="utf-8"))
    else:
        anchors = () if of_broker else kept_checkpoints(settings)
    with _log(settings, of_broker=of_broker) as log:
        outcome = verified(log, anchors=anchors, receipt=_receipt(receipt))
    held = receipt is not None and outcome.consistent
    return _show(outcome, ", and holds the receipt's entry" if held else "", as_json=as_json)


def verify_export(
    file: Path, key: str, checkpoints: Path | None, proof: Path | None, *, as_json: bool
) -> int:
    """`ragward audit verify-export`: needs no installation."""
    named = Path(key)
    log_key = LogKey.parse(named.read_text(encoding="utf-8") if "+" not in key else key)
    is_signed = signature_verifier()
    note = file.with_name(f"{file.name}.checkpoint").read_text(encoding="utf-8")
    signed = opened_checkpoint(note, log_key, is_signed)
    kept = notes_in(checkpoints.read_text(encoding="utf-8")) if checkpoints else ()
    with file.open("rb") as lines:
        entries = ((index, None, line.removesuffix(b"\n")) for index, line in enumerate(lines))
        anchors = [opened_checkpoint(each, log_key, is_signed) for each in kept]
        outcome = verify_log(entries, signed, anchors)
    if proof is not None and outcome.consistent:
        claim = InclusionProof.parse(proof.read_text(encoding="utf-8"))
        if not claim.proves(_leaf(file, claim.index), log_key, is_signed):
            problem = "the entry is not the one the proof is of"
            outcome = AuditVerification.broken(
                outcome.entries, problem, head=outcome.head, first_bad_index=claim.index
            )
    return _show(outcome, "", as_json=as_json)


def show(
    settings: Settings, last: int, event: str | None, *, of_broker: bool = False, as_json: bool
) -> None:
    """`ragward audit show`."""
    with _log(settings, of_broker=of_broker) as log:
        if event is not None:
            found = log.find(event.partition(":")[0])
            if found is None:
                raise NotFoundError
            entries: Sequence[AuditEntry] = [found]
        else:
            count = log.verify().entries
            entries = log.entries(start=max(0, count - last), limit=last)
    render.entries(entries, as_json=as_json)


def export(settings: Settings, file: Path, *, of_broker: bool = False, as_json: bool) -> None:
    """`ragward audit export`: up to the checkpoint that goes with it, whatever is recorded meanwhile."""
    with _log(settings, of_broker=of_broker) as log:
        note = log.checkpoint()
        size = opened_checkpoint(note, log.key, signature_verifier()).size
        with file.open("wb") as out:
            for start in range(0, size, 1000):
                for entry in log.entries(start=start, limit=min(1000, size - start)):
                    out.write(entry.data + b"\n")
    file.with_name(f"{file.name}.checkpoint").write_text(note, encoding="utf-8")
    render.result({"entries": size}, f"{size} entries", as_json=as_json)


def show_key(settings: Settings, *, of_broker: bool, as_json: bool) -> None:
    """`ragward audit key`."""
    with _log(settings, of_broker=of_broker) as log:
        key = log.key.text()
    render.result({"key": key}, key, as_json=as_json)


def checkpoint(settings: Settings, *, of_broker: bool, as_json: bool) -> None:
    """`ragward audit checkpoint`."""
    with _log(settings, of_broker=of_broker) as log:
        note = log.checkpoint()
    render.result({"checkpoint": note}, note.rstrip("\n"), as_json=as_json)


def proof(settings: Settings, event: str, *, of_broker: bool, as_json: bool) -> None:
    """`ragward audit proof`."""
    with _log(settings, of_broker=of_broker) as log:
        text = log.prove_inclusion(event.partition(":")[0]).text()
    if as_json:
        render.result({"proof": text}, text, as_json=True)
    else:
        typer.echo(text, nl=False)


def consistency(
    settings: Settings, first: int, second: int, *, of_broker: bool, as_json: bool
) -> None:
    """`ragward audit consistency`."""
    with _log(settings, of_broker=of_broker) as log:
        hashes = [node.hex() for node in log.prove_consistency(first, second)]
    told = {"first": first, "second": second, "hashes": hashes}
    render.result(told, "\n".join(hashes) or "the same log", as_json=as_json)


@contextmanager
def _log(settings: Settings, *, of_broker: bool = False) -> Iterator[AuditLog]:
    """The log, for reading beside whoever writes it."""
    log = open_audit_reader(settings, open_keyring(settings), of_broker=of_broker)
    try:
        yield log
    finally:
        log.close()


def _show(outcome: AuditVerification, more: str, *, as_json: bool) -> int:
    if not outcome.consistent:
        verdict = f"NOT CONSISTENT at {outcome.first_bad_index}: {outcome.problem}"
    elif outcome.complete:
        verdict = f"consistent; complete up to the anchor of {outcome.anchored} entries{more}"
    else:
        verdict = f"{outcome.problem}{more}"
    told = f"{outcome.entries} entries, head {outcome.head[:16]}…: {verdict}"
    render.result(dataclasses.asdict(outcome), told, as_json=as_json)
    return 0 if outcome.consistent else 1


def _leaf(file: Path, wanted: int) -> bytes:
    with file.open("rb") as lines:
        for index, line in enumerate(lines):
            if index == wanted:
                return leaf_hash(line.removesuffix(b"\n"))
    return b""


def _receipt(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    receipt_id, _, digest = text.partition(":")
    if not receipt_id or len(digest) != 64:
        raise InvalidRequestError("a receipt is RECEIPT_ID:AUDIT_HASH")
    return receipt_id, digest
