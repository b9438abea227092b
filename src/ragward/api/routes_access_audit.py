"""The access audit: rights against their use, and taking away what nobody used."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from ragward.access_audit import MAX_DAYS
from ragward.adapters.report_access_html import access_page
from ragward.adapters.report_html import POLICY
from ragward.api.context import Asker, Parts, stamp
from ragward.api.problems import responses
from ragward.api.schemas import Strict
from ragward.api.schemas_policy import OutcomeModel, Why
from ragward.domain.access_audit import ApplicationUse, PrincipalUse, RoleUse
from ragward.domain.access_report import AccessAudit

router = APIRouter(prefix="/v1/access-audit", tags=["administration"])
#: More of the log is read on the command line, which nobody waits for.
MAX_EVENTS: Final = 200_000
Days = Annotated[int, Query(ge=1, le=MAX_DAYS, description="The window, until now.")]


class PrincipalUseModel(BaseModel):
    """One person, application or agent. `last_used` is in Unix seconds, 0 for never in the window."""

    who: str
    reachable_labels: int
    reachable_documents: int
    used_labels: int
    used_documents: int
    answers: int
    last_used: int


class RoleUseModel(BaseModel):
    """One group or role: how many are in it, through whom and by which rows it was used."""

    role: str
    members: int
    members_using: int
    rows: int
    rows_used: int


class ApplicationUseModel(BaseModel):
    """One application: what may pass through it, what did, and what would suffice."""

    application: str
    answers: int
    ceiling: str
    corpora: list[str]
    highest: str | None
    passed_corpora: list[str]
    sufficient_ceiling: str | None = Field(description="Null where nothing is proposed.")
    sufficient_corpora: list[str] | None


class LeftModel(BaseModel):
    """An unused right that is not proposed, and why."""

    right: str
    why: str


class AlarmModel(BaseModel):
    """An alarm and the first restriction after it; Unix seconds."""

    event_id: str
    type: str
    at: int
    contained_at: int | None


class PostureModel(BaseModel):
    """How the tenant stands; null is not recorded, or nothing to count. Shares are of 1."""

    over_privilege: float | None
    mfa_coverage: float | None
    mfa_unrecorded: int
    keys_in_time: float | None
    seconds_to_contain: float | None
    alarms: list[AlarmModel]


class AccessAuditModel(BaseModel):
    """The audit. `digest` names what it proposes, for applying it."""

    begin: int
    end: int
    policy_version: int
    digest: str
    answers: int
    gaps: int = Field(description="Where the log lacks events: then nothing is proposed.")
    evaluations: int = Field(
        description="What other enforcement points were permitted, which counts as nobody's use."
    )
    proposed: list[str] = Field(description="Policy lines that nobody used.")
    left: list[LeftModel]
    principals: list[PrincipalUseModel]
    roles: list[RoleUseModel]
    applications: list[ApplicationUseModel]
    posture: PostureModel

    @classmethod
    def of(cls, found: AccessAudit) -> AccessAuditModel:
        """From the flow's."""
        stands = found.posture
        alarms = [
            AlarmModel(event_id=a.event_id, type=a.type, at=a.at, contained_at=a.contained_at)
            for a in stands.alarms
        ]
        return cls(
            begin=found.begin,
            end=found.end,
            policy_version=found.policy_version,
            digest=found.digest(),
            answers=found.answers,
            gaps=found.gaps,
            evaluations=found.evaluations,
            proposed=found.unused.lines(),
            left=[LeftModel(right=each.line, why=each.why.value) for each in found.unused.left],
            principals=[_principal(use) for use in found.principals],
            roles=[_role(use) for use in found.roles],
            applications=[_application(use) for use in found.applications],
            posture=PostureModel(
                over_privilege=stands.over_privilege,
                mfa_coverage=stands.mfa_coverage,
                mfa_unrecorded=stands.mfa_unrecorded,
                keys_in_time=stands.keys_in_time,
                seconds_to_contain=stands.seconds_to_contain,
                alarms=alarms,
            ),
        )


class ApplyRequest(Strict):
    """Which proposal, as somebody looked at it."""

    days: int = Field(ge=1, le=MAX_DAYS)
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    reason: Why
    applications: bool = Field(False, description="Narrow applications too.")


class AppliedModel(BaseModel):
    """What became of it."""

    policy: OutcomeModel
    narrowed: list[str] = Field(description="Applications that let less through now.")


@router.get("", operation_id="get_access_audit", responses=responses(403))
def get_access_audit(parts: Parts, subject: Asker, days: Days = 90) -> AccessAuditModel:
    """What could be reached, what was, and what can be taken away; 422 for more of the log than is read while you wait."""
    flow = parts.ragward.access_auditing
    return AccessAuditModel.of(flow.audit(subject, days=days, max_events=MAX_EVENTS))


@router.get(
    "/report",
    operation_id="report_access_audit",
    response_class=HTMLResponse,
    responses=responses(403),
)
def report_access_audit(parts: Parts, subject: Asker, days: Days = 90) -> HTMLResponse:
    """The same as one page that loads nothing."""
    found = parts.ragward.access_auditing.audit(subject, days=days, max_events=MAX_EVENTS)
    return HTMLResponse(access_page(found), headers={"Content-Security-Policy": POLICY})


@router.post(
    "/apply",
    operation_id="apply_access_audit",
    responses={
        202: {"description": "It waits for a second person.", "model": AppliedModel},
        **responses(403, 409),
    },
)
def apply_access_audit(
    body: ApplyRequest, parts: Parts, subject: Asker, response: Response
) -> AppliedModel:
    """Takes away what was proposed, as one change of the policy; 409 if the audit proposes something else by now."""
    applied = parts.ragward.access_auditing.apply(
        subject,
        days=body.days,
        digest=body.digest,
        reason=body.reason,
        applications=body.applications,
    )
    stamp(response, parts, subject)
    if applied.policy.proposal is not None:
        response.status_code = 202
    return AppliedModel(
        policy=OutcomeModel.of(applied.policy),
        narrowed=[application.principal for application in applied.narrowed],
    )


def _principal(use: PrincipalUse) -> PrincipalUseModel:
    return PrincipalUseModel(
        who=use.principal,
        reachable_labels=use.reachable_labels,
        reachable_documents=use.reachable_documents,
        used_labels=use.used_labels,
        used_documents=use.used_documents,
        answers=use.answers,
        last_used=use.last_used,
    )


def _role(use: RoleUse) -> RoleUseModel:
    return RoleUseModel(
        role=use.principal,
        members=use.members,
        members_using=use.members_using,
        rows=use.rows,
        rows_used=use.rows_used,
    )


def _application(use: ApplicationUse) -> ApplicationUseModel:
    enough = use.narrowed
    return ApplicationUseModel(
        application=use.application.principal,
        answers=use.answers,
        ceiling=use.application.ceiling.name,
        corpora=sorted(use.application.corpora),
        highest=None if use.highest is None else use.highest.name,
        passed_corpora=sorted(use.corpora),
        sufficient_ceiling=None if enough is None else enough.ceiling.name,
        sufficient_corpora=None if enough is None else sorted(enough.corpora),
    )
