"""Policy administration: read, check, try, write, approve, roll back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from ragward.api.context import ApiParts, Asker, Parts, stamp
from ragward.api.problems import responses
from ragward.api.schemas import ReasonRequest
from ragward.api.schemas_policy import (
    CheckModel,
    CheckRequest,
    DiffModel,
    DryRunModel,
    DryRunRequest,
    OutcomeModel,
    PolicyChangeRequest,
    PolicyModel,
    PolicyRequest,
    ProposalDetailModel,
    ProposalModel,
    RollbackRequest,
    VersionDetailModel,
    VersionModel,
)
from ragward.domain.access import Subject
from ragward.domain.errors import InvalidRequestError
from ragward.domain.policy_change import PolicyEdit, PolicyOutcome
from ragward.domain.policy_csv import write_csv
from ragward.policy_administration import PolicyAdministration

router = APIRouter(prefix="/v1/policy", tags=["policy"])

_Version = Annotated[int, Path(ge=1, le=2**53)]
_Proposal = Annotated[str, Path(min_length=1, max_length=100)]
_WRITTEN = {
    202: {"description": "It waits for a second person.", "model": OutcomeModel},
    **responses(403, 409),
}
_CSV = {
    200: {
        "description": "A file that Casbin reads.",
        "content": {"text/csv": {"schema": {"type": "string"}}},
    },
    **responses(403),
}


@router.get("", operation_id="get_policy", responses=responses(403))
def get_policy(parts: Parts, subject: Asker) -> PolicyModel:
    """The tenant's Casbin rows."""
    return PolicyModel.of(_administration(parts).policy(subject))


@router.put("", operation_id="replace_policy", responses=_WRITTEN)
def replace_policy(
    body: PolicyRequest, parts: Parts, subject: Asker, response: Response
) -> OutcomeModel:
    """Another policy, in force when this returns unless it waits for a second person; refused as a whole if a row is not valid."""
    outcome = _administration(parts).write(
        subject, body.edit(), reason=body.reason, expected_version=body.expected_version
    )
    return _outcome(outcome, response, parts, subject)


@router.patch("", operation_id="change_policy", responses=_WRITTEN)
def change_policy(
    body: PolicyChangeRequest, parts: Parts, subject: Asker, response: Response
) -> OutcomeModel:
    """Single rows and memberships added and removed, as `PUT` does with all."""
    outcome = _administration(parts).write(
        subject, body.edit(), reason=body.reason, expected_version=body.expected_version
    )
    return _outcome(outcome, response, parts, subject)


@router.get("/export", operation_id="export_policy", responses=_CSV, response_class=Response)
def export_policy(parts: Parts, subject: Asker) -> Response:
    """The policy as Casbin CSV."""
    policy = _administration(parts).policy(subject)
    return Response(write_csv(policy.rows, policy.memberships), media_type="text/csv")


@router.post("/check", operation_id="check_policy", responses=responses(403))
def check_policy(body: CheckRequest, parts: Parts, subject: Asker) -> CheckModel:
    """What is wrong, or looks wrong, with these rows or with the policy in force; nothing is written."""
    return CheckModel.of(_administration(parts).check(subject, body.lines()))


@router.post("/dry-run", operation_id="try_policy", responses=responses(403, 404))
def try_policy(body: DryRunRequest, parts: Parts, subject: Asker) -> DryRunModel:
    """Who would gain or lose how many documents; nothing is written."""
    run = _administration(parts).dry_run(subject, _edit(body, parts, subject))
    return DryRunModel.of(run)


