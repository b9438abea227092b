"""F6 to F9: how names, unknowns, switches and gaps of other systems let everything through (docs/failures-of-others.md)."""

from __future__ import annotations

import json
import uuid

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError as ConstraintError

from ragward.adapters.pdp_casbin import CasbinPolicyDecisionPoint
from ragward.domain.errors import (
    ConfigurationError,
    IntegrityError,
    InvalidRequestError,
    RagwardError,
)
from ragward.domain.labels import AccessLabel, require_principal
from ragward.domain.policy import Membership, PolicyRow
from ragward.opening import manifest_items
from ragward.settings import Settings
from tests import company
from tests.abuse.others import (
    CONFIDENTIAL,
    INTERNAL,
    VECTOR,
    ask,
    document,
    installation,
    label,
    point,
    put,
    sources,
    with_ports,
    written_past_us,
)
from tests.policies import MODEL

READ = ("corpus:retrieve", "acme/*", "PUBLIC..RESTRICTED", "*", "allow")


def with_term(term):
    """The shipped model with one more term in its matcher."""
    return f"{MODEL.read_text().rstrip()} && {term}\n"


# F6. ----------------------------------------------------------------------------------------------------------------

REFUSED_NAMES = [
    "x' || 1 == 1",
    "x') || true || ('",
    'x" OR 1=1 --',
    "a,b",
    "a/b",
    "a\\b",
    "a\nb",
    "a b",
]
LITERAL_NAMES = [
    "*",
    ".*",
    "o|*",
    "(a|b)",
    "staff)||(true",
    "%",
    "_",
    "[a-z]",
    "{id}",
    "${jndi}",
    "a;b",
    "$where",
    "r.sub.id",
]


@pytest.mark.parametrize("exact", [False, True], ids=["indexed", "enforce"])
def test_f06_what_is_in_a_name_is_a_name(tmp_path, exact):
    """Group names reached filter strings unescaped and patterns broke out of objects; here there is no filter string, names
    that could end one are refused, and all other characters mean themselves, to the index and to Casbin."""
    for name in REFUSED_NAMES:
        for kind in ("user", "group"):
            with pytest.raises(InvalidRequestError):
                require_principal(f"{kind}:acme/{name}")
        with pytest.raises(InvalidRequestError):
            label(granted=[f"group:acme/{name}"])
    rows = [PolicyRow("group:acme/staff", *READ)]
    rows += [PolicyRow(f"group:acme/{name}", *READ) for name in LITERAL_NAMES]
    members = [Membership("user:acme/ann", "group:acme/staff")]
    members += [Membership("user:acme/eve", f"group:acme/{name}") for name in LITERAL_NAMES]
    with installation(tmp_path, rows=(*company.ROWS, *rows), memberships=members) as ragward:
        put(ragward, document("staff"), document("a", granted=["group:acme/a"]))
        for number, name in enumerate(LITERAL_NAMES):
            put(ragward, document(f"odd{number}", granted=[f"group:acme/{name}"]))
        retrieval = ragward.retrieval
        if exact:
            model = with_term("r.ctx.now > 0")
            pdp = CasbinPolicyDecisionPoint(
                ragward.catalog, model_text=model, entity_types=frozenset()
            )
            assert pdp._matcher is None
            retrieval = with_ports(ragward, pdp=pdp)
        odd = {f"odd{number}" for number in range(len(LITERAL_NAMES))}
        assert sources(ask(ragward, "eve", retrieval=retrieval)) == odd
        assert sources(ask(ragward, "ann", retrieval=retrieval)) == {"staff"}


@pytest.mark.parametrize("key", ['a"', "a%", "a' OR '1'='1", "$.a", "a\\", "", "rw_label"])
def test_f06_a_filters_key_cannot_say_more_than_a_key(ragward, key):
    """Filter keys and values were pasted into expressions; here a key that is none is refused and a value is compared."""
    with pytest.raises(InvalidRequestError):
        ask(ragward, "ann", filters={"type": "eq", "key": key, "value": 1})
    assert ask(ragward, "ann", filters={"type": "eq", "key": "number", "value": key or "'"}) == ()


# F7. ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"type": "contains", "key": "number", "value": 1},
        {"type": "any", "key": "number", "value": [1]},
        {"type": "EQ", "key": "number", "value": 1},
        {"type": "not", "filters": []},
        {"type": "or", "filters": []},
        {"type": "and", "filters": [{"type": "like", "key": "number", "value": "%"}]},
        {"type": "eq", "key": "number", "value": 1, "negate": True},
        {"type": "in", "key": "number", "value": []},
    ],
    ids=str,
)
def test_f07_an_operator_that_is_not_known_is_refused(ragward, filters):
    """An operator the store did not know was dropped and the empty filter matched all; here the request is refused."""
    with pytest.raises(InvalidRequestError) as caught:
        ask(ragward, "ann", filters=filters)
    assert caught.value.code == "request.invalid"


