"""Tables and lines for people, and the same as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ragward.domain.assurance import StepUp
from ragward.domain.audit import AuditEntry
from ragward.domain.corpus import DocumentRecord
from ragward.domain.marking import NOTICE
from ragward.domain.passages import Answer, Passage
from ragward.relabelling import FolderRelabelling

COLOURS: Final = {
    "PUBLIC": "green",
    "INTERNAL": "cyan",
    "CONFIDENTIAL": "yellow",
    "RESTRICTED": "red",
}


def console(*, stderr: bool = False) -> Console:
    """Plain and wide enough where nobody looks."""
    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=120)


def result(body: Mapping[str, Any], line: str, *, as_json: bool) -> None:
    """One result."""
    typer.echo(json.dumps(body) if as_json else line)


def badge(level: str) -> Text:
    """A classification in its colour."""
    return Text(level, style=f"bold {COLOURS.get(level, 'white')}")


def shown(text: str, width: int = 240) -> Text:
    """A passage in one paragraph, placeholders marked."""
    flat = " ".join(text.split())
    out = Text(flat if len(flat) <= width else flat[: width - 1] + "…")
    out.highlight_regex(r"<[A-Z_]+>", "bold magenta")
    out.highlight_regex(r"\[…\]", "dim")
    return out


def answer_json(answer: Answer) -> dict[str, Any]:
    """An answer as the API gives it."""
    return {
        "passages": [passage_json(item, answer) for item in answer.passages],
        "classification": answer.classification.name,
        "near_duplicates_removed": answer.near_duplicates_removed,
        "not_answering_removed": answer.not_answering_removed,
        "query_flags": list(answer.query_flags),
        "delimiter": answer.delimiter,
        "notice": NOTICE,
        "receipt": {
            "receipt_id": answer.receipt.receipt_id,
            "recorded_at": answer.receipt.recorded_at,
            "audit_hash": answer.receipt.audit_hash,
            "epoch_token": answer.receipt.epoch_token,
            "salt": answer.receipt.salt,
            "receipt_hash": answer.receipt.receipt_hash,
        },
        "step_up": step_up_json(answer.step_up),
    }


def step_up_json(wanted: StepUp | None) -> dict[str, Any] | None:
    """What proof is missing, as the API says it."""
    if wanted is None:
        return None
    return {
        "acr_values": list(wanted.acr_values),
        "max_age": wanted.max_age,
        "lacks": sorted(wanted.lacks),
    }


def passage_json(item: Passage, answer: Answer) -> dict[str, Any]:
    """A passage as the API gives it."""
    return {
        "document_id": item.document_id,
        "chunk_id": item.chunk_id,
        "corpus": item.corpus,
        "source": item.source,
        "title": item.title,
        "classification": item.classification.name,
        "text": item.text,
        "rank": item.rank,
        "score": item.score,
        "share": item.share,
        "cut": {
            "sentences": item.cut.sentences,
            "tokens": item.cut.tokens,
            "ranges": [list(each) for each in item.cut.ranges],
        },
        "removed": dict(item.removed),
        "altered": dict(item.altered),
        "flagged": item.flagged,
        "trust": item.trust.value,
        "marked_text": answer.marked_text(item),
        "attributes": dict(item.attributes),
    }


def answer(given: Answer) -> None:
    """An answer as a table, and its receipt."""
    table = Table("", "classification", "source", "shows", "removed", "text", show_lines=True)
    for item in given.passages:
        removed = ", ".join(f"{kind} {count}" for kind, count in sorted(item.removed.items()))
        table.add_row(
            str(item.rank),
            badge(item.classification.name),
            f"{item.corpus}:{item.source}",
            f"{item.share:.0%}",
            removed or "-",
            shown(item.text, 400),
        )
    out = console()
    out.print(table if given.passages else "nothing that you may read answers this")
    receipt = f"receipt {given.receipt.receipt_id}:{given.receipt.audit_hash}"
    out.print(receipt, style="dim", soft_wrap=True)  # to be copied
    out.print(
        f"left out: near-duplicates {given.near_duplicates_removed}, not answering {given.not_answering_removed}",
        style="dim",
    )
    if more := missing_proof(given.step_up):
        out.print(more, style="yellow", soft_wrap=True)


def missing_proof(wanted: StepUp | None) -> str:
    """What would show more, for people; nothing where nothing would."""
    if wanted is None:
        return ""
    acr = f" (acr {' or '.join(wanted.acr_values)})" if wanted.acr_values else ""
    age = f", not older than {wanted.max_age} s" if wanted.max_age is not None else ""
    return f"there is more that you may read with better proof of who you are{acr}{age}: missing {', '.join(sorted(wanted.lacks))}"


def documents(
    found: Sequence[DocumentRecord], *, next_page_token: str | None, as_json: bool
) -> None:
    """Documents in a table."""
    if as_json:
        body = {
            "documents": [document_json(record) for record in found],
            "next_page_token": next_page_token,
        }
        typer.echo(json.dumps(body))
        return
    table = Table("document", "source", "classification", "state", "chunks")
    for record in found:
        table.add_row(
            record.document_id,
            f"{record.corpus}:{record.source}",
            badge(record.label.classification.name),
            record.state.value,
            str(record.chunk_count),
        )
    console().print(table)
    if next_page_token is not None:
        typer.echo(f"there are more: --page-token {next_page_token}")


def folder(done: FolderRelabelling, epoch_token: str, *, dry_run: bool, as_json: bool) -> None:
    """What became of a folder."""
    if as_json:
        body = asdict(done) | {"dry_run": dry_run, "epoch_token": epoch_token}
        typer.echo(json.dumps(body))
        return
    table = Table("classification before", "after", "documents")
    for before, after, count in done.classifications:
        table.add_row(before, after, str(count))
    verb = "would change" if dry_run else "changed"
    console().print(f"{done.changed} of {done.documents} documents {verb}")
    if done.classifications:
        console().print(table)
    if done.rewrap_pending:
        console().print(f"{done.rewrap_pending} cannot be read until their key is there again")


def document(record: DocumentRecord, *, as_json: bool) -> None:
    """What the catalog says of a document."""
    body = document_json(record)
    if as_json:
        typer.echo(json.dumps(body))
        return
    table = Table("", "", show_header=False)
    for name, value in body.items():
        lines = value if isinstance(value, list) else [value]
        text = "\n".join("-" if line is None else str(line) for line in lines)
        table.add_row(name, badge(text) if name == "classification" else text)
    console().print(table)


def document_json(record: DocumentRecord) -> dict[str, Any]:
    """A document with its whole label, for stewards."""
    label = record.label
    return {
        "document_id": record.document_id,
        "version": record.version,
        "corpus": record.corpus,
        "source": record.source,
        "title": record.title,
        "state": record.state.value,
        "classification": label.classification.name,
        "compartments": sorted(label.compartments),
        "granted": sorted(label.granted),
        "denied": sorted(label.denied),
        "valid_from": label.valid_from,
        "valid_until": label.valid_until,
        "chunks": record.chunk_count,
        "gone_since": record.gone_since,
        "attributes": dict(record.attributes),
        "evidence": list(record.evidence),
    }


def checks(findings: Sequence[tuple[str, bool, str, str]], *, as_json: bool) -> None:
    """What doctor found, and what to do about it."""
    if as_json:
        found = [{"check": n, "ok": ok, "detail": d, "todo": todo} for n, ok, d, todo in findings]
        typer.echo(json.dumps(found))
        return
    table = Table("check", "", "detail")
    for name, good, detail, _ in findings:
        table.add_row(name, Text("ok", "green") if good else Text("WRONG", "bold red"), detail)
    console().print(table)
    for name, good, _, todo in findings:
        if not good:
            console().print(Text.assemble((f"{name}: ", "bold"), todo), soft_wrap=True)


def entries(found: Sequence[AuditEntry], *, as_json: bool) -> None:
    """Log entries."""
    if as_json:
        typer.echo(json.dumps([json.loads(entry.data) | {"index": entry.index} for entry in found]))
        return
    table = Table("", "at", "type", "who", "decision")
    for entry in found:
        event = json.loads(entry.data)
        at = datetime.fromtimestamp(event["ts"] / 1000, UTC).isoformat(timespec="seconds")
        table.add_row(
            str(entry.index),
            at,
            event["type"],
            str(event["actor"].get("principal", "")),
            event["decision"],
        )
    console().print(table)


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