@router.get("/versions", operation_id="get_policy_versions", responses=responses(403))
def get_policy_versions(
    parts: Parts,
    subject: Asker,
    before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[VersionModel]:
    """Versions, newest first."""
    found = _administration(parts).versions(subject, before=before, limit=limit)
    return [VersionModel.of(version) for version in found]


@router.get("/versions/{version}", operation_id="get_policy_version", responses=responses(403, 404))
def get_policy_version(version: _Version, parts: Parts, subject: Asker) -> VersionDetailModel:
    """A version, its rows, and what it changed."""
    return VersionDetailModel.whole(*_administration(parts).version(subject, version))


@router.get("/diff", operation_id="diff_policy_versions", responses=responses(403, 404))
def diff_policy_versions(
    parts: Parts,
    subject: Asker,
    older: Annotated[int, Query(alias="from", ge=1, le=2**53)],
    newer: Annotated[int, Query(alias="to", ge=1, le=2**53)],
) -> DiffModel:
    """What turns one version into another."""
    return DiffModel.of(_administration(parts).diff(subject, older, newer))


@router.post(
    "/rollback",
    operation_id="roll_back_policy",
    responses={**_WRITTEN, **responses(403, 404, 409)},
)
def roll_back_policy(
    body: RollbackRequest, parts: Parts, subject: Asker, response: Response
) -> OutcomeModel:
    """A new version equal to an old one; it may wait for a second person like any other change."""
    outcome = _administration(parts).roll_back(
        subject, body.version, reason=body.reason, expected_version=body.expected_version
    )
    return _outcome(outcome, response, parts, subject)


@router.get("/proposals", operation_id="get_policy_proposals", responses=responses(403))
def get_policy_proposals(
    parts: Parts, subject: Asker, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[ProposalModel]:
    """Proposals, newest first, whatever became of them."""
    found = _administration(parts).proposals(subject, limit=limit)
    return [ProposalModel.of(proposal) for proposal in found]


@router.get(
    "/proposals/{proposal_id}", operation_id="get_policy_proposal", responses=responses(403, 404)
)
def get_policy_proposal(
    proposal_id: _Proposal, parts: Parts, subject: Asker
) -> ProposalDetailModel:
    """A proposal and what it changes."""
    return ProposalDetailModel.whole(*_administration(parts).proposal(subject, proposal_id))


@router.post(
    "/proposals/{proposal_id}/approve",
    operation_id="approve_policy_proposal",
    responses=responses(403, 404, 409),
)
def approve_policy_proposal(
    proposal_id: _Proposal, body: ReasonRequest, parts: Parts, subject: Asker, response: Response
) -> OutcomeModel:
    """Puts a proposal in force; for somebody other than its author, in person."""
    outcome = _administration(parts).approve(subject, proposal_id, reason=body.reason)
    return _outcome(outcome, response, parts, subject)


@router.post(
    "/proposals/{proposal_id}/reject",
    operation_id="reject_policy_proposal",
    responses=responses(403, 404, 409),
)
def reject_policy_proposal(
    proposal_id: _Proposal, body: ReasonRequest, parts: Parts, subject: Asker
) -> ProposalModel:
    """Ends a proposal; its author may do so too."""
    found = _administration(parts).reject(subject, proposal_id, reason=body.reason)
    return ProposalModel.of(found)


def _administration(parts: ApiParts) -> PolicyAdministration:
    return parts.ragward.policy_administration


def _outcome(
    outcome: PolicyOutcome, response: Response, parts: ApiParts, subject: Subject
) -> OutcomeModel:
    stamp(response, parts, subject)
    if outcome.proposal is not None:
        response.status_code = 202
    return OutcomeModel.of(outcome)


def _edit(body: DryRunRequest, parts: ApiParts, subject: Subject) -> PolicyEdit:
    """What is to be tried. Raises `request.invalid` unless exactly one thing is."""
    given = (body.policy, body.change, body.version, body.proposal_id)
    if sum(part is not None for part in given) != 1:
        raise InvalidRequestError("give one of policy, change, version, proposal_id")
    administration = _administration(parts)
    if body.version is not None:
        return administration.edit_back_to(subject, body.version)
    if body.proposal_id is not None:
        return administration.edit_of_proposal(subject, body.proposal_id)
    whole_or_change = body.policy or body.change
    assert whole_or_change is not None
    return whole_or_change.edit()