@pytest.mark.parametrize("term", ["regexMatch(r.act, p.act)", "eval(p.sub)", "nope(r.sub)"])
def test_f07_a_model_that_cannot_be_decided_is_refused(ragward, term):
    """A deny by meaning was skipped for a store that had no such thing; here what a model calls must be known, or it is
    refused before anything is decided by it."""
    with pytest.raises(ConfigurationError) as caught:
        CasbinPolicyDecisionPoint(
            ragward.catalog, model_text=with_term(term), entity_types=frozenset()
        )
    assert term.partition("(")[0] in caught.value.detail


def test_f07_a_field_that_is_not_known_is_refused(ragward, tmp_path):
    """A restriction under a name nobody read was no restriction; here unknown fields of manifests and labels are errors."""
    (tmp_path / "a.txt").write_text("x")
    lines = [
        {"uri": "a.txt", "corpus": "hr", "allowed_groups": ["x"]},
        {"uri": "a.txt", "corpus": "hr"},
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    wrong, right = manifest_items(tmp_path / "m.jsonl", "acme")
    with pytest.raises(InvalidRequestError):
        wrong.load()
    assert right.load().label.granted == frozenset()
    with pytest.raises(TypeError):
        AccessLabel(tenant="acme", corpus="hr", classification=INTERNAL, readers=frozenset())


# F8. ----------------------------------------------------------------------------------------------------------------


def test_f08_there_is_no_switch_that_turns_enforcement_off(ragward, tmp_path):
    """A disabled policy was an open door; here there is no such setting, and one that is made up keeps the service down."""
    names = set(Settings.model_fields)
    for part in ("enable", "disable", "enforce", "bypass", "skip", "insecure", "open", "anonymous"):
        assert not [name for name in names if part in name]
        with pytest.raises(ConfigurationError):
            Settings.load(**{"data_dir": tmp_path / "d", "keyring": tmp_path / "k", part: False})
    Settings.load(data_dir=tmp_path / "d", keyring=tmp_path / "k")


def test_f08_a_policy_without_rows_is_no_policy(tmp_path):
    """An empty or switched-off policy permitted all; here it cannot be written, and if the rows go missing in the database
    nothing is decided at all."""
    with installation(tmp_path) as ragward:
        put(ragward, document("a"))
        assert ask(ragward, "ben")
        with pytest.raises(InvalidRequestError):
            ragward.catalog.replace_policy("acme", (), (), "operator")
        assert ask(ragward, "ben")
        engine = create_engine(ragward.settings.catalog_url)
        with engine.begin() as connection:
            assert connection.execute(text("DELETE FROM casbin_rule")).rowcount
            connection.execute(text("UPDATE tenants SET epoch=epoch+1, policy_epoch=epoch+1"))
        engine.dispose()
        with pytest.raises(IntegrityError) as caught:
            ask(ragward, "ben")
        assert caught.value.code == "integrity.policy_root"


# F9. ----------------------------------------------------------------------------------------------------------------


def test_f09_what_carries_no_grant_is_nobodys(ragward, tmp_path):
    """Untagged was public; here a document of which nothing is said is CONFIDENTIAL at least and granted to nobody."""
    (tmp_path / "a.txt").write_text("The voltage laboratory of nobody.")
    (tmp_path / "m.jsonl").write_text('{"uri": "a.txt", "corpus": "eng"}')
    (item,) = manifest_items(tmp_path / "m.jsonl", "acme")
    source = item.load()
    assert (source.label.granted, source.label.classification) == (frozenset(), CONFIDENTIAL)
    put(ragward, source)
    for name in ("ann", "ben", "steward", "root"):
        assert not sources(ask(ragward, name)) & {"a.txt", "nobodys"}
    assert "theirs" in sources(
        ask(ragward, "ben")
    )  # of the same corpus and classification, and granted


def test_f09_a_point_without_a_scope_is_nobodys(index):
    """A missing key matched `is not`; here a point without the one field matches no search."""
    index.upsert([point(1, 1)])
    for number, payload in enumerate(({}, {"scope": None}, {"scope": []}, {"public": True}), 2):
        written_past_us(index, str(uuid.UUID(int=number)), VECTOR, payload)
    found = index.search(VECTOR, scopes=range(1, 50), limit=9, excluding={str(uuid.UUID(int=77))})
    assert [c.point_id for c in found] == [str(uuid.UUID(int=1))]


def test_f09_a_version_without_a_label_cannot_be_stored(ragward):
    """A file without an owner became public; here the database itself refuses a version that has no label."""
    engine = create_engine(ragward.settings.catalog_url)
    with engine.connect() as connection, pytest.raises(ConstraintError):
        connection.execute(text("UPDATE versions SET label_id = NULL"))
    engine.dispose()
    with pytest.raises(TypeError):
        AccessLabel(tenant="acme", corpus="hr")
    with pytest.raises(RagwardError):
        AccessLabel(tenant="acme", corpus="hr", classification=None)
