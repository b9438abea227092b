"""Personal data: pseudonyms turned back, and stored findings brought up to date."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from ragward.api.context import Asker, Parts, stamp
from ragward.api.problems import responses
from ragward.api.schemas import Strict, Whole
from ragward.disclosure import MAX_TEXT_CHARACTERS
from ragward.domain.pseudonyms import MAX_VALUE_CHARACTERS, PseudonymErasure
from ragward.rescanning import MAX_DOCUMENTS, Rescanned

router = APIRouter(prefix="/v1", tags=["personal data"])


class RevealRequest(Strict):
    """A text, from a model for example, with pseudonyms in it."""

    text: str = Field(max_length=MAX_TEXT_CHARACTERS)
    purpose: str = Field(
        "", pattern=r"^([a-z][a-z0-9_-]{0,31})?$", description="The one they were issued for."
    )
    reason: str = Field(min_length=8, max_length=500)


class RevealResponse(BaseModel):
    """The text with the values that this asker may see; counts by type of what was turned back and what was not."""

    text: str
    revealed: dict[str, int]
    refused: dict[str, int]


class EraseRequest(Strict):
    """A value, exactly as it stands in texts, or a token of the vault."""

    value: str = Field("", max_length=MAX_VALUE_CHARACTERS)
    token: str = Field("", max_length=800)
    reason: str = Field(min_length=8, max_length=500)


class EraseResponse(BaseModel):
    """How many pseudonyms there were."""

    erased: int


class RescanRequest(Strict):
    """Where to go on, and how far."""

    limit: Whole = Field(100, ge=1, le=MAX_DOCUMENTS)
    after_corpus: str = Field("", max_length=63)
    after_source: str = Field("", max_length=1024)
    older_than: str = Field(
        "",
        max_length=200,
        description="Only what was done by versions in use before this one (`GET /v1/lineage/versions`).",
    )


class RescanResponse(BaseModel):
    """What was done; `next` to go on from, null at the end."""

    looked_at: int
    changed: int
    embedded: int
    raised: int
    next_corpus: str | None
    next_source: str | None

    @classmethod
    def of(cls, done: Rescanned) -> RescanResponse:
        """The answer to one run."""
        corpus, source = done.next_after or (None, None)
        return cls(
            looked_at=done.looked_at,
            changed=done.changed,
            embedded=done.embedded,
            raised=done.raised,
            next_corpus=corpus,
            next_source=source,
        )


@router.post("/pseudonyms/reveal", operation_id="reveal_pseudonyms", responses=responses(422))
def reveal_pseudonyms(body: RevealRequest, parts: Parts, subject: Asker) -> RevealResponse:
    """Pseudonyms back to values, wherever they stand; each is on record before it is shown. What may not be shown, was
    changed or was issued elsewhere stays as it is."""
    done = parts.ragward.disclosure.reveal(
        subject, body.text, purpose=body.purpose, reason=body.reason
    )
    return RevealResponse(text=done.text, revealed=dict(done.revealed), refused=dict(done.refused))


@router.post("/pseudonyms/erase", operation_id="erase_pseudonyms", responses=responses(403, 422))
def erase_pseudonyms(body: EraseRequest, parts: Parts, subject: Asker) -> EraseResponse:
    """Random pseudonyms of a value, of every type and purpose, or one by its token: nobody turns them back afterwards, and
    the value gets a new one. Derived pseudonyms cannot be erased."""
    erasure = PseudonymErasure(value=body.value, token=body.token)
    return EraseResponse(erased=parts.ragward.disclosure.erase(subject, erasure, body.reason))


@router.post("/pii/rescan", operation_id="rescan_personal_data", responses=responses(403, 422))
def rescan(body: RescanRequest, parts: Parts, subject: Asker, response: Response) -> RescanResponse:
    """The next documents, scanned again where another detector version scanned them. Ask again until `next` is null."""
    after = (body.after_corpus, body.after_source) if body.after_corpus else None
    done = parts.ragward.rescanning.run(
        subject, limit=body.limit, after=after, older_than=body.older_than
    )
    stamp(response, parts, subject)
    return RescanResponse.of(done)
