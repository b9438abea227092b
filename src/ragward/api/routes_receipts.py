"""Receipts of answers: for who got the answer, and for officers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from ragward.api.context import Asker, Parts
from ragward.api.problems import responses

router = APIRouter(prefix="/v1/receipts", tags=["receipts"])

AnswerId = Annotated[str, Path(min_length=1, max_length=100)]


class HeldReceiptModel(BaseModel):
    """A receipt as it is kept: `proof` may be put in when there is one."""

    v: int = 1
    event: str = Field(description="The leaf's bytes, as they were hashed.")
    salt: str = Field(description="Hex.")
    proof: str | None = Field(None, description="C2SP tlog-proof of the leaf.")


class ReceiptProofModel(BaseModel):
    """That the log holds the receipt, to be checked with the log's public key alone."""

    proof: str


class ReceiptRoleModel(BaseModel):
    """A role somebody had for a time."""

    member: str
    group: str
    not_before: int
    not_after: int
    emergency: bool


class ReceiptPolicyModel(BaseModel):
    """The policy that decided, as Casbin CSV, and the roles for a time that held then."""

    version: int
    lines: list[str]
    timed: list[ReceiptRoleModel]


class ReceiptLabelModel(BaseModel):
    """A label as it was when it was decided on."""

    label: int
    corpus: str
    classification: str
    compartments: list[str]
    granted: list[str]
    denied: list[str]
    valid_from: int | None
    valid_until: int | None


class ReceiptBundleModel(HeldReceiptModel):
    """A receipt, and everything that its answer can be decided again from."""

    officer: dict[str, Any]
    policy: ReceiptPolicyModel | None
    labels: list[ReceiptLabelModel]


@router.get("/{answer_id}", operation_id="get_receipt", responses=responses(404))
def get_receipt(answer_id: AnswerId, parts: Parts, subject: Asker) -> HeldReceiptModel:
    """The receipt of an answer, for whoever got it; another's receipt and none are the same 404."""
    held = parts.ragward.receipts.receipt(subject, answer_id)
    return HeldReceiptModel(event=held.event.decode(), salt=held.salt.hex(), proof=None)


@router.get("/{answer_id}/proof", operation_id="prove_receipt", responses=responses(404))
def prove_receipt(answer_id: AnswerId, parts: Parts, subject: Asker) -> ReceiptProofModel:
    """That the log holds it. The proof tells how large the log is."""
    return ReceiptProofModel(proof=parts.ragward.receipts.proof(subject, answer_id).text())


@router.get("/{answer_id}/bundle", operation_id="get_receipt_bundle", responses=responses(403, 404))
def get_receipt_bundle(answer_id: AnswerId, parts: Parts, subject: Asker) -> ReceiptBundleModel:
    """The officer's part, decrypted, with the policy and the labels it was decided by. Recorded."""
    return ReceiptBundleModel.model_validate(
        parts.ragward.receipts.bundle(subject, answer_id).body()
    )
