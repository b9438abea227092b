"""Every event becomes a line that a SIEM can read, and that holds nothing else than the list allows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragward.domain.audit import AuditEntry, AuditEvent, EventType
from ragward.domain.merkle import leaf_hash
from ragward.domain.ocsf import MAX_LINE, LineMaker, Place
from ragward.domain.ocsf_classes import CLASSES, OcsfClass
from ragward.domain.ocsf_names import names_of

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas" / "ocsf.schema.json").read_text())
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)
MAKER = LineMaker(origin="acme/audit", version="1.2.3", names=names_of(b"k" * 32, tagged=False))
ID = "0b6c6f6e-6a0d-4a3e-9f6a-1f0d4d1a2b3c"
CANARY = "Jane Q. Canary"
#: The published classes' required attributes (github.com/ocsf/ocsf-schema), beside those of the base event.
REQUIRED = {
    6005: {"actor", "src_endpoint"},
    3005: {"user"},
    3004: {"entity"},
    3003: {"user"},
    2004: {"finding_info"},
    2006: {"finding_info", "activity_id"},
}
AT_LEAST_ONE = {
    6005: {"database", "databucket", "table"},
    3003: {"privileges", "groups", "iam_roles"},
}
BASE = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}


def entry(data, index=7):
    return AuditEntry(index=index, leaf_hash=leaf_hash(data), data=data)


def event(event_type=EventType.RETRIEVAL_ANSWERED, decision="permit", **details):
    actor = {"principal": "user:acme/ann", "application": "app:acme/portal", "agents": []}
    made = AuditEvent(
        event_id=ID,
        at=1_700_000_000_000,
        type=event_type,
        tenant="acme",
        actor=actor,
        decision=decision,
        details=details,
    )
    return made.to_bytes()


def line_of(data, maker=MAKER, place=None):
    line, _ = maker.line(entry(data), place or Place())
    return line


def body_of(data):
    line = line_of(data)
    assert line.text.isascii()
    assert "\n" not in line.text
    body = json.loads(line.text)
    VALIDATOR.validate(body)
    return body


@pytest.mark.parametrize("event_type", EventType)
def test_every_type_is_mapped_to_a_class_with_what_the_class_requires(event_type):
    mapped = CLASSES[event_type]
    body = body_of(event(event_type, document=ID))
    assert mapped.ocsf is not OcsfClass.BASE_EVENT
    assert body["class_uid"] == mapped.ocsf
    assert body["type_uid"] == mapped.ocsf * 100 + body["activity_id"]
    assert body.keys() >= BASE | REQUIRED[body["class_uid"]]
    for names in (AT_LEAST_ONE.get(body["class_uid"]),):
        assert names is None or names & body.keys()


def test_no_class_is_for_a_type_that_is_not_there():
    assert set(CLASSES) == {each.value for each in EventType}


def test_an_act_that_gives_rights_is_of_the_class_for_that():
    given_ = body_of(event(EventType.ADMIN_ACT, act="register_application", target="app:acme/x"))
    assert (given_["class_uid"], given_["user"]["uid"]) == (3005, "app:acme/x")
    assert body_of(event(EventType.ADMIN_ACT, act="release", target=ID))["class_uid"] == 3004


@pytest.mark.parametrize("event_type", EventType)
def test_no_free_text_leaves_in_any_field_of_any_type(event_type):
    names = [
        "reason",
        "external_id",
        "source",
        "name",
        "title",
        "text",
        "query",
        "problems",
        "subject",
        "steward",
        "value",
        "purpose",
        "sha256",
        "code",
        "action",
        "act",
        "kind",
        "state",
        "document",
        "documents",
        "chunk",
        "type",
        "corpus",
        "rules",
        "flags",
        "query_flags",
        "target",
        "user",
        "group",
        "classification",
        "key",
        "kek",
        "detector",
        "policy",
        "model",
        "question",
        "query_tag",
        "added",
        "removed",
        "passages",
        "found",
        "obstacles",
        "id",
        "of",
        "by",
        "door",
        "use",
    ]
    hidden = dict.fromkeys(names, CANARY)
    nested = {f"x{n}": [CANARY, {"deep": CANARY}] for n in range(3)}
    passages = [{"document": CANARY, "chunk": ID, "text": CANARY, "removed": {CANARY: 1}}]
    text = line_of(event(event_type, **(hidden | nested | {"passages": passages}))).text
    assert "Canary" not in text
    assert "reason" in json.loads(text)["unmapped"]["withheld"]


def test_a_passage_leaves_as_ids_and_counts_without_the_digest_that_could_be_guessed_back():
    told = {
        "document": ID,
        "chunk": ID,
        "classification": "RESTRICTED",
        "sha256": "0" * 64,
        "removed": {"PERSON": 2},
        "altered": {},
        "shown": {},
    }
    body = body_of(event(passages=[told], query_tag="ab" * 16))
    assert body["unmapped"]["passages"] == [{k: v for k, v in told.items() if k != "sha256"}]
    assert (body["action_id"], body["disposition_id"]) == (4, 11)
    assert body["query_info"]["query_string"] == "hmac-sha256:" + "ab" * 16


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        ("permit", (1, 1, 1)),
        ("deny", (2, 2, 2)),
        ("refused", (2, 2, 2)),
        ("alarm", (2, 2, 19)),
        ("dropped", (2, 2, 6)),
        ("", (1, 3, 17)),
    ],
)
def test_decisions_are_outcomes(decision, expected):
    body = body_of(event(EventType.REQUEST_REFUSED, decision, code="access.denied"))
    assert (body["status_id"], body["action_id"], body["disposition_id"]) == expected
    assert body["status_code"] == "access.denied"


def test_lines_are_a_chain_that_somebody_else_can_check():
    place, lines = Place(), []
    for index in range(5):
        line, place = MAKER.line(entry(event(questions=index), index), place)
        lines.append(line.text)
    assert place.next_index == 5
    assert chain_breaks_at(lines) is None
    assert chain_breaks_at([*lines[:2], *lines[3:]]) == 2
    assert chain_breaks_at([lines[1], lines[0], *lines[2:]]) is not None
    assert chain_breaks_at([*lines[:2], lines[2].replace("acme/ann", "acme/bob"), *lines[3:]]) == 2


def chain_breaks_at(lines):
    """An implementation of its own, from the description of OCSF's attestation."""
    before = None
    for position, text in enumerate(lines):
        body = json.loads(text)
        attestation = body["attestation_list"][0]
        claimed = attestation.pop("fingerprint")["value"]
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        linked = attestation.get("prev_event", {}).get("fingerprint", {}).get("value")
        if hashlib.sha256(canonical.encode()).hexdigest() != claimed or linked != before:
            return position
        before = claimed
    return None


