"""A steward's rules: each kind of condition, how they combine, and what is refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from ragward.adapters.classifier_rules import RuleClassifier
from ragward.domain.errors import ConfigurationError
from ragward.domain.labels import Classification

LABEL = "2f1f8c1e-5c77-4f0e-9f53-0d3f6a1b2c3d"
RULES = Path(__file__).parents[3] / "policies" / "classification.yaml"
SHIPPED = RuleClassifier.from_file(RULES)


@pytest.fixture
def load(tmp_path):
    def loaded(*rules):
        path = tmp_path / "rules.yaml"
        path.write_text(yaml.safe_dump({"rules": list(rules)}), encoding="utf-8")
        return RuleClassifier.from_file(path)

    return loaded


def rule(when, level="CONFIDENTIAL", name="r"):
    return {"id": name, "level": level, "when": when}


def classify(
    classifier, source="hr/a.txt", title="", text="", attributes=None, counts=None, properties=None
):
    return classifier.classify(source, title, text, attributes or {}, counts or {}, properties)


@pytest.mark.parametrize(
    ("when", "holds", "fails"),
    [
        ({"path_glob": "hr/*.txt"}, {"source": "hr/a/b.txt"}, {"source": "hrx/a.txt"}),
        ({"path_glob": "hr/*"}, {"source": "hr/a"}, {"source": "HR/a"}),
        ({"keyword_any": ["merger", "Lawsuit"]}, {"text": "The LAWSUIT."}, {"text": "law suit"}),
        ({"keyword_any": ["merger"]}, {"title": "Merger"}, {"source": "merger.txt"}),
        ({"regex": "^Draft"}, {"title": "Draft 2"}, {"title": "A Draft"}),
        ({"regex": "(?m)^Secret"}, {"text": "x\nSecret"}, {"text": "x\nsecret"}),
        ({"attribute": {"a": 1}}, {"attributes": {"a": 1, "b": 2}}, {"attributes": {"a": 2}}),
        (
            {"attribute": {"a": 1, "b": "x"}},
            {"attributes": {"a": 1, "b": "x"}},
            {"attributes": {"a": 1}},
        ),
        ({"entity_any": ["AGE", "PERSON"]}, {"counts": {"PERSON": 1}}, {"counts": {"PERSON": 0}}),
        ({"entity_count_at_least": {"AGE": 2}}, {"counts": {"AGE": 2}}, {"counts": {"AGE": 1}}),
        (
            {"entity_count_at_least": {"AGE": 1, "PERSON": 1}},
            {"counts": {"AGE": 1, "PERSON": 3}},
            {"counts": {"PERSON": 3}},
        ),
        ({"banner_any": ["secret"]}, {"text": "x\nSECRET"}, {"text": "A secret"}),
        ({"tlp_any": ["RED"]}, {"text": "TLP:RED"}, {"text": "TLP:AMBER"}),
        ({"cui": True}, {"text": "CUI//SP-PRVCY"}, {"text": "cuisine"}),
        (
            {"purview_any": ["Secret"]},
            {"properties": {f"MSIP_Label_{LABEL}_Name": "secret"}},
            {"properties": {f"MSIP_Label_{LABEL}_Name": "Public"}},
        ),
        (
            {"purview_any": ["*"]},
            {"attributes": {f"MSIP_Label_{LABEL}_Enabled": "true"}},
            {"attributes": {f"MSIP_Label_{LABEL}_Enabled": "false"}},
        ),
    ],
)
def test_each_kind_of_condition(load, when, holds, fails):
    classifier = load(rule(when))
    level, evidence = classify(classifier, **holds)
    assert level is Classification.CONFIDENTIAL
    assert len(evidence) == 1
    assert evidence[0].startswith("rule r: CONFIDENTIAL (")
    assert classify(classifier, **fails) == (Classification.PUBLIC, ())


@pytest.mark.parametrize(
    ("source", "text", "level"),
    [
        ("hr/a", "merger", Classification.RESTRICTED),
        ("hr/a", "", Classification.PUBLIC),
        ("it/a", "merger", Classification.PUBLIC),
    ],
)
def test_all_conditions_of_a_rule_are_needed(load, source, text, level):
    classifier = load(rule({"path_glob": "hr/*", "keyword_any": ["merger"]}, "RESTRICTED"))
    assert classify(classifier, source=source, text=text)[0] is level


def test_the_highest_level_wins_in_any_order_and_every_rule_that_held_is_evidence(load):
    rules = [
        rule({"regex": "a"}, "INTERNAL", "low"),
        rule({"regex": "b"}, "RESTRICTED", "high"),
        rule({"regex": "c"}, "CONFIDENTIAL", "middle"),
        rule({"regex": "z"}, "RESTRICTED", "silent"),
    ]
    lines = (
        "rule low: INTERNAL (text line 1)",
        "rule high: RESTRICTED (text line 1)",
        "rule middle: CONFIDENTIAL (text line 1)",
    )
    assert classify(load(*rules), text="abc") == (Classification.RESTRICTED, lines)
    level, evidence = classify(load(*reversed(rules)), text="abc")
    assert level is Classification.RESTRICTED
    assert sorted(evidence) == sorted(lines)


def test_without_rules_everything_is_public(load):
    assert classify(load(), text="RESTRICTED") == (Classification.PUBLIC, ())


@pytest.mark.parametrize(
    "bad",
    [
        {"id": "bad-rule", "level": "PUBLIC"},
        {"id": "bad-rule", "when": {"regex": "a"}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {}},
        {"id": "bad-rule", "level": "PUBLIC", "when": ["regex"]},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"regex": "a"}, "unless": {"regex": "b"}},
        {"id": "bad-rule", "level": "SECRET", "when": {"regex": "a"}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"regex": "("}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"regex": 5}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"rgex": "a"}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"keyword_any": 5}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"keyword_any": "merger"}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"entity_any": "PERSON"}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"attribute": 5}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"attribute": "a=b"}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"entity_count_at_least": ["AGE"]}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"entity_count_at_least": {"AGE": None}}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"entity_count_at_least": {"AGE": "many"}}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"entity_count_at_least": {"AGE": 0}}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"entity_count_at_least": {"AGE": True}}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"entity_any": []}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"keyword_any": [""]}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"regex": r"(a)\1"}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"regex": "a" * 1001}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"regex": "((a{500}){500}){500}"}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"path_glob": "*a" * 9}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"tlp_any": ["ORANGE"]}},
        {"id": "bad-rule", "level": "PUBLIC", "when": {"cui": False}},
    ],
)
def test_a_malformed_rule_is_refused_by_name(load, bad):
    with pytest.raises(ConfigurationError, match="bad-rule") as caught:
        load(rule({"regex": "a"}, name="good-rule"), bad)
    assert caught.value.code == "config.invalid"
    assert "good-rule" not in str(caught.value)


def test_a_rule_without_a_name_is_refused(load):
    with pytest.raises(ConfigurationError, match=r"rule \?"):
        load({"level": "PUBLIC", "when": {"regex": "a"}})


@pytest.mark.parametrize("content", ["", "rules: [", "rules: 5", "other: []", "5", "rules: [a]"])
def test_a_file_that_is_no_rule_file_is_refused(tmp_path, content):
    path = tmp_path / "rules.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"rules\.yaml") as caught:
        RuleClassifier.from_file(path)
    assert caught.value.code == "config.invalid"


@pytest.mark.parametrize("data", [None, b"rules: [\xff]"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, data):
    path = tmp_path / "rules.yaml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigurationError, match=r"rules\.yaml"):
        RuleClassifier.from_file(path)


@pytest.mark.parametrize(
    ("facts", "level"),
    [
        ({"text": "The canteen opens at noon."}, Classification.PUBLIC),
        ({"text": "This is CONFIDENTIAL by nature."}, Classification.PUBLIC),
        ({"text": "INTERNAL USE ONLY\nSeating plan"}, Classification.INTERNAL),
        ({"text": "Classification: CONFIDENTIAL"}, Classification.CONFIDENTIAL),
        ({"text": "Minutes\nPage 1 | Company Confidential"}, Classification.CONFIDENTIAL),
        ({"text": "TLP:AMBER+STRICT"}, Classification.CONFIDENTIAL),
        ({"text": "TLP:CLEAR"}, Classification.PUBLIC),
        ({"text": "CUI//SP-PRVCY"}, Classification.CONFIDENTIAL),
        (
            {"properties": {f"MSIP_Label_{LABEL}_Name": "Highly Confidential"}},
            Classification.RESTRICTED,
        ),
        ({"text": "classification: CONFIDENTIAL"}, Classification.CONFIDENTIAL),
        ({"title": "TLP:RED"}, Classification.RESTRICTED),
        ({"text": "-----BEGIN RSA PRIVATE KEY-----"}, Classification.RESTRICTED),
        ({"text": "key AKIAABCDEFGHIJKLMNOP"}, Classification.RESTRICTED),
        ({"text": "key AKIAABCDEFGHIJKLMNO"}, Classification.PUBLIC),
        ({"counts": {"US_SSN": 1}}, Classification.CONFIDENTIAL),
        ({"counts": {"US_SSN": 5}}, Classification.RESTRICTED),
        ({"counts": {"PERSON": 4, "SALARY": 1}}, Classification.PUBLIC),
        ({"counts": {"PERSON": 5}}, Classification.INTERNAL),
        ({"counts": {"SALARY": 2}}, Classification.CONFIDENTIAL),
    ],
)
def test_the_shipped_rules(facts, level):
    assert classify(SHIPPED, **facts)[0] is level


def test_evidence_says_where_and_nothing_of_what(load):
    rules = [
        rule({"keyword_any": ["merger"], "path_glob": "hr/*"}, name="words"),
        rule({"entity_count_at_least": {"US_SSN": 2}}, name="ids"),
        rule({"attribute": {"department": "legal"}}, name="department"),
        rule({"regex": "Draft"}, name="draft"),
    ]
    _, evidence = classify(
        load(*rules),
        title="Draft",
        text="one\ntwo merger",
        counts={"US_SSN": 3},
        attributes={"department": "legal"},
    )
    assert evidence == (
        "rule words: CONFIDENTIAL (text line 2, path)",
        "rule ids: CONFIDENTIAL (found US_SSN x3)",
        "rule department: CONFIDENTIAL (metadata department)",
        "rule draft: CONFIDENTIAL (title)",
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("rules: []\nrulez: []", "ValueError"),
        ("rules: []\nrules: []", "twice"),
        ("rules:\n  - {id: a, id: b, level: PUBLIC, when: {cui: true}}", "twice"),
        ("rules:\n  - {id: A, level: PUBLIC, when: {cui: true}}", "must match"),
        (
            "rules: [{id: a, level: PUBLIC, when: {cui: true}}, {id: a, level: PUBLIC, when: {cui: true}}]",
            "rule a: there are two",
        ),
        ("rules: []\nreview: {confidence: high}", "numbers"),
        ("rules: []\nreview: {confidence: 0.1}", "between"),
        ("rules: []\nreview: {certainty: 0.9}", "knows"),
        ("rules: !!python/object/apply:os.system [id]", "constructor"),
    ],
)
def test_a_broken_file_is_refused_with_its_reason(tmp_path, content, told):
    path = tmp_path / "rules.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=told) as caught:
        RuleClassifier.from_file(path)
    assert caught.value.code == "config.invalid"


def test_a_type_that_nothing_finds_is_refused(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("rules: [{id: a, level: PUBLIC, when: {entity_any: [US_SNN]}}]")
    RuleClassifier.from_file(path)
    with pytest.raises(ConfigurationError, match="US_SNN"):
        RuleClassifier.from_file(path, {"US_SSN"})


def test_no_pattern_is_catastrophic(load):
    patterns = ["(a+)+$", "(a|a)*b", "(?m)^\\s*(x\\s*)?y", ".*.*.*=x"]
    classifier = load(*(rule({"regex": p}, name=f"r{i}") for i, p in enumerate(patterns)))
    text = "a" * 200_000 + "\n" * 200_000 + "!"
    started = time.process_time()
    classify(classifier, text=text)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "lowering",
    [
        {"text": "This is PUBLIC."},
        {"text": "TLP:CLEAR\nClassification: PUBLIC"},
        {"attributes": {"classification": "PUBLIC", f"MSIP_Label_{LABEL}_Name": "Public"}},
        {"properties": {f"MSIP_Label_{LABEL}_Name": "Public"}},
        {"title": "PUBLIC"},
    ],
)
def test_nothing_a_document_says_lowers_what_a_rule_found(lowering):
    found = {"text": "", "counts": {"US_SSN": 5}} | lowering
    assert classify(SHIPPED, **found)[0] is Classification.RESTRICTED


def test_a_file_does_not_take_back_what_its_source_says_of_its_label():
    said = {"attributes": {f"MSIP_Label_{LABEL}_Name": "Highly Confidential"}}
    forged = {f"MSIP_Label_{LABEL}_Name": "Public", f"MSIP_Label_{LABEL}_Enabled": "false"}
    assert classify(SHIPPED, **said, properties=forged)[0] is Classification.RESTRICTED
