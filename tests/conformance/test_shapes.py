"""Every shape in `shapes/`: PDP == pycasbin's `enforce` == what a person wrote down; what must be refused is, everywhere."""

from __future__ import annotations

import json
import sqlite3

import pytest

from ragward.adapters.catalog_sql import SQLCatalog
from ragward.adapters.source_directory import manifest_items
from ragward.domain.access import Action, Context
from ragward.domain.errors import IntegrityError, InvalidRequestError, UnavailableError
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot
from ragward.installation import read_policy_csv
from tests.conformance.shape_files import load_shapes
from tests.conformance.shape_world import MemoryStore, label_of, pdp_over, subject_of, world_of
from tests.contract.conftest import MIGRATIONS

SHAPES = load_shapes()


def of_kind(*kinds):
    return [pytest.param(s, id=s.id) for s in SHAPES if s.kind in kinds]


# What is decided. ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", of_kind("decision"))
def test_pdp_and_enforce_and_expectation_agree(shape):
    world = world_of(shape)
    for asker, names in shape.permitted.items():
        enforced = world.enforced(asker)
        assert sorted(enforced) == sorted(names), f"enforce for {asker}"
        assert world.decided(asker) == enforced, f"the PDP for {asker}"
        assert world.decided(asker) == enforced, f"the PDP for {asker}, warm"
        for label, types in shape.revealed.get(asker, {}).items():
            assert enforced[label] == frozenset(types), f"revealed to {asker} under {label}"


@pytest.mark.parametrize("shape", of_kind("decision"))
def test_single_decisions_agree_too(shape):
    """`decide`, label by label: reading as in `permitted`, other acts as in `acts`."""
    world = world_of(shape)
    expected = {f"{asker} corpus:retrieve": names for asker, names in shape.permitted.items()}
    for act, names in (expected | shape.acts).items():
        asker, _, action = act.rpartition(" ")
        subject = world.subject(asker)
        administrative = Action(action) is not Action.CORPUS_RETRIEVE
        for name, label in list(world.labels.items())[:50]:
            enforced = world.oracle.permits(
                subject, action, label, shape.now, administrative=administrative
            )
            decided = world.pdp.decide(subject, Action(action), label, world.context)
            assert decided == enforced == (name in names), (act, name)


# The guard: a corpus that permits everything, or nothing, shows nothing. --------------------------------------------


@pytest.fixture(scope="module")
def verdicts():
    """(theme, shape, permitted?) for every asker and label, by the oracle alone."""
    found = []
    for shape in SHAPES:
        if shape.kind == "decision":
            world = world_of(shape)
            for asker in shape.permitted:
                enforced = world.enforced(asker)
                found += [(shape.theme, shape, name in enforced) for name in shape.labels]
    return found


def test_there_are_enough_shapes():
    assert len(SHAPES) >= 200
    assert sum(shape.kind == "decision" for shape in SHAPES) >= 150
    assert len({shape.theme for shape in SHAPES}) >= 12


def test_every_shape_says_what_it_is_for():
    for shape in SHAPES:
        assert 10 <= len(shape.why) <= 160, shape.id
        assert len(shape.title) <= 100, shape.id
    assert len({shape.title for shape in SHAPES}) == len(SHAPES)


def test_the_oracle_is_neither_all_nor_none_in_any_file(verdicts):
    for theme in {shape.theme for shape in SHAPES}:
        outcomes = {permitted for of, _, permitted in verdicts if of == theme}
        assert outcomes == {True, False}, theme


def test_the_oracle_is_neither_all_nor_none_overall(verdicts):
    permitted = sum(
        permitted for theme, _, permitted in verdicts if theme not in ("large", "nesting")
    )
    total = sum(1 for theme, _, _ in verdicts if theme not in ("large", "nesting"))
    assert total > 600
    assert 0.3 < permitted / total < 0.7


def test_every_shape_permits_something_and_denies_something(verdicts):
    for shape in SHAPES:
        if shape.kind == "decision" and not shape.degenerate:
            outcomes = {permitted for _, of, permitted in verdicts if of is shape}
            assert outcomes == {True, False}, shape.id


