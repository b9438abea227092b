"""What `ragward receipt` does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragward.cli import render
from ragward.cli.commands import Caller, opened
from ragward.domain.checkpoints import LogKey
from ragward.domain.errors import InvalidRequestError
from ragward.domain.receipt_bundles import ReceiptBundle
from ragward.domain.receipts import GivenPassage, HeldReceipt, verified_receipt
from ragward.opening import open_pdp, resource, signature_verifier
from ragward.settings import Settings


def get(settings: Settings, receipt_id: str, file: Path, caller: Caller, *, as_json: bool) -> None:
    """`ragward receipt get`."""
    with opened(settings, caller) as (ragward, subject):
        held = ragward.receipts.receipt(subject, receipt_id)
        proof = ragward.receipts.proof(subject, receipt_id)
    file.write_text(dataclasses.replace(held, proof=proof).text(), encoding="utf-8")
    render.result({"receipt_id": receipt_id}, f"kept in {file}", as_json=as_json)


def bundle(
    settings: Settings, receipt_id: str, file: Path, caller: Caller, *, as_json: bool
) -> None:
    """`ragward receipt bundle`."""
    with opened(settings, caller) as (ragward, subject):
        found = ragward.receipts.bundle(subject, receipt_id)
    file.write_text(json.dumps(found.body(), indent=1) + "\n", encoding="utf-8")
    render.result({"receipt_id": receipt_id}, f"kept in {file}", as_json=as_json)


def verify(
    file: Path,
    key: str,
    answer: Path | None,
    subject: str | None,
    policies: Path | None,
    *,
    as_json: bool,
) -> int:
    """`ragward receipt verify`: needs no installation."""
    log_key = LogKey.parse(Path(key).read_text(encoding="utf-8") if "+" not in key else key)
    text = file.read_text(encoding="utf-8")
    found = ReceiptBundle.parse(text) if ReceiptBundle.is_one(text) else None
    held = HeldReceipt.parse(text) if found is None else found.held
    given = None if answer is None else _passages(answer)
    outcome = verified_receipt(held, given, log_key, signature_verifier(), principal=subject)
    told: dict[str, Any] = dataclasses.asdict(outcome)
    problem = outcome.problem
    if found is not None and not problem:
        wrong = found.problem(open_pdp(found, policies or resource("policies")))
        told["problem"] = problem = wrong
        told["decided_again"] = not wrong
    told["holds"] = outcome.included and not problem
    line = f"receipt {outcome.receipt_id} of {outcome.principal}: "
    line += problem or f"in the log of {outcome.size} entries"
    if not problem and given is not None:
        line += f", and these are its {outcome.passages} passages"
    if not problem and found is not None:
        line += ", and its policy permits each of them"
    render.result(told, line, as_json=as_json)
    return 0 if told["holds"] else 1


def _passages(answer: Path) -> list[GivenPassage]:
    """Raises `request.invalid`."""
    try:
        body: Mapping[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return [
            GivenPassage(rank=rank, chunk_id=item["chunk_id"], text=item["text"])
            for rank, item in enumerate(body["passages"], 1)
        ]
    except (ValueError, TypeError, KeyError):
        raise InvalidRequestError("not an answer as the API gives it") from None
