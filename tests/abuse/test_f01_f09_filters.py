"""F1 to F9: how filters, identities and names of other systems let everything through (docs/failures-of-others.md)."""

from __future__ import annotations

import dataclasses
import json
import threading
import uuid

import pytest
from pyroaring import FrozenBitMap
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError as ConstraintError
from starlette.testclient import TestClient

from ragward.adapters.index_filter import ScopeFilter
from ragward.adapters.pdp_casbin import CasbinPolicyDecisionPoint
from ragward.api.app import create_app, openapi_document
from ragward.bootstrap import manifest_items
from ragward.domain.access import Credentials, Subject
from ragward.domain.corpus import IndexPoint
from ragward.domain.errors import (
    ConfigurationError,
    InvalidRequestError,
    RagwardError,
    UnauthenticatedError,
    UnavailableError,
)
from ragward.domain.labels import AccessLabel, require_principal
from ragward.domain.passages import Candidate
from ragward.domain.policy import Membership, PolicyRow
from ragward.settings import Settings
from tests import company
from tests.abuse.others import (
    CONFIDENTIAL,
    INTERNAL,
    PUBLIC,
    QUERY,
    RESTRICTED,
    STEWARD,
    ask,
    document,
    edge,
    installation,
    label,
    put,
    sources,
    with_ports,
    written_past_us,
)
from tests.installation import asked_by, qdrant_client_index
from tests.policies import MODEL

VECTOR = [1.0] + [0.0] * 63
READ = ("corpus:retrieve", "acme/*", "PUBLIC..RESTRICTED", "*", "allow")


@pytest.fixture(scope="module")
def ragward(tmp_path_factory):
    """One document for the staff, one for engineering, one for ann alone, one for nobody."""
    with installation(tmp_path_factory.mktemp("f01")) as made:
        put(
            made,
            document("open", level=PUBLIC),
            document("theirs", granted=["group:acme/eng"], level=CONFIDENTIAL),
            document("hers", corpus="hr", granted=["user:acme/ann"], level=RESTRICTED),
            document("nobodys", granted=[]),
        )
        yield made


@pytest.fixture(params=["edge", "edge without payload index", "qdrant-client"])
def index(request, tmp_path):
    if request.param == "qdrant-client":
        made = qdrant_client_index()
    else:
        made = edge(tmp_path / "index", payload_index="without" not in request.param)
    yield made
    made.close()


def point(number, scope):
    return IndexPoint(point_id=str(uuid.UUID(int=number)), scope_id=scope, vector=VECTOR)


def with_term(term):
    """The shipped model with one more term in its matcher."""
    return f"{MODEL.read_text().rstrip()} && {term}\n"


# F1. ----------------------------------------------------------------------------------------------------------------


def test_f01_an_empty_list_of_scopes_matches_nothing(index):
    """An empty grant list became no filter, which matches everything; here an empty set never reaches the engine."""
    index.upsert([point(1, 1), point(2, 2)])
    assert len(index.search(VECTOR, scopes={1, 2}, limit=5)) == 2
    for nothing in (set(), frozenset(), FrozenBitMap()):
        assert ScopeFilter.of(nothing, (), None) is None
        assert index.search(VECTOR, scopes=nothing, limit=5) == []
    assert index.search(VECTOR, scopes={1, 2}, limit=5, only_points=()) == []


def test_f01_who_has_no_grant_gets_nothing(ragward):
    """Group enforcement over no groups was no enforcement; here no groups, no rows and no grants each mean nothing."""
    assert sources(ask(ragward, "ann")) == {"open", "hers"}
    assert ask(ragward, "stranger") == ()
    assert "nobodys" not in {s for name in ("ann", "ben", "dot") for s in sources(ask(ragward, name))}
    narrow = dataclasses.replace(company.APPLICATION, corpora=frozenset())
    subject = dataclasses.replace(company.subject("ann"), application=narrow)
    assert not ragward.pdp.decide_labels(subject, ragward.clock.context())


def test_f01_a_filter_that_selects_no_document_selects_none(ragward):
    """An id list that came out empty was left out of the query; here it leaves nothing over."""
    filters = {"type": "eq", "key": "number", "value": 1}
    assert ask(ragward, "ann")
    assert ask(ragward, "ann", filters=filters) == ()
    assert ask(ragward, "ann", corpora=("no-such-corpus",)) == ()


# F2. ----------------------------------------------------------------------------------------------------------------

#: Health, and what protocols say of themselves: the same for everybody.
OPEN_TO_ALL = {"/livez", "/readyz", "/version", "/.well-known/authzen-configuration"}
OPEN_TO_ALL |= {f"/scim/v2/{name}" for name in ("ServiceProviderConfig", "ResourceTypes", "Schemas")}
OPEN_TO_ALL |= {"/scim/v2/ResourceTypes/{name}", "/scim/v2/Schemas/{urn}"}


def test_f02_no_identity_is_no_answer(ragward):
    """A missing identity meant no filter; here there is no subject without one, and nothing is decided for nobody."""
    for nobody in (Credentials(), Credentials(untrusted_user_authorization="ann")):
        with pytest.raises(UnauthenticatedError):
            ragward.retrieve(nobody, QUERY)
    with pytest.raises(TypeError):
        Subject(tenant="acme", principal="user:acme/ann", not_after=2**40)
    with pytest.raises(AttributeError):
        ragward.pdp.decide_labels(None, ragward.clock.context())
    unnamed = dataclasses.replace(company.subject("ann"), principal="")
    assert not ragward.pdp.decide_labels(unnamed, ragward.clock.context())
    assert ragward.pdp.decide_labels(company.subject("ann"), ragward.clock.context())