def test_every_failure_the_corpus_can_show_is_in_it():
    """Those of `F1` to `F25` that are about deciding on labels; the others have tests of their flows."""
    named = " ".join(shape.why for shape in SHAPES)
    for failure in (1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 19, 20, 22, 24, 25):
        assert f"F{failure}," in named or f"F{failure}." in named, failure


# What is refused when written. --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", of_kind("policy"))
def test_an_invalid_policy_is_refused_when_written(shape, catalog):
    with pytest.raises(InvalidRequestError) as caught:
        write(shape)
    assert caught.value.code == shape.refused
    before = catalog.policy("acme")
    with pytest.raises(InvalidRequestError):
        catalog.replace_policy(
            "acme",
            [PolicyRow(*fields) for fields in shape.rows() if len(fields) == 6 or _raise()],
            [Membership(*fields) for fields in shape.memberships() if len(fields) == 2 or _raise()],
            "user:acme/eve",
        )
    assert catalog.policy("acme") == before


def write(shape):
    """As the policy routes do it."""
    rows = tuple(PolicyRow.from_fields(fields) for fields in shape.rows())
    memberships = tuple(Membership.from_fields(fields) for fields in shape.memberships())
    pdp_over(MemoryStore()).check(PolicySnapshot("acme", 0, rows, memberships))


def import_file(file):
    """As the command line does it."""
    policy = read_policy_csv(file)
    pdp_over(MemoryStore()).check(PolicySnapshot("acme", 0, policy.rows, policy.memberships))


def _raise():
    raise InvalidRequestError("a type checker would not let this through", code="policy.invalid")


@pytest.mark.parametrize("shape", of_kind("policy"))
def test_an_invalid_policy_is_refused_in_a_file(shape, tmp_path):
    """A file is refused as policy.invalid whatever is wrong with its lines, or what they make together is refused."""
    file = tmp_path / "policy.csv"
    file.write_text("".join(", ".join(line) + "\n" for line in shape.policy), "utf-8")
    with pytest.raises(InvalidRequestError) as caught:
        import_file(file)
    assert caught.value.code == "policy.invalid"


@pytest.mark.parametrize("shape", of_kind("csv"))
def test_an_invalid_file_is_refused(shape, tmp_path):
    file = tmp_path / "policy.csv"
    file.write_text(shape.given, "utf-8")
    with pytest.raises(InvalidRequestError) as caught:
        read_policy_csv(file)
    assert caught.value.code == shape.refused


@pytest.mark.parametrize("data", [b"p, user:acme/\xff\n", b"p, " + b"a" * 200_000], ids=len)
def test_a_file_that_is_not_csv_in_utf_8_is_refused(data, tmp_path):
    (tmp_path / "policy.csv").write_bytes(data)
    with pytest.raises(InvalidRequestError) as caught:
        read_policy_csv(tmp_path / "policy.csv")
    assert caught.value.code == "policy.invalid"


@pytest.mark.parametrize("shape", of_kind("label"))
def test_an_invalid_label_is_refused(shape):
    with pytest.raises(InvalidRequestError) as caught:
        label_of(shape.given)
    assert caught.value.code == shape.refused


@pytest.mark.parametrize("shape", of_kind("manifest"))
def test_an_invalid_manifest_line_fails_with_its_code(shape, tmp_path):
    (tmp_path / "a.txt").write_text("text")
    manifest = tmp_path / "manifest.jsonl"
    good = '{"uri": "a.txt", "corpus": "eng", "granted": ["user:acme/ann"]}'
    manifest.write_text(f"{shape.given}\n{good}\n", "utf-8")
    bad, fine = manifest_items(manifest, "acme")
    with pytest.raises(InvalidRequestError) as caught:
        bad.load()
    assert caught.value.code == shape.refused
    assert fine.load().label.granted == {"user:acme/ann"}


# What is refused when loaded. ---------------------------------------------------------------------------------------


