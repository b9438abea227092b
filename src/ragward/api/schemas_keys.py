"""Keys and shredding, as they go over the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ragward.api.schemas import Level, Strict, Whole
from ragward.domain.mentions import MAX_CHARACTERS, MAX_IDENTIFIERS
from ragward.domain.rotation import KEKReport, RotationProgress
from ragward.domain.shredding import MEANING, ShredEvidence

Reason = Annotated[str, Field(min_length=8, max_length=500)]
Identifier = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]


class RotateRequest(Strict):
    """Which KEK: of what is stored under a classification, or, for RESTRICTED, of the vault of pseudonyms."""

    classification: Level
    purpose: Literal["content", "pseudonym"] = "content"


class RotateResponse(BaseModel):
    """The active version, and how many DEKs are to be moved to it. `resumed`: an earlier rotation was not finished, and goes
    on; rotate again for a new version."""

    kek_id: str
    version: int
    resumed: bool
    remaining: int

    @classmethod
    def of(cls, done: RotationProgress) -> RotateResponse:
        """From the domain's."""
        return cls(
            kek_id=done.kek_id, version=done.version, resumed=done.resumed, remaining=done.remaining
        )


class KeyModel(BaseModel):
    """A KEK version, without key material. `held`: DEKs that are wrapped under it now; `due`: what it wants done."""

    kek_id: str
    classification: str
    purpose: str
    version: int
    state: str
    provider: str
    created_at: int
    activated_at: int
    destroyed_at: int
    retired_at: int
    wraps: int
    held: int
    age_days: int
    due: list[str]

    @classmethod
    def of(cls, report: KEKReport) -> KeyModel:
        """From the domain's."""
        key = report.status
        return cls(
            kek_id=key.kek_id,
            classification=key.classification.name,
            purpose=key.purpose.value,
            version=key.version,
            state=key.state.value,
            provider=key.provider,
            created_at=key.created_at,
            activated_at=key.activated_at,
            destroyed_at=key.destroyed_at,
            retired_at=report.retired_at,
            wraps=key.wraps,
            held=report.held,
            age_days=report.age_days,
            due=[due.value for due in report.due],
        )


class DestroyRequest(Strict):
    """Which version, and why."""

    kek_id: str = Field(min_length=1, max_length=100)
    version: Whole = Field(ge=1, le=2**31)
    reason: Reason


class ShredBody(Strict):
    """What is to be shredded: a document's id; CORPUS:FOLDER/ or CORPUS:; a person, by user:TENANT/NAME, by `identifiers` as
    texts have them (names, addresses, numbers: every text is opened), or both; or the tenant's name."""

    kind: Literal["document", "source", "subject", "tenant"]
    target: str = Field("", max_length=1200)
    identifiers: list[Identifier] = Field(default_factory=list, max_length=MAX_IDENTIFIERS)
    reason: Reason
    dry_run: bool = False


class FinishBody(Strict):
    """`roll`: rotate the KEKs and destroy the versions from before. `gone`: copies that you state do not exist any more."""

    reason: Reason
    roll: bool = True
    gone: list[Literal["index", "keyring"]] = Field(default_factory=list, max_length=2)


class ObstacleModel(BaseModel):
    """Why it is not backup-proof."""

    code: str
    meaning: str


class StatementModel(BaseModel):
    """What an operator stated."""

    gone: str
    by: str
    at: int
    reason: str


class StoreModel(BaseModel):
    """A store, what was done there (`removed`, `shredded`, `retained`, `outside`), to how many items, and why."""

    store: str
    outcome: str
    items: int | None
    note: str


class ShredModel(BaseModel):
    """A receipt and what holds of it now; of a person or a folder, `target` is a keyed tag. `held`: documents that legal holds
    kept; `stores`: every store there is, once done. `recorded`: the audit log has its digest; `keys_gone`: none of its documents has a
    key in the catalog; `everything` is false where documents that the requester may not know of were left out, if any."""

    receipt_id: str
    kind: str
    target: str
    reason: str
    requested_by: str
    at: int
    level: str
    obstacles: list[ObstacleModel]
    documents: list[str]
    everything: bool
    counts: dict[str, int]
    held: list[str]
    stores: list[StoreModel]
    keks: list[str]
    statements: list[StatementModel]
    digest: str
    event_id: str
    recorded: bool
    keys_gone: bool

    @classmethod
    def of(cls, evidence: ShredEvidence) -> ShredModel:
        """From the domain's."""
        receipt = evidence.receipt
        return cls(
            receipt_id=receipt.receipt_id,
            kind=receipt.kind.value,
            target=receipt.target,
            reason=receipt.reason,
            requested_by=receipt.requested_by,
            at=receipt.at,
            level=evidence.level.value,
            obstacles=[ObstacleModel(code=o.value, meaning=MEANING[o]) for o in evidence.obstacles],
            documents=list(receipt.documents),
            everything=receipt.everything,
            counts=dict(receipt.counts),
            held=list(receipt.held),
            stores=[
                StoreModel(store=s.store, outcome=s.outcome.value, items=s.items, note=s.note)
                for s in receipt.stores
            ],
            keks=[f"{k.classification.name} {k.kek_id}/{k.version}" for k in receipt.keks],
            statements=[
                StatementModel(gone=s.gone.value, by=s.by, at=s.at, reason=s.reason)
                for s in receipt.statements
            ],
            digest=receipt.digest(),
            event_id=receipt.event_id,
            recorded=evidence.recorded,
            keys_gone=evidence.keys_gone,
        )
