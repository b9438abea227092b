"""Keys and what is shredded with them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from ragward.api.context import Asker, Parts, stamp
from ragward.api.problems import responses
from ragward.api.schemas_keys import (
    DestroyRequest,
    FinishBody,
    KeyModel,
    RotateRequest,
    RotateResponse,
    ShredBody,
    ShredModel,
)
from ragward.domain.envelope import KeyPurpose
from ragward.domain.labels import Classification
from ragward.domain.shredding import Copies, ShredKind, ShredRequest

router = APIRouter(prefix="/v1", tags=["keys"])
Id = Annotated[str, Path(min_length=1, max_length=100)]


@router.get("/keys", operation_id="get_keys", responses=responses(403))
def get_keys(parts: Parts, subject: Asker) -> list[KeyModel]:
    """KEK versions, what lies under them and what is due, without key material; how far a rotation is."""
    return [KeyModel.of(found) for found in parts.ragward.rotation.keys(subject)]


@router.post("/keys/rotate", status_code=202, operation_id="rotate_key", responses=responses(403))
def rotate_key(body: RotateRequest, parts: Parts, subject: Asker) -> RotateResponse:
    """A new KEK version for what is written from now on; what is there is moved to it in the background."""
    level = Classification.parse(body.classification)
    begun = parts.ragward.rotation.begin(subject, level, KeyPurpose(body.purpose))
    parts.maintenance.wake()
    return RotateResponse.of(begun)


@router.post(
    "/keys/destroy",
    status_code=204,
    operation_id="destroy_key",
    responses=responses(403, 404, 409),
)
def destroy_key(body: DestroyRequest, parts: Parts, subject: Asker) -> None:
    """Erases a KEK version for good, once nothing is wrapped under it."""
    parts.ragward.rotation.destroy(subject, body.kek_id, body.version, body.reason)


@router.post("/shred", operation_id="shred", responses=responses(403, 404, 409))
def shred(body: ShredBody, parts: Parts, subject: Asker, response: Response) -> ShredModel:
    """Destroys documents and the keys they are under. Nothing to shred and not yours are the same 404;
    what legal holds keep is a 409, or named in the receipt where it is not all."""
    request = ShredRequest(
        kind=ShredKind(body.kind),
        target=body.target,
        identifiers=tuple(body.identifiers),
        reason=body.reason,
        dry_run=body.dry_run,
    )
    evidence = parts.ragward.shredding.shredded(subject, request)
    stamp(response, parts, subject)
    return ShredModel.of(evidence)


@router.get("/shred", operation_id="list_shreddings", responses=responses(403))
def list_shreddings(parts: Parts, subject: Asker) -> list[ShredModel]:
    """The receipts of this tenant, newest first."""
    return [ShredModel.of(found) for found in parts.ragward.shredding.receipts(subject)]


@router.get("/shred/{receipt_id}", operation_id="get_shredding", responses=responses(404))
def get_shredding(receipt_id: Id, parts: Parts, subject: Asker) -> ShredModel:
    """A receipt, checked against log, catalog and keyring as they are now."""
    return ShredModel.of(parts.ragward.shredding.show(subject, receipt_id))


@router.post(
    "/shred/{receipt_id}/finish",
    operation_id="finish_shredding",
    responses=responses(403, 404, 409),
)
def finish_shredding(receipt_id: Id, body: FinishBody, parts: Parts, subject: Asker) -> ShredModel:
    """Rolls the KEKs and destroys the versions from before, as far as it may by now; call again until nothing is left."""
    gone = [Copies(name) for name in body.gone]
    return ShredModel.of(
        parts.ragward.shredding.finish(subject, receipt_id, body.reason, gone, roll=body.roll)
    )
