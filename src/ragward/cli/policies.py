"""What the policy commands do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from ragward import installation
from ragward.bootstrap import Ragward
from ragward.cli import render, render_policy
from ragward.cli.commands import Caller, opened
from ragward.domain.access import Subject
from ragward.domain.errors import InvalidRequestError
from ragward.domain.policy_change import PolicyEdit, ProposalState
from ragward.domain.policy_csv import read_csv, split_csv, write_csv
from ragward.domain.policy_review import review_lines
from ragward.opening import policy_duties
from ragward.settings import Settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a dry run is about: one of the three."""

    file: Path | None
    version: int | None
    proposal: str | None

    def edit(self, ragward: Ragward, subject: Subject) -> PolicyEdit:
        """Raises `request.invalid` unless exactly one thing is wanted."""
        if sum(part is not None for part in (self.file, self.version, self.proposal)) != 1:
            raise InvalidRequestError("give a file, --version or --proposal")
        if self.version is not None:
            return ragward.policy_administration.edit_back_to(subject, self.version)
        if self.proposal is not None:
            return ragward.policy_administration.edit_of_proposal(subject, self.proposal)
        assert self.file is not None
        return _edit_to(self.file)


def show(settings: Settings, version: int | None, caller: Caller, *, as_json: bool) -> None:
    """`ragward policy show`."""
    with opened(settings, caller) as (ragward, subject):
        administration = ragward.policy_administration
        if version is None:
            policy = administration.policy(subject)
        else:
            _, policy, _ = administration.version(subject, version)
    render_policy.policy(policy, as_json=as_json)


def check_file(file: Path, policies_dir: Path | None, *, as_json: bool) -> int:
    """`ragward policy check FILE`; 1 if a write would be refused."""
    with file.open(encoding="utf-8", newline="") as lines:
        findings = review_lines(split_csv(lines), policy_duties(policies_dir))
    return render_policy.findings(findings, as_json=as_json)


def check(settings: Settings, caller: Caller, *, as_json: bool) -> int:
    """`ragward policy check`; 1 if a write would be refused."""
    with opened(settings, caller) as (ragward, subject):
        findings = ragward.policy_administration.check(subject)
    return render_policy.findings(findings, as_json=as_json)


def diff(settings: Settings, wanted: Wanted, caller: Caller, *, as_json: bool) -> None:
    """`ragward policy diff`."""
    with opened(settings, caller) as (ragward, subject):
        run = ragward.policy_administration.dry_run(subject, wanted.edit(ragward, subject))
    render_policy.dry_run(run, as_json=as_json)


def apply(
    settings: Settings,
    file: Path,
    reason: str,
    expected_version: int | None,
    caller: Caller,
    *,
    as_json: bool,
) -> None:
    """`ragward policy apply` and `import`."""
    _write(settings, _edit_to(file), reason, expected_version, caller, as_json=as_json)


def change(
    settings: Settings,
    added: Sequence[str],
    removed: Sequence[str],
    reason: str,
    expected_version: int | None,
    caller: Caller,
    *,
    as_json: bool,
) -> None:
    """`ragward policy add` and `remove`."""
    add_rows, add_memberships = read_csv(added)
    remove_rows, remove_memberships = read_csv(removed)
    edit = PolicyEdit(
        add_rows=frozenset(add_rows),
        remove_rows=frozenset(remove_rows),
        add_memberships=frozenset(add_memberships),
        remove_memberships=frozenset(remove_memberships),
    )
    _write(settings, edit, reason, expected_version, caller, as_json=as_json)


def versions(settings: Settings, limit: int, caller: Caller, *, as_json: bool) -> None:
    """`ragward policy versions`."""
    with opened(settings, caller) as (ragward, subject):
        found = ragward.policy_administration.versions(subject, limit=limit)
    render_policy.versions(found, as_json=as_json)


def roll_back(
    settings: Settings,
    version: int,
    reason: str,
    expected_version: int | None,
    caller: Caller,
    *,
    as_json: bool,
) -> None:
    """`ragward policy rollback`."""
    with opened(settings, caller) as (ragward, subject):
        outcome = ragward.policy_administration.roll_back(
            subject, version, reason=reason, expected_version=expected_version
        )
        token = ragward.epoch_token(subject.tenant)
    render_policy.outcome(outcome, token, as_json=as_json)


def proposals(settings: Settings, caller: Caller, *, everything: bool, as_json: bool) -> None:
    """`ragward policy proposals`."""
    with opened(settings, caller) as (ragward, subject):
        found = ragward.policy_administration.proposals(subject)
    shown = [each for each in found if everything or each.state is ProposalState.PENDING]
    render_policy.proposals(shown, as_json=as_json)


def approve(
    settings: Settings, proposal_id: str, reason: str, caller: Caller, *, as_json: bool
) -> None:
    """`ragward policy approve`."""
    with opened(settings, caller) as (ragward, subject):
        outcome = ragward.policy_administration.approve(subject, proposal_id, reason=reason)
        token = ragward.epoch_token(subject.tenant)
    render_policy.outcome(outcome, token, as_json=as_json)


def reject(
    settings: Settings, proposal_id: str, reason: str, caller: Caller, *, as_json: bool
) -> None:
    """`ragward policy reject`."""
    with opened(settings, caller) as (ragward, subject):
        found = ragward.policy_administration.reject(subject, proposal_id, reason=reason)
    line = f"proposal {found.proposal_id} is {found.state.value}"
    render.result(render_policy.proposal_json(found), line, as_json=as_json)


def export(settings: Settings, caller: Caller, *, as_json: bool) -> None:
    """`ragward policy export`."""
    with opened(settings, caller) as (ragward, subject):
        policy = ragward.policy_administration.policy(subject)
    if as_json:
        render_policy.policy(policy, as_json=True)
    else:
        typer.echo(write_csv(policy.rows, policy.memberships), nl=False)


def _write(
    settings: Settings,
    edit: PolicyEdit,
    reason: str,
    expected_version: int | None,
    caller: Caller,
    *,
    as_json: bool,
) -> None:
    with opened(settings, caller) as (ragward, subject):
        outcome = ragward.policy_administration.write(
            subject, edit, reason=reason, expected_version=expected_version
        )
        token = ragward.epoch_token(subject.tenant)
    render_policy.outcome(outcome, token, as_json=as_json)


def _edit_to(file: Path) -> PolicyEdit:
    policy = installation.read_policy_csv(file)
    return PolicyEdit.replacing(policy.rows, policy.memberships)
