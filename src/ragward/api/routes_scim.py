"""SCIM 2.0 (RFC 7643, RFC 7644): an identity provider keeps people and groups here.

The tenant is the credential's. Errors are SCIM's own messages, and a request that cannot be read is a 400.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from ragward.api.context import Asker, Parts
from ragward.api.problems import SCIM_MEDIA_TYPE, SCIM_PREFIX, ScimError
from ragward.api.scim_openapi import (
    CHANGED,
    CREATED,
    GONE,
    LIST,
    MANY,
    ONE,
    OPEN,
    TAKES_GROUP,
    TAKES_PATCH,
    TAKES_SEARCH,
    TAKES_USER,
)
from ragward.domain.directory import DirectoryGroup, DirectoryUser
from ragward.domain.errors import NotFoundError


class ScimResponse(JSONResponse):
    """JSON under SCIM's own media type."""

    media_type = SCIM_MEDIA_TYPE


router = APIRouter(prefix=SCIM_PREFIX, tags=["provisioning"], default_response_class=ScimResponse)
_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")
_TAG: Final = re.compile(r'(?:W/)?"(\d{1,18})"')


# What requests carry. -----------------------------------------------------------------------------------------------


async def _read_body(request: Request) -> bytes:
    return await request.body()


def _base(request: Request) -> str:
    """Where this service is, as the caller addressed it; a host that is none is left out."""
    url = request.base_url
    place = str(url).rstrip("/") if _HOST.fullmatch(url.netloc) else ""
    return f"{place}{SCIM_PREFIX}"