GOOD = ("p", "user:acme/ann", "corpus:retrieve", "acme/*", "PUBLIC..INTERNAL", "*", "allow")
ANN = subject_of("user:acme/ann", {})
LABEL = label_of(
    {"tenant": "acme", "corpus": "hr", "level": "INTERNAL", "granted": ["user:acme/ann"]}
)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A migrated catalog in a file, and the file."""
    path = tmp_path_factory.mktemp("shapes") / "catalog.db"
    SQLCatalog.migrate(f"sqlite:///{path}", migrations_dir=MIGRATIONS)
    catalog = SQLCatalog.open(f"sqlite:///{path}")
    catalog.replace_policy("acme", [PolicyRow(*GOOD[1:])], [], "operator")
    yield catalog, path
    catalog.close()


@pytest.fixture
def catalog(database):
    return database[0]


@pytest.fixture
def stored(database):
    """Puts lines into the table as somebody with the database's password could; takes them out afterwards."""
    connection = sqlite3.connect(database[1])
    connection.execute("PRAGMA synchronous = OFF")

    def put(lines):
        with connection:
            connection.execute("DELETE FROM casbin_rule WHERE tenant = 'acme'")
            connection.executemany(
                "INSERT INTO casbin_rule (tenant, ptype, v0, v1, v2, v3, v4, v5) VALUES ('acme', ?, ?, ?, ?, ?, ?, ?)",
                [(tuple(line) + (None,) * 7)[:7] for line in lines],
            )
            connection.execute("UPDATE tenants SET epoch = epoch + 1, policy_epoch = epoch + 1")

    yield put
    put([GOOD])
    connection.close()


def assert_nothing_is_decided(pdp):
    """For somebody the good row permits, for a stranger, for the whole set and for one label; and it stays like that."""
    for subject in (ANN, subject_of("user:acme/eve", {}), ANN):
        with pytest.raises(UnavailableError) as caught:
            pdp.decide_labels(subject, Context(now=1))
        assert caught.value.code == "unavailable.policy"
        with pytest.raises(UnavailableError) as caught:
            pdp.decide(subject, Action.CORPUS_RETRIEVE, LABEL, Context(now=1))
        assert caught.value.code == "unavailable.policy"


@pytest.mark.parametrize("shape", of_kind("stored"))
def test_rows_put_into_the_database_decide_nothing(shape, catalog, stored):
    warm = pdp_over(catalog)
    assert warm.decide(ANN, Action.CORPUS_RETRIEVE, LABEL, Context(now=1))
    stored(shape.given)
    assert_nothing_is_decided(warm)
    assert_nothing_is_decided(pdp_over(catalog))
    stored([GOOD])
    assert warm.decide(ANN, Action.CORPUS_RETRIEVE, LABEL, Context(now=1))


@pytest.mark.parametrize("shape", of_kind("policy"))
def test_an_invalid_policy_put_into_the_database_decides_nothing(shape, catalog, stored):
    """Whatever is refused when written is refused when loaded, too, with a good row beside it."""
    if shape.policy:
        lines = [line for line in shape.policy if len(line) <= 7]
        cut = any(len(line) > 7 for line in shape.policy)  # has no seventh column to go into
        stored(lines if not cut else [*lines, ("p7",)])
    else:
        stored([])
    assert_nothing_is_decided(pdp_over(catalog))


@pytest.mark.parametrize("shape", of_kind("stored_label"))
def test_labels_put_into_the_database_are_damage(shape, database):
    catalog, path = database
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            "INSERT INTO labels (tenant, digest, fields) VALUES ('acme', ?, ?)",
            (LABEL.digest(), shape.given),
        )
    try:
        for pdp in (pdp_over(catalog), pdp_over(catalog)):
            with pytest.raises(IntegrityError) as caught:
                pdp.decide_labels(ANN, Context(now=1))
            assert caught.value.code == shape.refused
    finally:
        with connection:
            connection.execute("DELETE FROM labels WHERE tenant = 'acme'")
        connection.close()


def test_shapes_of_labels_stored_differ_from_a_good_one_in_what_they_say():
    """The digest above is the one of LABEL; a row with LABEL's own fields would be read."""
    from ragward.adapters.catalog_sql.labels import label_of as read
    from ragward.adapters.catalog_sql.labels import label_to_json

    assert read("acme", LABEL.digest(), label_to_json(LABEL)) == LABEL
    assert json.loads(label_to_json(LABEL))["granted"] == ["user:acme/ann"]
