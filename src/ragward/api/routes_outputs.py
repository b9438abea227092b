"""Answers of models, before people get them."""

from __future__ import annotations

from fastapi import APIRouter

from ragward.api.context import Asker, Parts
from ragward.api.problems import responses
from ragward.api.schemas_outputs import InspectOutputRequest, InspectOutputResponse
from ragward.domain.outputs import OutputToInspect

router = APIRouter(prefix="/v1/outputs", tags=["outputs"])


@router.post("/inspect", operation_id="inspect_output", responses=responses(404))
def inspect_output(
    body: InspectOutputRequest, parts: Parts, subject: Asker
) -> InspectOutputResponse:
    """What of a model's answer may be shown to whoever got the receipt; another's receipt and none are the same 404."""
    output = OutputToInspect(
        receipt_id=body.receipt_id, answer=body.answer, citations=tuple(body.citations)
    )
    return InspectOutputResponse.of(parts.ragward.outputs.inspect(subject, output))
