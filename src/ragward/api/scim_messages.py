"""SCIM's messages (RFC 7643, RFC 7644) to and from what provisioning works on.

The one door for `scim2_models`, which takes a third of a second to import: the routes import this module when first asked.
Only what access needs is kept and published: names, the external id, `active`, members. The other attributes of the
standard user schemas are accepted and dropped, so that identity providers can be connected as they are; unknown ones are
refused, because a mistyped `active` must not pass for a deactivation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar, Union

import scim2_models as scim
from pydantic import Field, ValidationError

from ragward.api.problems import ScimError
from ragward.domain.directory import (
    DirectoryGroup,
    DirectoryUser,
    GroupProfile,
    UserProfile,
)

MAX_OPERATIONS: Final = 100
#: Operations times members of the group: one operation looks at every member.
MAX_PATCH_WORK: Final = 100_000
USERS, GROUPS = "Users", "Groups"
_IMMUTABLE: Final = scim.Mutability.immutable
_READ_ONLY: Final = scim.Mutability.read_only


class UserGroup(scim.ComplexAttribute):
    """A group the person is a direct member of."""

    value: Annotated[str | None, _READ_ONLY, scim.CaseExact.true] = None
    ref: Annotated[scim.Reference["Group"] | None, _READ_ONLY] = Field(  # noqa: UP037 - a name of SCIM's, not of Python's
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    display: Annotated[str | None, _READ_ONLY] = None
    type: Annotated[str | None, _READ_ONLY] = None


class User(scim.Resource[Any]):
    """A person. Access hangs on externalId, which is given once and never changed; not on any name."""

    __schema__ = scim.URN("urn:ietf:params:scim:schemas:core:2.0:User")

    external_id: Annotated[
        str | None,
        _IMMUTABLE,
        scim.CaseExact.true,
        scim.Returned.default,
        scim.Uniqueness.server,
    ] = None
    user_name: Annotated[str | None, scim.Uniqueness.server, scim.Required.true] = None
    display_name: str | None = None
    active: bool | None = None
    groups: Annotated[list[UserGroup] | None, _READ_ONLY] = None


class GroupMember(scim.ComplexAttribute):
    """A user or a group in a group."""

    value: Annotated[str | None, _IMMUTABLE, scim.CaseExact.true] = None
    ref: Annotated[scim.Reference[Union["User", "Group"]] | None, _IMMUTABLE] = Field(  # noqa: UP007, UP037 - names of SCIM's
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    type: Annotated[str | None, _IMMUTABLE] = Field(None, examples=["User", "Group"])


class Group(scim.Resource[Any]):
    """A group. Its id is what the policy names; its name is for people."""

    __schema__ = scim.URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    display_name: Annotated[str | None, scim.Required.true] = None
    members: list[GroupMember] | None = None


Model = TypeVar("Model", User, Group)

_ENTERPRISE: Final = str(scim.EnterpriseUser.__schema__)


def _names(model: type[scim.Resource[Any]]) -> frozenset[str]:
    """What a resource's attributes are called, in lower case."""
    fields = model.model_fields.items()
    return frozenset((field.serialization_alias or name).lower() for name, field in fields)


_DROPPED: Final[dict[type, frozenset[str]]] = {
    User: _names(scim.User) - _names(User),
    Group: frozenset(),
}
_SCHEMAS: Final[dict[type, frozenset[str]]] = {
    User: frozenset({str(User.__schema__), _ENTERPRISE}),
    Group: frozenset({str(Group.__schema__)}),
}
_POLICY: Final = scim.ScimPolicy(
    unknown=scim.ScimPolicy.Unknown.ignore,  # what may be unknown is checked here, by name
    remove_value_as_filter=scim.ScimPolicy.RemoveValue.apply,
)


@contextmanager
def refusing() -> Iterator[None]:
    """Turns what the library refuses into SCIM errors; the first of several is told."""
    try:
        yield
    except scim.SCIMException as error:
        raise ScimError(
            error.detail, scim_type=error.scim_type or None, status=error.status
        ) from error
    except ValidationError as error:
        first = scim.Error.from_validation_errors(error)[0]
        raise ScimError(
            (first.detail or "")[:300], scim_type=first.scim_type, status=first.status or 400
        ) from error


