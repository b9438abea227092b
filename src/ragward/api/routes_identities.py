"""Identities that are no persons: applications, agents and their keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from ragward.api.context import Asker, Parts, stamp
from ragward.api.problems import responses
from ragward.api.schemas import Level, Principal, Seconds, Strict, Text, Whole, level_of
from ragward.domain.identities import (
    MAX_OVERLAP_SECONDS,
    OVERLAP_SECONDS,
    Agent,
    Custody,
    Identity,
    Reported,
)

router = APIRouter(prefix="/v1/identities", tags=["identities"])
Kind = Literal["app", "agent"]
OwnName = Annotated[str, Path(min_length=1, max_length=300)]


class KeyModel(BaseModel):
    """A key, without itself; `key_id` is no secret. `last_used_at` is to the hour."""

    key_id: str
    created_at: int
    expires_at: int | None
    last_used_at: int | None


class IdentityModel(BaseModel):
    """An application or agent. Not `registered`: only the policy or a token names it."""

    kind: Literal["application", "agent"]
    principal: str
    client_id: str
    owner: str
    purpose: str
    corpora: list[str]
    ceiling: Level | None
    public_client: bool
    registered: bool
    created_at: int | None
    expires_at: int | None
    last_used_at: int | None
    keys: list[KeyModel]

    @classmethod
    def of(cls, identity: Identity) -> IdentityModel:
        """From the domain's."""
        return cls(**identity_fields(identity))


class FindingModel(BaseModel):
    """Something that a person should look at."""

    finding: str
    detail: str


class ReportedModel(BaseModel):
    """An identity, and what is wrong with it."""

    identity: IdentityModel
    findings: list[FindingModel]

    @classmethod
    def of(cls, reported: Reported) -> ReportedModel:
        """From the domain's."""
        return cls(
            identity=IdentityModel.of(reported.identity),
            findings=[
                FindingModel(finding=finding.value, detail=detail)
                for finding, detail in reported.findings
            ],
        )


class AgentBody(Strict):
    """An agent, the application it acts through, who answers for it and until when."""

    principal: Principal
    client_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")
    owner: Principal
    purpose: Text
    expires_at: Seconds
    with_key: bool = False


class AgentModel(BaseModel):
    """The agent's API key, shown this once."""

    principal: str
    api_key: str | None


class RotateBody(Strict):
    """How long the key before stays good."""

    overlap_seconds: Whole = Field(OVERLAP_SECONDS, ge=0, le=MAX_OVERLAP_SECONDS)


class RotatedModel(BaseModel):
    """The new key, shown this once."""

    principal: str
    api_key: str
    key_id: str
    expires_at: int
    earlier_end_at: int | None


def identity_fields(identity: Identity) -> dict[str, Any]:
    """As it goes over the wire."""
    level = None if identity.ceiling is None else level_of(identity.ceiling)
    return {
        "kind": identity.kind.value,
        "principal": identity.principal,
        "client_id": identity.client_id,
        "owner": identity.owner,
        "purpose": identity.purpose,
        "corpora": sorted(identity.corpora),
        "ceiling": level,
        "public_client": identity.public_client,
        "registered": identity.registered,
        "created_at": identity.created_at,
        "expires_at": identity.expires_at,
        "last_used_at": identity.last_used_at,
        "keys": [
            {
                "key_id": key.key_id,
                "created_at": key.created_at,
                "expires_at": key.expires_at,
                "last_used_at": key.last_used_at,
            }
            for key in identity.keys
        ],
    }


@router.get("", operation_id="list_identities", responses=responses(403))
def list_identities(parts: Parts, subject: Asker) -> list[IdentityModel]:
    """Every application and agent of the tenant, with owner, purpose, reach, keys, end and last use."""
    return [IdentityModel.of(each) for each in parts.ragward.identities.identities(subject)]


@router.get("/report", operation_id="report_identities", responses=responses(403))
def report_identities(parts: Parts, subject: Asker) -> list[ReportedModel]:
    """Those that are ownerless, unused, old, without an end, unregistered, or granted more than they use."""
    return [ReportedModel.of(each) for each in parts.ragward.identities.report(subject)]


@router.post("/agents", status_code=201, operation_id="register_agent", responses=responses(403))
def register_agent(body: AgentBody, parts: Parts, subject: Asker, response: Response) -> AgentModel:
    """An agent of a registered application; what it may read is the policy's business."""
    agent = Agent(
        principal=body.principal,
        tenant=subject.tenant,
        client_id=body.client_id,
        expires_at=body.expires_at,
    )
    custody = Custody(owner=body.owner, purpose=body.purpose)
    key = parts.ragward.identities.register_agent(subject, agent, custody, with_key=body.with_key)
    stamp(response, parts, subject)
    return AgentModel(principal=agent.principal, api_key=key)


@router.get("/{kind}/{name}", operation_id="get_identity", responses=responses(403, 404))
def get_identity(kind: Kind, name: OwnName, parts: Parts, subject: Asker) -> IdentityModel:
    """One of them: `app` or `agent`, and its name without the tenant."""
    principal = f"{kind}:{subject.tenant}/{name}"
    return IdentityModel.of(parts.ragward.identities.identity(subject, principal))


@router.post(
    "/{kind}/{name}/rotate",
    status_code=201,
    operation_id="rotate_identity",
    responses=responses(403, 404, 409),
)
def rotate_identity(
    kind: Kind, name: OwnName, body: RotateBody, parts: Parts, subject: Asker
) -> RotatedModel:
    """A new API key; the newest before it stays good for a bounded time, older ones end."""
    done = parts.ragward.identities.rotate(
        subject, f"{kind}:{subject.tenant}/{name}", overlap_seconds=body.overlap_seconds
    )
    return RotatedModel(
        principal=done.principal,
        api_key=done.key,
        key_id=done.key_id,
        expires_at=done.expires_at,
        earlier_end_at=done.earlier_end_at,
    )
