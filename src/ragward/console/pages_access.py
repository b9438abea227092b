"""The access explorer: what somebody can see, who can see something and why not, what a policy change would do."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from ragward.console.guard import Signed, Visitor
from ragward.console.places import ACCESS
from ragward.console.rendering import page
from ragward.domain.access import Action
from ragward.domain.errors import InvalidRequestError, NotFoundError
from ragward.domain.explanation import Asked, DocumentId
from ragward.domain.policy import Membership, PolicyRow
from ragward.domain.policy_change import PolicyEdit
from ragward.domain.policy_csv import read_csv

router = APIRouter()
_PAGE = 200
_MOST_CHANGES = 200
Name = Annotated[str, Query(max_length=300)]


@router.get("/access")
def access(
    visitor: Signed, principal: Name = "", document: Name = "", after: Name = ""
) -> Response:
    """With a principal, what they can see; with a document, who can see it; with both, whether and why."""
    visitor.require(ACCESS)
    principal, document = principal.strip(), document.strip()
    values: dict[str, Any] = {"principal": principal, "document": document}
    try:
        values |= _asked(visitor, principal, document, after)
    except NotFoundError:
        values["problem"] = "There is no such principal or document that you may explain."
    except InvalidRequestError as error:
        values["problem"] = error.detail
    return _shown(visitor, values)


@router.post("/access/policy")
def try_policy(visitor: Signed) -> Response:
    """What a change of the policy would do; nothing is written."""
    visitor.require(ACCESS)
    lines = visitor.value("lines").replace("\r\n", "\n")
    values: dict[str, Any] = {"lines": lines}
    try:
        edit = edit_of(lines)
        values["run"] = visitor.ragward.policy_administration.dry_run(visitor.subject, edit)
    except InvalidRequestError as error:
        values["policy_problem"] = error.detail
    return _shown(visitor, values)


def edit_of(lines: str) -> PolicyEdit:
    """Of lines that begin with `+` or `-`, each a row or membership of a policy file. Raises `policy.invalid` and the like."""
    added: list[str] = []
    removed: list[str] = []
    for number, line in enumerate(lines.split("\n"), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text[0] not in "+-":
            raise InvalidRequestError(f"line {number} begins with neither + nor -")
        (added if text[0] == "+" else removed).append(text[1:].strip())
    if not 0 < len(added) + len(removed) <= _MOST_CHANGES:
        raise InvalidRequestError(f"1 to {_MOST_CHANGES} lines are tried at once")
    return PolicyEdit(
        add_rows=_rows(added),
        remove_rows=_rows(removed),
        add_memberships=_memberships(added),
        remove_memberships=_memberships(removed),
    )


def _rows(lines: list[str]) -> frozenset[PolicyRow]:
    return frozenset(read_csv(lines)[0])


def _memberships(lines: list[str]) -> frozenset[Membership]:
    return frozenset(read_csv(lines)[1])


def _asked(visitor: Visitor, principal: str, document: str, after: str) -> dict[str, Any]:
    explainer, subject = visitor.ragward.explainer, visitor.subject
    if principal and document:
        asked, target = Asked(principal=principal), DocumentId(document)
        return {"told_document": explainer.document(subject, asked, target)}
    if principal:
        return {"access": explainer.access(subject, principal, after=after, limit=_PAGE)}
    if document:
        found = explainer.readers(subject, DocumentId(document), after=after, limit=_PAGE)
        return {"readers": found}
    return {}


def _shown(visitor: Visitor, values: dict[str, Any]) -> Response:
    empty: dict[str, Any] = {
        "principal": "",
        "document": "",
        "problem": "",
        "told_document": None,
        "access": None,
        "readers": None,
        "lines": "",
        "run": None,
        "policy_problem": "",
        "may_try": visitor.could(Action.POLICY_WRITE) or bool(values.get("run")),
    }
    return page(visitor, "access.html", **(empty | values))