def test_f02_no_operation_answers_without_credentials(ragward):
    """One endpoint that forgot to ask who calls was enough; here all of the OpenAPI document are tried, new ones too."""
    tried = 0
    with TestClient(create_app(ragward)) as client:
        for path, operations in openapi_document()["paths"].items():
            for method in operations.keys() - {"parameters"}:
                url = path.replace("{", "").replace("}", "")
                body = {} if method in ("get", "delete") else {"json": {"query": QUERY}}
                response = client.request(method, url, **body)
                if path in OPEN_TO_ALL:
                    assert QUERY not in response.text
                    continue
                tried += 1
                assert response.status_code == 401, (method, path, response.text)
    assert tried > 50


# F3. ----------------------------------------------------------------------------------------------------------------


def test_f03_identity_does_not_bleed_from_one_request_into_another(ragward):
    """The last caller's groups stayed in a shared retriever; here one Retrieval serves eight threads, each its own subject."""
    askers = ["ann", "ben", "cai", "dot", "stranger", "ann+bot", "ben+bot", "steward"]
    alone = {name: [p.chunk_id for p in ask(ragward, name)] for name in askers}
    assert len({tuple(found) for found in alone.values()}) >= 4
    wrong, start = [], threading.Barrier(len(askers))

    def keep_asking(name):
        start.wait()
        for _ in range(25):
            found = [p.chunk_id for p in ask(ragward, name)]
            if found != alone[name]:
                wrong.append((name, found))

    threads = [threading.Thread(target=keep_asking, args=(name,)) for name in askers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    with pytest.raises(UnauthenticatedError):  # and whoever comes next brings their own
        ragward.retrieve(Credentials(), QUERY)


# F4. ----------------------------------------------------------------------------------------------------------------


class Answering:
    """An index that answers with these points, whatever is asked."""

    def __init__(self, point_ids):
        self._found = [Candidate(point_id=each, score=1.0) for each in point_ids]

    def search(self, vector, *, scopes, limit, excluding=(), only_points=None):
        return [each for each in self._found if each.point_id not in excluding]


def test_f04_one_chunks_verdict_is_not_anothers(ragward):
    """Chunks without ids shared one key, so one permitted chunk released all and one denied hid all; here every candidate
    is looked up and decided by itself, wherever it stands and whatever it is called."""
    points = {
        record.source: ragward.catalog.document_chunks("acme", record.document_id)[0].point_id
        for record in ragward.catalog.documents("acme")
    }
    mine, not_mine = points["open"], [points["hers"], points["nobodys"]]
    odd = ["", "None", "null", "\0", "é" * 40, mine.upper(), f"{mine} ", str(uuid.UUID(int=0))]
    for order in ([mine, *not_mine, *odd], [*odd, *not_mine, mine], [mine, mine, *not_mine, mine]):
        retrieval = with_ports(ragward, index=Answering(order))
        assert [p.source for p in ask(ragward, "ben", retrieval=retrieval)] == ["open"]
    for order in (not_mine, odd):
        assert ask(ragward, "ben", retrieval=with_ports(ragward, index=Answering(order))) == ()


def test_f04_equal_names_and_texts_are_different_documents(tmp_path):
    """A map from object to verdict let one label's verdict answer for another; here equal sources, texts and file names in
    two corpora have ids and verdicts of their own."""
    with installation(tmp_path) as ragward:
        same = "The voltage laboratory opens at nine."
        one = put(ragward, document("a", same, corpus="eng"))
        other = put(ragward, document("a", same, corpus="hr", granted=["user:acme/ann"]))
        assert one != other
        assert {p.document_id for p in ask(ragward, "ben")} == {one}
        assert {p.document_id for p in ask(ragward, "ann", corpora=("hr",))} == {other}


# F5. ----------------------------------------------------------------------------------------------------------------


def test_f05_all_permitted_chunks_of_a_document_come(tmp_path):
    """Of four permitted chunks of one article one was returned, because verdicts were kept per article; here all come."""
    words = [f"Chapter {n}: the voltage laboratory {' '.join(f'w{n}x{i}' for i in range(40))}" for n in range(8)]
    with installation(tmp_path) as ragward:
        put(ragward, document("long", "\n\n".join(words)), document("b"))
        record = ragward.catalog.find_document("acme", "eng", "long")
        assert record.chunk_count >= 8
        found = [p.chunk_id for p in ask(ragward, "ben") if p.source == "long"]
        assert len(set(found)) == len(found) == record.chunk_count


# F6. ----------------------------------------------------------------------------------------------------------------

REFUSED_NAMES = ["x' || 1 == 1", "x') || true || ('", 'x" OR 1=1 --', "a,b", "a/b", "a\\b", "a\nb", "a b"]
LITERAL_NAMES = ["*", ".*", "o|*", "(a|b)", "staff)||(true", "%", "_", "[a-z]", "{id}", "${jndi}", "a;b", "$where", "r.sub.id"]


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
    lines = [{"uri": "a.txt", "corpus": "hr", "allowed_groups": ["x"]}, {"uri": "a.txt", "corpus": "hr"}]
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
        with pytest.raises(UnavailableError) as caught:
            ask(ragward, "ben")
        assert caught.value.code == "unavailable.policy"


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
    assert "theirs" in sources(ask(ragward, "ben"))  # of the same corpus and classification, and granted


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