# Requests. ----------------------------------------------------------------------------------------------------------


def new_user(body: bytes) -> UserProfile:
    """The person a POST describes; active unless it says otherwise."""
    with refusing():
        given = _resource(User, body, scim.Context.RESOURCE_CREATION_REQUEST)
        return _user_profile(given, True if "active" not in given.model_fields_set else None)


def replaced_user(body: bytes) -> Callable[[DirectoryUser], UserProfile]:
    """What a PUT makes of a person. Left out, `active` and `externalId` stay as they are: nobody is let in by omission."""
    with refusing():
        given = _resource(User, body, scim.Context.RESOURCE_REPLACEMENT_REQUEST)

    def change(before: DirectoryUser) -> UserProfile:
        wanted, present = given.model_copy(deep=True), _user_model(before)
        if (
            present.external_id is None
        ):  # what is immutable may still be given once (RFC 7644, 3.5.1)
            present.external_id = wanted.external_id
        with refusing():
            wanted.replace(present)
        kept = None if "active" in given.model_fields_set else before.profile.active
        return _user_profile(wanted, kept)

    return change


def patched_user(body: bytes) -> Callable[[DirectoryUser], UserProfile]:
    """What a PATCH makes of a person."""
    patch = _patch(User, body)

    def change(before: DirectoryUser) -> UserProfile:
        model = _user_model(before)
        with refusing():
            patch.patch(model, scim_policy=_POLICY)
        return _user_profile(model, None)

    return change


def new_group(body: bytes) -> GroupProfile:
    """The group a POST describes."""
    with refusing():
        return _group_profile(_resource(Group, body, scim.Context.RESOURCE_CREATION_REQUEST))


def replaced_group(body: bytes) -> Callable[[DirectoryGroup], GroupProfile]:
    """What a PUT makes of a group; members that are left out are out."""
    with refusing():
        given = _resource(Group, body, scim.Context.RESOURCE_REPLACEMENT_REQUEST)
    return lambda _before: _group_profile(given)


def patched_group(body: bytes) -> Callable[[DirectoryGroup], GroupProfile]:
    """What a PATCH makes of a group."""
    patch = _patch(Group, body)

    def change(before: DirectoryGroup) -> GroupProfile:
        if len(patch.operations or ()) * len(before.kinds) > MAX_PATCH_WORK:
            raise ScimError("fewer operations at a time for a group of this size", status=413)
        model = _group_model(before)
        with refusing():
            patch.patch(model, scim_policy=_POLICY)
        return _group_profile(model)

    return change