def test_the_same_entry_gives_the_same_line():
    assert line_of(event(questions=1)) == line_of(event(questions=1))


HOSTILE = {
    "no JSON": b"\xff\xfe no json",
    "a list": b"[1,2]",
    "nested a thousand deep": b"[" * 100_000,
    "half a surrogate pair": b'{"type":"admin.act","tenant":"acme","actor":{"principal":"user:acme/\\ud800"},"details":{"target":"user:acme/\\udfff"}}',
    "wrong types": b'{"type":"admin.act","id":7,"ts":"x","tenant":[],"actor":"a","decision":{},"details":[1]}',
    "a line break in a name": json.dumps(
        {"type": "admin.act", "actor": {"principal": "user:acme/a\n<13>1 forged"}, "details": {}}
    ).encode(),
    "numbers that JSON has not": b'{"type":"admin.act","ts":NaN,"details":{"count":Infinity,"version":1e999}}',
    "a number of a thousand digits": b'{"type":"admin.act","ts":1' + b"0" * 1000 + b"}",
    "a type that a newer version wrote": b'{"type":"future.thing","details":{"count":1}}',
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_whatever_the_log_holds_becomes_one_line(data):
    body = body_of(data)
    assert body["class_uid"] in (0, 2004, 3004)
    assert body["metadata"]["sequence"] == 7


def test_what_is_no_event_is_a_finding_and_what_is_newer_is_not():
    assert body_of(b"?")["severity_id"] == 5
    newer = body_of(HOSTILE["a type that a newer version wrote"])
    assert (newer["class_uid"], newer["metadata"]["event_code"]) == (0, "future.thing")


def test_no_line_is_too_long_for_a_datagram():
    counts = {f"T{n}": 1 for n in range(1000)}
    passages = [{"document": ID, "removed": counts, "shown": counts} for _ in range(1000)]
    line = line_of(event(passages=passages))
    assert len(line.text) <= MAX_LINE
    VALIDATOR.validate(json.loads(line.text))
    assert chain_breaks_at([line.text]) is None


def test_names_leave_as_tags_where_they_are_addresses_or_all_are_to_be_tagged():
    plain, tagged = names_of(b"k" * 32, tagged=False), names_of(b"k" * 32, tagged=True)
    assert plain("user:acme/ann") == "user:acme/ann"
    address = plain("user:acme/ann@example.com")
    assert "example.com" not in address
    assert address.startswith("user:acme/~")
    assert tagged("user:acme/ann") not in ("user:acme/ann", tagged("user:acme/ben"))
    assert tagged("user:acme/ann") == tagged("user:acme/ann")
    assert names_of(b"l" * 32, tagged=True)("user:acme/ann") != tagged("user:acme/ann")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KNOWN = st.sampled_from(
    ["document", "code", "classification", "passages", "counts", "removed", "target", "rows", "key"]
)


@given(
    st.sampled_from(list(EventType)),
    st.dictionaries(KNOWN | st.text(), JSON, max_size=5),
    JSON,
)
def test_any_details_make_a_valid_line(event_type, details, actor):
    body = {"type": event_type.value, "details": details, "actor": actor, "tenant": "acme"}
    body_of(json.dumps(body).encode())
