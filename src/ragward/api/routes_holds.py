"""Legal holds and retention."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from ragward.api.context import Asker, Parts, stamp
from ragward.api.problems import responses
from ragward.api.schemas import Strict, Whole
from ragward.api.schemas_keys import Identifier, Reason
from ragward.domain.holds import HoldKind, HoldReport, HoldRequest
from ragward.domain.mentions import MAX_IDENTIFIERS
from ragward.retention import MAX_DOCUMENTS, RetentionRun

router = APIRouter(prefix="/v1", tags=["holds and retention"])
Id = Annotated[str, Path(min_length=1, max_length=100)]


class HoldBody(Strict):
    """What is to be held: a document's id; CORPUS:FOLDER/ or CORPUS:; or a person, by user:TENANT/NAME, by identifiers as
    texts have them, or both."""

    kind: Literal["document", "source", "subject"]
    target: str = Field("", max_length=1200)
    identifiers: list[Identifier] = Field(default_factory=list, max_length=MAX_IDENTIFIERS)
    reason: Reason


class LiftBody(Strict):
    """Why."""

    reason: Reason


class HoldModel(BaseModel):
    """A hold. Of a person, `target` is a keyed tag. `documents`: how many it covers now; `complete` is false where some could
    not be opened when it was placed."""

    hold_id: str
    kind: str
    target: str
    state: str
    reason: str
    placed_by: str
    placed_at: int
    lift_requested_by: str | None
    lift_reason: str
    lifted_by: str | None
    lifted_at: int | None
    documents: int
    complete: bool

    @classmethod
    def of(cls, report: HoldReport) -> HoldModel:
        """From the domain's."""
        hold = report.hold
        return cls(
            hold_id=hold.hold_id,
            kind=hold.kind.value,
            target=hold.target,
            state=hold.state.value,
            reason=hold.reason,
            placed_by=hold.placed_by,
            placed_at=hold.placed_at,
            lift_requested_by=hold.lift_requested_by,
            lift_reason=hold.lift_reason,
            lifted_by=hold.lifted_by,
            lifted_at=hold.lifted_at,
            documents=report.documents,
            complete=report.complete,
        )


class RetentionBody(Strict):
    """Where to go on, and how far."""

    dry_run: bool = False
    limit: Whole = Field(100, ge=1, le=MAX_DOCUMENTS)
    after_corpus: str = Field("", max_length=63)
    after_source: str = Field("", max_length=1024)


class RetentionResponse(BaseModel):
    """What was due, by rule, how much of it legal holds keep, and the receipts; `next` to go on from, null at the end."""

    looked_at: int
    due: dict[str, int]
    held: int
    receipts: list[str]
    next_corpus: str | None
    next_source: str | None

    @classmethod
    def of(cls, run: RetentionRun) -> RetentionResponse:
        """The answer to one run."""
        corpus, source = run.next_after or (None, None)
        return cls(
            looked_at=run.looked_at,
            due=dict(run.due),
            held=run.held,
            receipts=list(run.receipts),
            next_corpus=corpus,
            next_source=source,
        )


@router.post("/holds", status_code=201, operation_id="place_hold", responses=responses(403, 404))
def place_hold(body: HoldBody, parts: Parts, subject: Asker) -> HoldModel:
    """From here on nothing takes the bytes away: shredding, retention, deletion, or replacement at the source."""
    request = HoldRequest(
        kind=HoldKind(body.kind),
        target=body.target,
        identifiers=tuple(body.identifiers),
        reason=body.reason,
    )
    return HoldModel.of(parts.ragward.holding.place(subject, request))


@router.get("/holds", operation_id="list_holds", responses=responses(403))
def list_holds(
    parts: Parts, subject: Asker, lifted: Annotated[bool, Query()] = False
) -> list[HoldModel]:
    """The holds in force, newest first; with `lifted` all."""
    return [HoldModel.of(found) for found in parts.ragward.holding.holds(subject, lifted=lifted)]


@router.post("/holds/{hold_id}/lift", operation_id="lift_hold", responses=responses(403, 404, 409))
def lift_hold(
    hold_id: Id, body: LiftBody, parts: Parts, subject: Asker, response: Response
) -> HoldModel:
    """Asks for it to be lifted; a second person's call lifts it (`four_eyes`), and what only it kept goes."""
    report = parts.ragward.holding.lift(subject, hold_id, body.reason)
    stamp(response, parts, subject)
    return HoldModel.of(report)


@router.post("/retention/run", operation_id="run_retention", responses=responses(403, 409))
def run_retention(
    body: RetentionBody, parts: Parts, subject: Asker, response: Response
) -> RetentionResponse:
    """Shreds what is due among the next documents, with a receipt for each rule. Ask again until `next` is null."""
    after = (body.after_corpus, body.after_source) if body.after_corpus else None
    run = parts.ragward.retention.run(subject, dry_run=body.dry_run, limit=body.limit, after=after)
    stamp(response, parts, subject)
    return RetentionResponse.of(run)