def parsed(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises `ScimError` invalidSyntax for anything else."""
    try:
        found = json.loads(body, parse_constant=_no_constant)
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ScimError("half of a surrogate pair", scim_type="invalidValue") from None
    except (ValueError, RecursionError):
        raise ScimError("the body is not JSON", scim_type="invalidSyntax") from None
    if not isinstance(found, dict):
        raise ScimError("the body is not an object", scim_type="invalidSyntax")
    return found


# Answers. -----------------------------------------------------------------------------------------------------------


def user_body(
    user: DirectoryUser, base: str, parameters: scim.ResponseParameters[Any] | None = None
) -> dict[str, Any]:
    """A person as SCIM shows them."""
    model = _user_model(user)
    model.groups = [
        UserGroup(
            value=group.group_id,
            ref=scim.Reference(f"{base}/{GROUPS}/{group.group_id}"),
            display=group.display_name,
            type="direct",
        )
        for group in user.groups
    ] or None
    model.meta = _meta(user, "User", f"{base}/{USERS}/{user.user_id}")
    return _dumped(model, parameters)


def group_body(
    group: DirectoryGroup, base: str, parameters: scim.ResponseParameters[Any] | None = None
) -> dict[str, Any]:
    """A group as SCIM shows it."""
    model = _group_model(group, base)
    model.meta = _meta(group, "Group", f"{base}/{GROUPS}/{group.group_id}")
    return _dumped(model, parameters)


def entity_tag(version: int) -> str:
    """Weak: the same version may be written down in other ways."""
    return f'W/"{version}"'


# How. ---------------------------------------------------------------------------------------------------------------


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _resource(model: type[Model], body: bytes, context: scim.Context) -> Model:
    given = parsed(body)
    schemas = given.get("schemas")
    if not isinstance(schemas, list) or not all(isinstance(each, str) for each in schemas):
        raise ScimError("schemas is a list of URNs", scim_type="invalidSyntax")
    if unknown := set(schemas) - _SCHEMAS[model]:
        raise ScimError(f"unknown schema {min(unknown)[:100]!r}", scim_type="invalidSyntax")
    found = model.model_validate(given, scim_ctx=context, scim_policy=_POLICY)
    for name in found.unknown_attributes:
        _require_known(model, name, "invalidSyntax")
    return found


def _patch(model: type[Model], body: bytes) -> scim.PatchOp[Model]:
    given = parsed(body)
    for operation in _operations(given):
        path, value = operation.get("path"), operation.get("value")
        if isinstance(path, str):
            _require_known(model, path, "invalidPath")
        elif isinstance(value, dict):
            for name in value:
                _require_known(model, name, "invalidPath")
    with refusing():
        return scim.PatchOp[model].model_validate(  # type: ignore[valid-type]  # a class per resource, made when first asked for
            given, scim_ctx=scim.Context.RESOURCE_PATCH_REQUEST, scim_policy=_POLICY
        )


def _operations(given: dict[str, Any]) -> list[dict[str, Any]]:
    found = next((v for k, v in given.items() if k.lower() == "operations"), None)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ScimError("Operations is a list of objects", scim_type="invalidSyntax")
    if len(found) > MAX_OPERATIONS:
        raise ScimError(f"at most {MAX_OPERATIONS} operations", status=413)
    return [{str(k).lower(): v for k, v in each.items()} for each in found]


def _require_known(model: type[Model], path: str, scim_type: str) -> None:
    """The path leads to something we keep, or into a standard attribute that we do not keep."""
    name = path.lower().removeprefix(str(model.__schema__).lower() + ":")
    if model is User and name.startswith(_ENTERPRISE.lower()):
        return
    first = name.partition("[")[0].partition(".")[0]
    if first in _DROPPED[model]:
        return
    try:
        known = first in _names(model) and scim.Path[model](path).resolve() is not None  # type: ignore[valid-type]  # a class per resource
    except (ValueError, scim.SCIMException):
        known = False
    if not known:
        raise ScimError(f"unknown attribute {path[:100]!r}", scim_type=scim_type)


def _user_profile(model: User, active_if_unset: bool | None) -> UserProfile:
    return UserProfile(
        user_name=model.user_name or "",
        external_id=model.external_id,
        display_name=model.display_name,
        active=active_if_unset if model.active is None else model.active,
    )


def _group_profile(model: Group) -> GroupProfile:
    members = [member.value for member in model.members or ()]
    if not all(members):
        raise ScimError("a member has a value", scim_type="invalidValue")
    return GroupProfile(
        display_name=model.display_name or "",
        external_id=model.external_id,
        members=frozenset(value for value in members if value),
    )


def _user_model(user: DirectoryUser) -> User:
    profile = user.profile
    return User(
        id=user.user_id,
        external_id=profile.external_id,
        user_name=profile.user_name,
        display_name=profile.display_name,
        active=profile.active,
    )


def _group_model(group: DirectoryGroup, base: str = "") -> Group:
    members = [
        GroupMember(
            value=member, ref=scim.Reference(f"{base}/{kind.value}s/{member}"), type=kind.value
        )
        for member, kind in group.kinds.items()
    ]
    return Group(
        id=group.group_id,
        external_id=group.profile.external_id,
        display_name=group.profile.display_name,
        members=members or None,
    )


def _meta(resource: DirectoryUser | DirectoryGroup, kind: str, location: str) -> scim.Meta:
    return scim.Meta(
        resource_type=kind,
        created=datetime.fromtimestamp(resource.created_at, UTC),
        last_modified=datetime.fromtimestamp(resource.updated_at, UTC),
        location=location,
        version=entity_tag(resource.version),
    )


def _dumped(model: User | Group, parameters: scim.ResponseParameters[Any] | None) -> dict[str, Any]:
    return model.model_dump(
        scim_ctx=scim.Context.RESOURCE_QUERY_RESPONSE, response_parameters=parameters
    )
