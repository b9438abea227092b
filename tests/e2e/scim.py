"""An identity provider for tests: an application with a key and one row of policy."""

from __future__ import annotations

from ragward.domain.access import Application
from ragward.domain.labels import Classification
from ragward.domain.policy import PolicyRow
from tests import company

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"


def application(tenant="acme"):
    """It admits no content beyond PUBLIC, and none of a real corpus."""
    return Application(
        principal=f"app:{tenant}/idp",
        tenant=tenant,
        client_id="idp",
        corpora=frozenset({"all-corpora"}),
        ceiling=Classification.PUBLIC,
    )


def rows(tenant="acme", actions=("directory:read", "directory:write")):
    """What lets it provision."""
    return [
        PolicyRow(f"app:{tenant}/idp", action, f"{tenant}/*", "PUBLIC", "*", "allow")
        for action in actions
    ]


def provisioner(ragward, tenant="acme", **given):
    """The headers of a new key of that tenant's identity provider."""
    from ragward.adapters.identity_keys import new_api_key

    text, prefix, digest = new_api_key()
    ragward.catalog.save_application(application(tenant), key_prefix=prefix, key_sha256=digest)
    ragward.catalog.change_policy(tenant, add_rows=rows(tenant, **given), author="test")
    assert tenant != company.TENANT or ragward.catalog.policy(tenant).rows
    return {"Authorization": f"Bearer {text}"}


def user(name, /, **given):
    """A user as a client sends it."""
    return {"schemas": [USER], "userName": name} | given


def group(name, /, *members, **given):
    """A group as a client sends it."""
    return {
        "schemas": [GROUP],
        "displayName": name,
        "members": [{"value": member} for member in members],
    } | given


def patch(*operations):
    """A PATCH of (op, path, value)."""
    return {
        "schemas": [PATCH],
        "Operations": [
            {
                "op": op,
                **({"path": path} if path else {}),
                **({} if value is None else {"value": value}),
            }
            for op, path, value in operations
        ],
    }
