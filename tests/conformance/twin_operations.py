"""Every operation of the API, as one tenant's steward would ask for it on what a half has.

`of` is the half whose ids are in the request: one's own, the other's, or a ghost's, who has nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.conformance.twins import REASON, of_tenant
from tests.e2e import scim
from tests.e2e.authzen_world import READ, question


@dataclass(frozen=True)
class Asked:
    """An operation: how to ask, and what becomes of it with one's own ids (`good`) and with the other's (`foreign`)."""

    build: object
    good: int = 200
    foreign: int | None = None  # None: no id of anything goes in
    twins: bool = True  # equal halves get equal answers

    def request(self, of):
        return self.build(of)


_HOST = {"Host": "127.0.0.1"}
_OF_MCP = _HOST | {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2025-06-18",
}
_STEP = {"kind": "tool_called", "name": "search", "sha256": "0" * 64, "size": 1}
_STRANGE = "urn:ietf:params:scim:schemas:core:2.0:User"


def _json(**body):
    return {"json": body}


def _new_document(of):
    of.count += 1
    return _json(
        corpus="eng",
        source=f"eng/posted-{of.count}.txt",
        filename="posted.txt",
        content="The firmware of the prototype was released.",
        classification="INTERNAL",
        granted=[f"group:{of.tenant}/staff"],
        attributes={"number": of.count},
    )


def _honey(of):
    of.count += 1
    return _json(corpus="eng", source=f"eng/honey-{of.count}.txt", content="The salary of all.")


def _relabelled(of):
    return {
        "path": {"document_id": of.document()},
        "json": {
            "classification": "CONFIDENTIAL",
            "granted": [f"group:{of.tenant}/eng"],
            "reason": REASON,
        },
    }


def _row(of, name="reader"):
    of.count += 1
    row = [f"user:acme/{name}-{of.count}", "corpus:retrieve", "acme/eng", "PUBLIC", "*", "allow"]
    return of_tenant(of.tenant, row)


def _whole_policy(of):
    rows, memberships = of.rows()
    return _json(rows=[*rows, _row(of)], memberships=memberships, reason=REASON)


def _application(of):
    of.count += 1
    name = f"app-{of.count}"
    return _json(
        principal=f"app:{of.tenant}/{name}",
        client_id=name,
        corpora=["eng"],
        ceiling="INTERNAL",
        owner=f"user:{of.tenant}/steward",
        purpose="tests",
        expires_at=of.world.ragward.clock.now() + 86_400,
    )


def _asking(of, *names):
    """Of a question to the decision point, these members."""
    whole = question("user:ben", READ, f"document:{of.document()}")
    return {"json": {name: whole[name] for name in names}}


def _evaluations(of):
    whole = question("user:ben", READ, f"document:{of.document()}")
    return _json(
        **whole, evaluations=[{}, {"action": {"name": "document:delete"}}, {"subject": {"type": 1}}]
    )


def _user(of, **given):
    of.count += 1
    return scim.user(f"user {of.count}", externalId=f"u-{of.count}", **given)


def _of_own_answer(of):
    return {"path": {"answer_id": of.event()}, "by": "ann"}


def _id(kind):
    return lambda of: {"path": {f"{kind}_id": getattr(of, kind)()}}


def _by_idp(build):
    return lambda of: {"by": "idp"} | build(of)


def _versions(of):
    oldest, newest = of.versions()
    return {"params": {"from": oldest, "to": newest}}


def _about_access(kind):
    return lambda of: {"path": {"id": getattr(of, kind)()}, "json": {"reason": REASON}}


def _in_an_emergency(of):
    of.calm()
    return {"by": "ben", "json": of.access_body()}


def _for_dify(of):
    setting = {"top_k": 50, "score_threshold": 0.0}
    return {"by": "ben"} | _json(
        knowledge_id="eng", query="voltage sensor", retrieval_setting=setting
    )


def _fetched(of):
    """A call of the tool `fetch`, as a client of MCP sends it."""
    call = {"name": "fetch", "arguments": {"id": of.document()}}
    return {
        "by": "ben",
        "headers": _OF_MCP,
        "json": {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call},
    }


def _nothing(_of):
    return {}


def _searching(of):
    return _json(schemas=[scim.SEARCH], filter='displayName eq "P"')


ASKED = {
    "retrieve": Asked(lambda of: {"by": "ann"} | _json(query="salary contract budget", limit=50)),
    "search_vector_store": Asked(
        lambda of: {
            "by": "ben",
            "path": {"corpus": "eng"},
            "json": {"query": "voltage sensor", "max_num_results": 50},
        }
    ),
    "ingest_document": Asked(_new_document, 201),
    "list_documents": Asked(lambda of: {"params": {"limit": 1000}}),
    "get_document": Asked(_id("document"), foreign=404),
    "delete_document": Asked(_id("document"), 204, 404),
    "relabel_document": Asked(_relabelled, foreign=404),
    "relabel_folder": Asked(
        lambda of: _json(corpus="eng", folder=of.folder(), classification="INTERNAL", reason=REASON)
    ),
    "release_document": Asked(
        lambda of: {"path": {"document_id": of.quarantined()}, "json": {"reason": REASON}},
        204,
        404,
    ),
    "classify_document": Asked(_new_document),
    "list_reviews": Asked(lambda of: {"params": {"limit": 1000}}, twins=False),
    "get_review": Asked(_id("review"), foreign=404),
    "decide_review": Asked(
        lambda of: {
            "path": {"review_id": of.review()},
            "json": {"decision": "accept", "reason": REASON},
        },
        foreign=404,
    ),
    "decide_reviews": Asked(
        lambda of: _json(review_ids=[of.review()], decision="accept", reason=REASON)
    ),  # what the other's ids give: tests/abuse/test_reviews.py
    "request_downgrade": Asked(
        lambda of: {
            "path": {"document_id": of.document()},
            "json": {"classification": "INTERNAL", "reason": REASON},
        },
        202,
        404,
    ),
    "create_job": Asked(lambda of: _json(root="inbox", manifest="m.jsonl"), 202),
    "list_jobs": Asked(lambda of: {"params": {"limit": 200}}, twins=False),
    "get_job": Asked(_id("job"), foreign=404),
    "watch_job": Asked(lambda of: _id("job")(of) | {"params": {"seconds": 0}}, foreign=404),
    "report_job": Asked(_id("job"), foreign=404),
    "retry_job": Asked(_id("job"), 202, 404),
    "cancel_job": Asked(lambda of: {"path": {"job_id": of.open_job()}}, 202, 404),
    "get_policy": Asked(_nothing),
    "replace_policy": Asked(_whole_policy),
    "change_policy": Asked(lambda of: _json(add_rows=[_row(of)], reason=REASON)),
    "export_policy": Asked(_nothing),
    "check_policy": Asked(lambda of: _json()),
    "try_policy": Asked(lambda of: _json(proposal_id=of.proposal()), foreign=404),
    "get_policy_versions": Asked(lambda of: {"params": {"limit": 1000}}),
    "get_policy_version": Asked(lambda of: {"path": {"version": of.versions()[1]}}),
    "diff_policy_versions": Asked(_versions),
    "roll_back_policy": Asked(lambda of: _json(version=of.versions()[1], reason=REASON)),
    "get_policy_proposals": Asked(_nothing),
    "get_policy_proposal": Asked(_id("proposal"), foreign=404),
    "approve_policy_proposal": Asked(
        lambda of: {
            "by": "second",
            "path": {"proposal_id": of.proposal()},
            "json": {"reason": REASON},
        },
        foreign=404,
    ),
    "reject_policy_proposal": Asked(
        lambda of: {"path": {"proposal_id": of.proposal()}, "json": {"reason": REASON}},
        foreign=404,
    ),
    "inspect_output": Asked(
        lambda of: {"by": "ann", **_json(receipt_id=of.receipt()["receipt_id"], answer="Well.")},
        foreign=404,
    ),
    "rescan_personal_data": Asked(lambda of: _json(limit=500)),
    "get_chunk_lineage": Asked(_id("chunk"), foreign=404, twins=False),  # texts have a number
    "list_versions_in_use": Asked(_nothing, twins=False),  # as many as were ingested by now
    "rescreen_documents": Asked(lambda of: _json(limit=500)),
    "reveal_pseudonyms": Asked(
        lambda of: _json(
            text="[[PERSON:1.ZY93yHtSGDwbM4GtW5ItUA6gqevt6wxHyhGg-T6G3Q]]", reason=REASON
        )
    ),
    "erase_pseudonyms": Asked(lambda of: {"by": "root"} | _json(value="Ann Miller", reason=REASON)),
    "register_application": Asked(_application, 201),
    "list_identities": Asked(_nothing, twins=False),
    "report_identities": Asked(_nothing, twins=False),
    "get_identity": Asked(lambda of: {"path": {"kind": "app", "name": "portal"}}, twins=False),
    "register_agent": Asked(lambda of: {"json": of.agent_body()}, 201),
    "rotate_identity": Asked(
        lambda of: {"path": {"kind": "agent", "name": of.agent()}, "json": {}}, 201, twins=False
    ),
    "mint_task_grant": Asked(
        lambda of: {"by": "ann", "json": of.task_grant_body()}, 201, twins=False
    ),
    "list_task_grants": Asked(lambda of: {"by": "ann"}, twins=False),
    "get_task_grant": Asked(
        lambda of: {"path": {"grant_id": of.task_grant()}}, foreign=404, twins=False
    ),
    "revoke_task_grant": Asked(
        lambda of: {"path": {"grant_id": of.task_grant()}}, foreign=404, twins=False
    ),
    "record_agent_events": Asked(
        lambda of: {"by": "ann", "json": {"receipt_id": of.event(), "events": [_STEP]}},
        201,
        404,
        twins=False,
    ),
    "request_access": Asked(lambda of: {"by": "ben", "json": of.access_body()}, 201),
    "list_access_requests": Asked(_nothing, twins=False),
    "approve_access": Asked(_about_access("access_request"), foreign=404),
    "deny_access": Asked(_about_access("access_request"), foreign=404),
    "revoke_access": Asked(_about_access("access_request"), foreign=404),
    "declare_emergency": Asked(_in_an_emergency, 201),
    "review_emergency": Asked(_about_access("emergency"), foreign=404),
    "place_restriction": Asked(
        lambda of: _json(target=of.document(), kind="quarantine", minutes=5, reason=REASON),
        201,
        404,
    ),
    "list_restrictions": Asked(lambda of: {"params": {"ended": True}}, twins=False),
    "release_restriction": Asked(
        lambda of: {
            "path": {"restriction_id": of.restriction()},
            "json": {"reason": REASON},
        },
        foreign=404,
    ),
    "get_access_audit": Asked(lambda of: {"params": {"days": 1}}, twins=False),
    "report_access_audit": Asked(lambda of: {"params": {"days": 1}}, twins=False),
    "apply_access_audit": Asked(
        lambda of: _json(days=1, digest=of.audit_digest(), reason=REASON), twins=False
    ),
    "dify_retrieval": Asked(_for_dify),
    "mcp": Asked(_fetched, foreign=200, twins=False),  # a text of JSON, in JSON
    "get_protected_resource": Asked(lambda of: {"headers": _HOST}),
    "get_protected_resource_at_root": Asked(lambda of: {"headers": _HOST}),
    "get_keys": Asked(_nothing),
    "rotate_key": Asked(lambda of: _json(classification="INTERNAL"), 202),
    "destroy_key": Asked(  # a version that nobody has
        lambda of: _json(kek_id=of.kek(), version=1000, reason=REASON), 404, 404
    ),
    "shred": Asked(
        lambda of: _json(kind="document", target=of.document(), reason=REASON), foreign=404
    ),
    "place_hold": Asked(
        lambda of: _json(kind="document", target=of.document(), reason=REASON), 201, 404
    ),
    "list_holds": Asked(_nothing, twins=False),
    "lift_hold": Asked(
        lambda of: {"path": {"hold_id": of.hold()}, "json": {"reason": REASON}}, foreign=404
    ),
    "run_retention": Asked(lambda of: _json(dry_run=True, limit=500)),
    "plant_honey": Asked(_honey, 201),
    "list_honey": Asked(_nothing),
    "list_shreddings": Asked(_nothing),
    "get_shredding": Asked(
        lambda of: {"path": {"receipt_id": of.receipt_of_shredding()}}, foreign=404
    ),
    "finish_shredding": Asked(
        lambda of: {
            "path": {"receipt_id": of.receipt_of_shredding()},
            "json": {"reason": REASON, "roll": False},
        },
        foreign=404,
    ),
    "explain": Asked(
        lambda of: _json(principal=f"user:{of.tenant}/ben", document_id=of.document()), foreign=404
    ),
    "get_readers": Asked(_id("document"), foreign=404),
    "get_subject_access": Asked(lambda of: {"path": {"principal": of.person()}}, foreign=404),
    "get_own_access": Asked(lambda of: {"by": "ben"}),
    "get_audit_entry": Asked(lambda of: {"path": {"event_id": of.event()}}, foreign=404),
    "get_audit_entries": Asked(lambda of: {"params": {"limit": 1000}}, twins=False),
    "prove_audit_entry": Asked(
        lambda of: {"path": {"event_id": of.event()}}, foreign=404, twins=False
    ),
    "get_receipt": Asked(_of_own_answer, foreign=404, twins=False),
    "prove_receipt": Asked(_of_own_answer, foreign=404, twins=False),
    "get_receipt_bundle": Asked(
        lambda of: {"path": {"answer_id": of.event()}}, foreign=404, twins=False
    ),
    "get_audit_checkpoint": Asked(lambda of: {}, twins=False),
    "prove_audit_consistency": Asked(lambda of: {"params": {"first": 1, "second": 2}}),
    "verify_audit": Asked(lambda of: _json(**of.receipt()), foreign=200),
    "evaluate_access": Asked(lambda of: _asking(of, "subject", "action", "resource"), foreign=200),
    "evaluate_accesses": Asked(_evaluations, foreign=200),
    "search_subjects": Asked(lambda of: _asking(of, "subject", "action", "resource"), foreign=200),
    "search_resources": Asked(
        lambda of: _json(
            subject={"type": "user", "id": "ben"},
            action={"name": READ},
            resource={"type": "document"},
        )
    ),
    "search_actions": Asked(lambda of: _asking(of, "subject", "resource"), foreign=200),
    "get_authzen_configuration": Asked(_nothing),
    "scim_create_user": Asked(_by_idp(lambda of: {"json": _user(of)}), 201),
    "scim_list_users": Asked(_by_idp(lambda of: {"params": {"count": 1000}})),
    "scim_get_user": Asked(_by_idp(_id("user")), foreign=404),
    "scim_replace_user": Asked(
        _by_idp(lambda of: {"path": {"user_id": of.user()}, "json": scim.user(f"n {of.count}")}),
        foreign=404,
    ),
    "scim_patch_user": Asked(
        _by_idp(
            lambda of: {
                "path": {"user_id": of.user()},
                "json": scim.patch(("replace", "active", False)),
            }
        ),
        foreign=404,
    ),
    "scim_delete_user": Asked(_by_idp(_id("user")), 204, 404),
    "scim_create_group": Asked(_by_idp(lambda of: {"json": scim.group("g", of.user())}), 201, 400),
    "scim_list_groups": Asked(_by_idp(lambda of: {"params": {"count": 1000}})),
    "scim_get_group": Asked(_by_idp(_id("group")), foreign=404),
    "scim_replace_group": Asked(
        _by_idp(lambda of: {"path": {"group_id": of.group()}, "json": scim.group("renamed")}),
        foreign=404,
    ),
    "scim_patch_group": Asked(
        _by_idp(
            lambda of: {
                "path": {"group_id": of.group()},
                "json": scim.patch(("replace", "displayName", "other")),
            }
        ),
        foreign=404,
    ),
    "scim_delete_group": Asked(_by_idp(_id("group")), 204, 404),
    "scim_search_users": Asked(_by_idp(_searching)),
    "scim_search_groups": Asked(_by_idp(_searching)),
    "scim_search": Asked(_by_idp(_searching)),
    "scim_service_provider_config": Asked(_by_idp(_nothing)),
    "scim_list_schemas": Asked(_by_idp(_nothing)),
    "scim_get_schema": Asked(_by_idp(lambda of: {"path": {"urn": _STRANGE}})),
    "scim_list_resource_types": Asked(_by_idp(_nothing)),
    "scim_get_resource_type": Asked(_by_idp(lambda of: {"path": {"name": "User"}})),
    "livez": Asked(_nothing),
    "readyz": Asked(_nothing),
    "version": Asked(_nothing),
    "metrics": Asked(_nothing, twins=False),
}
