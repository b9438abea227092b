"""Honey documents."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ragward.api.context import Asker, Parts
from ragward.api.problems import responses
from ragward.api.schemas import Level, Name, Strict
from ragward.domain.labels import Classification

router = APIRouter(prefix="/v1", tags=["honey"])


class HoneyBody(Strict):
    """A text that looks worth stealing, and where it is to lie."""

    corpus: Name
    source: str = Field(min_length=1, max_length=1024, examples=["board/merger.md"])
    content: str = Field(min_length=1, max_length=100_000)
    classification: Level = "INTERNAL"


class HoneyModel(BaseModel):
    """A honey document; its id is what the log names when it is touched."""

    document_id: str
    corpus: str
    source: str
    state: str


@router.post("/honey", status_code=201, operation_id="plant_honey", responses=responses(403, 409))
def plant_honey(body: HoneyBody, parts: Parts, subject: Asker) -> HoneyModel:
    """Plants a document that nobody may read: whoever touches it is recorded as `honey.touched`, and sees nothing."""
    ragward = parts.ragward
    done = ragward.planting.plant(
        subject,
        body.corpus,
        body.source,
        body.content.encode(errors="replace"),
        Classification.parse(body.classification),
    )
    return HoneyModel(
        document_id=done.document_id or "",
        corpus=body.corpus,
        source=body.source,
        state="quarantined" if done.code else "active",
    )


@router.get("/honey", operation_id="list_honey", responses=responses(403))
def list_honey(parts: Parts, subject: Asker) -> list[HoneyModel]:
    """The honey documents that are there, for who reads the log."""
    return [
        HoneyModel(
            document_id=record.document_id,
            corpus=record.corpus,
            source=record.source,
            state=record.state.value,
        )
        for record in parts.ragward.planting.planted(subject)
    ]
