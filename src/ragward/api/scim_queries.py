"""SCIM's queries (RFC 7644, 3.4): filters as conditions the catalog can look up, pages, and what of a resource is shown.

A filter is one comparison or several joined by `and`: equality on what identifies, and `sw` and `co` on names. Anything
else is refused as `invalidFilter`, never approximated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import scim2_models as scim
from scim2_models.path import Comparison, FilterNode, LogicalExpr, LogicalOperator, ValuePath

from ragward.api.problems import ScimError
from ragward.api.scim_messages import Group, User, group_body, parsed, refusing, user_body
from ragward.api.scim_openapi import LIST
from ragward.domain.access import Subject
from ragward.domain.directory import (
    GROUP_CONDITIONS,
    USER_CONDITIONS,
    Condition,
    Operator,
)
from ragward.provisioning import MAX_PAGE, Provisioning

MAX_CONDITIONS: Final = 10
_MAX_START: Final = 2**31

#: (offset, limit) -> (how many match, a page as bodies)
_Source = Callable[[int, int], tuple[int, list[dict[str, Any]]]]


def from_query(model: Any, given: Mapping[str, object]) -> scim.SearchRequest[Any]:
    """The query of a GET's parameters; `model` is `User`, `Group` or their union. Raises `ScimError`."""
    stated = {name: value for name, value in given.items() if value is not None}
    with refusing():
        request = scim.SearchRequest[model].model_validate(stated)
    if request.sort_by is not None:
        raise ScimError("sorting is not supported", status=501)
    return request


def from_body(model: Any, body: bytes) -> scim.SearchRequest[Any]:
    """The query of a POST to `/.search`. Raises `ScimError`."""
    given = parsed(body)
    if given.pop("schemas", None) != [str(scim.SearchRequest.__schema__)]:
        raise ScimError("schemas names SearchRequest", scim_type="invalidSyntax")
    return from_query(model, given)


def shown(parameters: Mapping[str, object]) -> scim.ResponseParameters[Any]:
    """`attributes` and `excludedAttributes` of a request for one resource. Raises `ScimError`."""
    stated = {name: value for name, value in parameters.items() if value is not None}
    with refusing():
        return scim.ResponseParameters.model_validate(stated)


def users(
    provisioning: Provisioning, subject: Subject, request: scim.SearchRequest[Any], base: str
) -> dict[str, Any]:
    """The people a query finds."""
    return _listed(request, [_users(provisioning, subject, request, base)])


def groups(
    provisioning: Provisioning, subject: Subject, request: scim.SearchRequest[Any], base: str
) -> dict[str, Any]:
    """The groups a query finds."""
    return _listed(request, [_groups(provisioning, subject, request, base)])


def everything(
    provisioning: Provisioning, subject: Subject, request: scim.SearchRequest[Any], base: str
) -> dict[str, Any]:
    """People, then groups; an attribute that one kind lacks finds none of that kind."""
    found = [
        _users(provisioning, subject, request, base),
        _groups(provisioning, subject, request, base),
    ]
    return _listed(request, found)


def _users(
    provisioning: Provisioning, subject: Subject, request: scim.SearchRequest[Any], base: str
) -> _Source:
    conditions = _conditions(request, USER_CONDITIONS)

    def page(offset: int, limit: int) -> tuple[int, list[dict[str, Any]]]:
        if conditions is None:
            return 0, []
        total, found = provisioning.users(subject, conditions, offset=offset, limit=limit)
        return total, [user_body(each, base, request) for each in found]

    return page


def _groups(
    provisioning: Provisioning, subject: Subject, request: scim.SearchRequest[Any], base: str
) -> _Source:
    conditions = _conditions(request, GROUP_CONDITIONS)

    def page(offset: int, limit: int) -> tuple[int, list[dict[str, Any]]]:
        if conditions is None:
            return 0, []
        total, found = provisioning.groups(subject, conditions, offset=offset, limit=limit)
        return total, [group_body(each, base, request) for each in found]

    return page


def _listed(request: scim.SearchRequest[Any], sources: Sequence[_Source]) -> dict[str, Any]:
    """One list over several sources, as if they stood one behind the other."""
    start = min(request.start_index or 1, _MAX_START)
    room = MAX_PAGE if request.count is None else min(request.count, MAX_PAGE)
    offset, total, resources = start - 1, 0, list[dict[str, Any]]()
    for source in sources:
        count, found = source(max(offset, 0), room - len(resources))
        resources += found
        total += count
        offset -= count
    return {
        "schemas": [LIST],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(resources),
        "Resources": resources,
    }


def _conditions(
    request: scim.SearchRequest[Any], known: Mapping[str, frozenset[Operator]]
) -> list[Condition] | None:
    """The filter's terms; None when one is about an attribute that this kind of resource does not have."""
    terms = [] if request.filter is None else _terms(request.filter.ast)
    if len(terms) > MAX_CONDITIONS:
        raise ScimError(f"at most {MAX_CONDITIONS} terms", scim_type="tooMany")
    found = [_condition(term) for term in terms]
    if any(each.attribute not in known for each in found):
        return None
    for each in found:
        if each.operator not in known[each.attribute]:
            raise _unsupported(f"{each.attribute} {each.operator}")
    return found


def _terms(node: FilterNode) -> list[Comparison]:
    match node:
        case Comparison():
            return [node]
        case LogicalExpr(op=LogicalOperator.and_):
            return [term for each in node.terms for term in _terms(each)]
        case ValuePath(val_filter=Comparison() as inner) if not node.attr_path.sub_attr:
            if (node.attr_path.attr.lower(), inner.attr_path.attr.lower()) == ("members", "value"):
                return [Comparison(node.attr_path, inner.op, inner.value)]
    raise _unsupported(type(node).__name__)


def _condition(term: Comparison) -> Condition:
    written = term.attr_path.attr + (
        f".{term.attr_path.sub_attr}" if term.attr_path.sub_attr else ""
    )
    name = _NAMES.get(written.lower())
    try:
        operator = Operator(term.op.value)
    except ValueError:
        raise _unsupported(term.op.value) from None
    if name is None or not _fits(name, term.value):
        raise _unsupported(written[:100])
    return Condition(name, operator, term.value)


_NAMES: Final = {name.lower(): name for name in (*USER_CONDITIONS, *GROUP_CONDITIONS)} | {
    "members.value": "members"
}


def _fits(name: str, value: object) -> bool:
    return isinstance(value, bool if name == "active" else str)


def _unsupported(what: str) -> ScimError:
    return ScimError(f"not supported in a filter: {what}", scim_type="invalidFilter")


#: What a query over everything is read as.
EVERYTHING: Final = User | Group
