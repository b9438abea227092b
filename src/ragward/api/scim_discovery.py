"""What this SCIM service is (RFC 7643, sections 5 to 7; RFC 7644, section 4): the same for every tenant, and no secret."""

from __future__ import annotations

from typing import Any, Final

import scim2_models as scim

from ragward.api.scim_messages import Group, User
from ragward.provisioning import MAX_PAGE

_DESCRIBED: Final = (User, Group)
_CORE: Final = (scim.ResourceType, scim.Schema, scim.ServiceProviderConfig)


def service_provider_config(base: str) -> dict[str, Any]:
    """What is supported."""
    config = scim.ServiceProviderConfig(
        patch=scim.Patch(supported=True),
        bulk=scim.Bulk(supported=False, max_operations=0, max_payload_size=0),
        filter=scim.Filter(supported=True, max_results=MAX_PAGE),
        change_password=scim.ChangePassword(supported=False),
        sort=scim.Sort(supported=False),
        etag=scim.ETag(supported=True),
        authentication_schemes=[
            scim.AuthenticationScheme(
                type=scim.AuthenticationScheme.Type.oauthbearertoken,
                name="Bearer token",
                description="An API key or an access token of an application with directory:write.",
            )
        ],
        meta=_meta("ServiceProviderConfig", f"{base}/ServiceProviderConfig"),
    )
    return _dumped(config)


def schemas(base: str) -> dict[str, dict[str, Any]]:
    """Id -> schema: the two kinds of resources, and those of discovery itself."""
    found = {}
    for model in (*_DESCRIBED, *_CORE):
        schema = model.to_schema()
        schema.meta = _meta("Schema", f"{base}/Schemas/{schema.id}")
        found[str(schema.id)] = _dumped(schema)
    return found


def resource_types(base: str) -> dict[str, dict[str, Any]]:
    """Name -> resource type."""
    found = {}
    for model in _DESCRIBED:
        kind = scim.ResourceType.from_resource(model)
        kind.meta = _meta("ResourceType", f"{base}/ResourceTypes/{kind.id}")
        found[str(kind.id)] = _dumped(kind)
    return found


def _meta(kind: str, location: str) -> scim.Meta:
    return scim.Meta(resource_type=kind, location=location)


def _dumped(model: scim.Resource[Any]) -> dict[str, Any]:
    return model.model_dump(scim_ctx=scim.Context.RESOURCE_QUERY_RESPONSE)
