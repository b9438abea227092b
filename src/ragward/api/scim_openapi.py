"""What the OpenAPI document says of SCIM's messages: they are read and written by hand, because a request that cannot be
read is a 400 in SCIM's own words, and because the library behind them is loaded only when asked for."""

from __future__ import annotations

from typing import Any, Final

from ragward.api.problems import SCIM_MEDIA_TYPE, scim_responses
from ragward.domain.directory import MAX_MEMBERS, MAX_NAME_CHARACTERS

_USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
_ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
_PATCH: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_SEARCH: Final = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
LIST: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"

_NAME: Final = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARACTERS}
_MEMBER: Final = {
    "type": "object",
    "required": ["value"],
    "properties": {"value": {"type": "string", "description": "The id of a user or group."}},
}
_OPERATION: Final = {
    "type": "object",
    "required": ["op"],
    "properties": {
        "op": {"type": "string", "description": "add, replace or remove"},
        "path": {"type": "string"},
        "value": {},
    },
}


def _takes(schemas: list[str], required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    named = {"type": "array", "minItems": 1, "items": {"type": "string", "enum": schemas}}
    schema = {
        "type": "object",
        "required": ["schemas", *required],
        "properties": {"schemas": named, **properties},
    }
    return {"requestBody": {"required": True, "content": {SCIM_MEDIA_TYPE: {"schema": schema}}}}


TAKES_USER: Final = _takes(
    [_USER, _ENTERPRISE],
    ["userName"],
    {
        "userName": _NAME,
        "externalId": {
            "type": "string",
            "description": "What tokens call the person; `user:TENANT/...`.",
        },
        "displayName": _NAME,
        "active": {"type": "boolean"},
    },
)
TAKES_GROUP: Final = _takes(
    [_GROUP],
    ["displayName"],
    {
        "displayName": _NAME,
        "externalId": _NAME,
        "members": {"type": "array", "maxItems": MAX_MEMBERS, "items": _MEMBER},
    },
)
TAKES_PATCH: Final = _takes(
    [_PATCH], ["Operations"], {"Operations": {"type": "array", "minItems": 1, "items": _OPERATION}}
)
TAKES_SEARCH: Final = _takes(
    [_SEARCH],
    [],
    {
        "filter": {"type": ["string", "null"]},
        "startIndex": {"type": ["integer", "null"]},
        "count": {"type": ["integer", "null"]},
    },
)

_OBJECT: Final = {
    "content": {SCIM_MEDIA_TYPE: {"schema": {"type": "object", "required": ["schemas"]}}}
}
_FOUND: Final[dict[int | str, dict[str, Any]]] = {200: {"description": "OK", **_OBJECT}}
CREATED: Final[dict[int | str, dict[str, Any]]] = {
    201: {"description": "Created", **_OBJECT},
    **scim_responses(409),
}
ONE: Final = {**_FOUND, **scim_responses(404)}
MANY: Final = {**_FOUND, **scim_responses(501)}
CHANGED: Final = {**_FOUND, **scim_responses(404, 409, 412)}
GONE: Final = scim_responses(404, 412)
OPEN: Final = {**_FOUND, **scim_responses(404)}