def _versions(
    if_match: Annotated[str | None, Header(description="Entity tags, or `*`.")] = None,
) -> frozenset[int] | None:
    """The versions a caller is willing to change; a tag that is none of ours matches nothing."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = (_TAG.fullmatch(tag.strip()) for tag in if_match.split(","))
    return frozenset(int(tag[1]) for tag in tags if tag)


def _parameters(
    attributes: Annotated[str | None, Query(max_length=2000)] = None,
    excluded_attributes: Annotated[
        str | None, Query(alias="excludedAttributes", max_length=2000)
    ] = None,
) -> dict[str, object]:
    return {"attributes": attributes, "excludedAttributes": excluded_attributes}


def _query(
    parameters: Annotated[dict[str, object], Depends(_parameters)],
    filter_: Annotated[str | None, Query(alias="filter", max_length=4000)] = None,
    start_index: Annotated[int | None, Query(alias="startIndex")] = None,
    count: Annotated[int | None, Query()] = None,
    sort_by: Annotated[str | None, Query(alias="sortBy", max_length=200)] = None,
) -> dict[str, object]:
    stated = {"filter": filter_, "startIndex": start_index, "count": count, "sortBy": sort_by}
    return {**parameters, **stated}


Body = Annotated[bytes, Depends(_read_body)]
Base = Annotated[str, Depends(_base)]
Versions = Annotated[frozenset[int] | None, Depends(_versions)]
Shown = Annotated[dict[str, object], Depends(_parameters)]
Search = Annotated[dict[str, object], Depends(_query)]


def _user(user: DirectoryUser, base: str, shown: dict[str, object], status: int) -> Response:
    from ragward.api import scim_messages, scim_queries

    body = scim_messages.user_body(user, base, scim_queries.shown(shown))
    return _resource(body, user.version, f"{base}/Users/{user.user_id}", status)


def _group(group: DirectoryGroup, base: str, shown: dict[str, object], status: int) -> Response:
    from ragward.api import scim_messages, scim_queries

    body = scim_messages.group_body(group, base, scim_queries.shown(shown))
    return _resource(body, group.version, f"{base}/Groups/{group.group_id}", status)


def _resource(body: dict[str, Any], version: int, location: str, status: int) -> Response:
    from ragward.api.scim_messages import entity_tag

    headers = {"ETag": entity_tag(version), "Content-Location": location}
    if status == 201:
        headers["Location"] = location
    return ScimResponse(body, status_code=status, headers=headers)


# People. ------------------------------------------------------------------------------------------------------------


@router.post(
    "/Users",
    status_code=201,
    operation_id="scim_create_user",
    responses=CREATED,
    openapi_extra=TAKES_USER,
)
def create_user(body: Body, parts: Parts, subject: Asker, base: Base, shown: Shown) -> Response:
    """A person, with access from now on if they have an externalId and are active."""
    from ragward.api import scim_messages

    profile = scim_messages.new_user(body)
    return _user(parts.ragward.provisioning.create_user(subject, profile), base, shown, 201)


@router.get("/Users", operation_id="scim_list_users", responses=MANY)
def list_users(parts: Parts, subject: Asker, base: Base, query: Search) -> Response:
    """People, by a filter on userName, externalId, displayName, id or active."""
    from ragward.api import scim_messages, scim_queries

    request = scim_queries.from_query(scim_messages.User, query)
    return ScimResponse(scim_queries.users(parts.ragward.provisioning, subject, request, base))


@router.get("/Users/{user_id}", operation_id="scim_get_user", responses=ONE)
def get_user(user_id: str, parts: Parts, subject: Asker, base: Base, shown: Shown) -> Response:
    """One person."""
    return _user(parts.ragward.provisioning.user(subject, user_id), base, shown, 200)


@router.put(
    "/Users/{user_id}",
    operation_id="scim_replace_user",
    responses=CHANGED,
    openapi_extra=TAKES_USER,
)
def replace_user(
    user_id: str,
    body: Body,
    parts: Parts,
    subject: Asker,
    base: Base,
    shown: Shown,
    versions: Versions,
) -> Response:
    """A person as described; left out, `active` and `externalId` stay."""
    from ragward.api import scim_messages

    change = scim_messages.replaced_user(body)
    found = parts.ragward.provisioning.change_user(subject, user_id, change, versions=versions)
    return _user(found, base, shown, 200)


@router.patch(
    "/Users/{user_id}",
    operation_id="scim_patch_user",
    responses=CHANGED,
    openapi_extra=TAKES_PATCH,
)
def patch_user(
    user_id: str,
    body: Body,
    parts: Parts,
    subject: Asker,
    base: Base,
    shown: Shown,
    versions: Versions,
) -> Response:
    """Changes single attributes; `active` false revokes everything the person has, before this returns."""
    from ragward.api import scim_messages

    change = scim_messages.patched_user(body)
    found = parts.ragward.provisioning.change_user(subject, user_id, change, versions=versions)
    return _user(found, base, shown, 200)


@router.delete("/Users/{user_id}", status_code=204, operation_id="scim_delete_user", responses=GONE)
def delete_user(user_id: str, parts: Parts, subject: Asker, versions: Versions) -> Response:
    """Removes a person; whoever holds a token in their name is refused from now on."""
    parts.ragward.provisioning.delete_user(subject, user_id, versions=versions)
    return Response(status_code=204)


# Groups. ------------------------------------------------------------------------------------------------------------


@router.post(
    "/Groups",
    status_code=201,
    operation_id="scim_create_group",
    responses=CREATED,
    openapi_extra=TAKES_GROUP,
)
def create_group(body: Body, parts: Parts, subject: Asker, base: Base, shown: Shown) -> Response:
    """A group; the policy names it `group:TENANT/scim-ID`."""
    from ragward.api import scim_messages

    profile = scim_messages.new_group(body)
    return _group(parts.ragward.provisioning.create_group(subject, profile), base, shown, 201)


@router.get("/Groups", operation_id="scim_list_groups", responses=MANY)
def list_groups(parts: Parts, subject: Asker, base: Base, query: Search) -> Response:
    """Groups, by a filter on displayName, externalId, id or members."""
    from ragward.api import scim_messages, scim_queries

    request = scim_queries.from_query(scim_messages.Group, query)
    return ScimResponse(scim_queries.groups(parts.ragward.provisioning, subject, request, base))


@router.get("/Groups/{group_id}", operation_id="scim_get_group", responses=ONE)
def get_group(group_id: str, parts: Parts, subject: Asker, base: Base, shown: Shown) -> Response:
    """One group with its members."""
    return _group(parts.ragward.provisioning.group(subject, group_id), base, shown, 200)


@router.put(
    "/Groups/{group_id}",
    operation_id="scim_replace_group",
    responses=CHANGED,
    openapi_extra=TAKES_GROUP,
)
def replace_group(
    group_id: str,
    body: Body,
    parts: Parts,
    subject: Asker,
    base: Base,
    shown: Shown,
    versions: Versions,
) -> Response:
    """A group as described; members that are left out are out."""
    from ragward.api import scim_messages

    change = scim_messages.replaced_group(body)
    found = parts.ragward.provisioning.change_group(subject, group_id, change, versions=versions)
    return _group(found, base, shown, 200)


@router.patch(
    "/Groups/{group_id}",
    operation_id="scim_patch_group",
    responses=CHANGED,
    openapi_extra=TAKES_PATCH,
)
def patch_group(
    group_id: str,
    body: Body,
    parts: Parts,
    subject: Asker,
    base: Base,
    shown: Shown,
    versions: Versions,
) -> Response:
    """Changes name or members; who is removed has lost what the group gave when this returns."""
    from ragward.api import scim_messages

    change = scim_messages.patched_group(body)
    found = parts.ragward.provisioning.change_group(subject, group_id, change, versions=versions)
    return _group(found, base, shown, 200)


@router.delete(
    "/Groups/{group_id}", status_code=204, operation_id="scim_delete_group", responses=GONE
)
def delete_group(group_id: str, parts: Parts, subject: Asker, versions: Versions) -> Response:
    """Removes a group and every membership in it."""
    parts.ragward.provisioning.delete_group(subject, group_id, versions=versions)
    return Response(status_code=204)


# Queries in a body. -------------------------------------------------------------------------------------------------


@router.post(
    "/Users/.search", operation_id="scim_search_users", responses=MANY, openapi_extra=TAKES_SEARCH
)
def search_users(body: Body, parts: Parts, subject: Asker, base: Base) -> Response:
    """As the list of people, with the query in the body."""
    from ragward.api import scim_messages, scim_queries

    request = scim_queries.from_body(scim_messages.User, body)
    return ScimResponse(scim_queries.users(parts.ragward.provisioning, subject, request, base))


@router.post(
    "/Groups/.search", operation_id="scim_search_groups", responses=MANY, openapi_extra=TAKES_SEARCH
)
def search_groups(body: Body, parts: Parts, subject: Asker, base: Base) -> Response:
    """As the list of groups, with the query in the body."""
    from ragward.api import scim_messages, scim_queries

    request = scim_queries.from_body(scim_messages.Group, body)
    return ScimResponse(scim_queries.groups(parts.ragward.provisioning, subject, request, base))


@router.post("/.search", operation_id="scim_search", responses=MANY, openapi_extra=TAKES_SEARCH)
def search(body: Body, parts: Parts, subject: Asker, base: Base) -> Response:
    """People and groups in one list."""
    from ragward.api import scim_queries

    request = scim_queries.from_body(scim_queries.EVERYTHING, body)
    return ScimResponse(scim_queries.everything(parts.ragward.provisioning, subject, request, base))


# What this service is: the same for everybody, and open, so that a client can find out how to authenticate. ---------


def _unfiltered(
    filter_: Annotated[str | None, Query(alias="filter", max_length=4000)] = None,
) -> None:
    """RFC 7644, section 4: a filter here is a 403."""
    if filter_ is not None:
        raise ScimError("discovery takes no filter", status=403)


@router.get(
    "/ServiceProviderConfig",
    operation_id="scim_service_provider_config",
    responses=OPEN,
    dependencies=[Depends(_unfiltered)],
)
def service_provider_config(base: Base) -> Response:
    """What is supported: PATCH, filters, entity tags; no bulk, sorting or passwords."""
    from ragward.api import scim_discovery

    return ScimResponse(scim_discovery.service_provider_config(base))


@router.get(
    "/Schemas",
    operation_id="scim_list_schemas",
    responses=OPEN,
    dependencies=[Depends(_unfiltered)],
)
def list_schemas(base: Base) -> Response:
    """The attributes that are kept."""
    from ragward.api import scim_discovery

    return _all(scim_discovery.schemas(base))


@router.get("/Schemas/{urn}", operation_id="scim_get_schema", responses=OPEN)
def get_schema(urn: str, base: Base) -> Response:
    """One schema."""
    from ragward.api import scim_discovery

    return _named(scim_discovery.schemas(base), urn)


@router.get(
    "/ResourceTypes",
    operation_id="scim_list_resource_types",
    responses=OPEN,
    dependencies=[Depends(_unfiltered)],
)
def list_resource_types(base: Base) -> Response:
    """User and Group."""
    from ragward.api import scim_discovery

    return _all(scim_discovery.resource_types(base))


@router.get("/ResourceTypes/{name}", operation_id="scim_get_resource_type", responses=OPEN)
def get_resource_type(name: str, base: Base) -> Response:
    """One resource type."""
    from ragward.api import scim_discovery

    return _named(scim_discovery.resource_types(base), name)


def _all(found: dict[str, dict[str, Any]]) -> Response:
    resources = list(found.values())
    count = len(resources)
    body = {"schemas": [LIST], "totalResults": count, "itemsPerPage": count, "startIndex": 1}
    return ScimResponse({**body, "Resources": resources})


def _named(found: dict[str, dict[str, Any]], name: str) -> Response:
    if name not in found:
        raise NotFoundError
    return ScimResponse(found[name])
