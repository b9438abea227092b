"""Attacks on what hides personal data: pseudonyms, purposes, stale findings; and that entitlement shows what it should."""

from __future__ import annotations

import json
import random
import re
import shutil

import pytest

from ragward.adapters.pseudonyms_aessiv import AESSIVPseudonyms
from ragward.domain.corpus import SourceDocument
from ragward.domain.errors import DeniedError, InvalidRequestError
from ragward.domain.findings import Span
from ragward.domain.handling import Mode
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest
from ragward.domain.policy import Membership, PolicyRow
from ragward.domain.pseudonyms import Payload
from ragward.domain.scans import Scan
from ragward.installation import Policy, initialise
from ragward.opening import resource
from tests import company
from tests.fakes.finder_presidio import FakeFinder
from tests.installation import asked_by, opened, settings_in

TOKENS = AESSIVPseudonyms(lambda: b"k" * 32)
TOKEN = re.compile(r"\[\[EMAIL_ADDRESS:1\.[\w-]+\]\]")
ROWS = (
    *company.ROWS,
    *(
        PolicyRow(*fields)
        for fields in (
            ("group:acme/staff", "corpus:retrieve", "acme/hr", "PUBLIC..CONFIDENTIAL", "*", "allow"),
            ("user:acme/ben", "pseudonymise:EMAIL_ADDRESS@*", "acme/*", "PUBLIC..CONFIDENTIAL", "*", "allow"),
            ("user:acme/ben", "pseudonymise:EMAIL_ADDRESS", "acme/*", "PUBLIC..CONFIDENTIAL", "*", "allow"),
            ("user:acme/ben", "generalise:US_SSN", "acme/*", "PUBLIC..CONFIDENTIAL", "*", "allow"),
            ("user:acme/officer", "reveal:EMAIL_ADDRESS", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"),
            ("user:acme/officer", "reveal:EMAIL_ADDRESS@*", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"),
            ("user:acme/officer", "reveal:EMAIL_ADDRESS@support", "acme/*", "PUBLIC..RESTRICTED", "*", "deny"),
            ("user:acme/low", "reveal:EMAIL_ADDRESS", "acme/*", "PUBLIC..CONFIDENTIAL", "*", "allow"),
        )
    ),
)  # fmt: skip
TEXT = (
    "Contact: jo@acme.example about the boiler. SSN 536-90-4399. Later jo@acme.example wrote again."
)
OTHER = "The pump was ordered by jo@acme.example and by mia@acme.example for the boiler."


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("personal")
    settings = settings_in(directory)
    policy = Policy(
        rows=ROWS,
        memberships=(*company.MEMBERSHIPS, Membership("user:acme/low", "group:acme/staff")),
    )
    initialise(settings, tenant=company.TENANT, administrator="user:acme/root", policy=policy)
    with opened(settings) as ragward:
        for number, text in enumerate((TEXT, OTHER)):
            ragward.ingestion.ingest(company.subject("steward"), document(number, text))
    return settings


@pytest.fixture
def ragward(directory):
    with opened(directory) as ragward:
        yield ragward


def document(number, text, level=Classification.INTERNAL):
    label = AccessLabel(
        tenant="acme", corpus="hr", classification=level, granted=frozenset({"group:acme/staff"})
    )
    name = f"hr/{number}.txt"
    return SourceDocument(source=name, filename=name, data=text.encode(), label=label)


def answered(ragward, name, purpose="", query="boiler"):
    request = RetrievalRequest(query=query, purpose=purpose, minimize=Mode.OFF)
    return "\n".join(p.text for p in ragward.retrieve(asked_by(name), request).passages)


def details(ragward, event_type):
    events = [json.loads(entry.data) for entry in ragward.audit.entries(limit=1000)]
    return [event for event in events if event["type"] == event_type]


# Tokens. ------------------------------------------------------------------------------------------------------------


def test_the_same_value_has_one_token_within_a_purpose_and_another_elsewhere():
    value = Payload(value="Ann Weber")
    places = [
        ("acme", "", "PERSON"),
        ("acme", "support", "PERSON"),
        ("acme", "research", "PERSON"),
        ("acme", "", "EMAIL_ADDRESS"),
        ("zeta", "", "PERSON"),
    ]
    made = [TOKENS.issue(*place, value) for place in places]
    assert made == [TOKENS.issue(*place, value) for place in places]
    assert len(set(made)) == len(places)
    for token, place in zip(made, places, strict=True):
        assert TOKENS.read(place[0], place[1], token) == value
        for other in places:
            if other[:2] != place[:2]:
                with pytest.raises(InvalidRequestError):
                    TOKENS.read(other[0], other[1], token)


def test_a_changed_token_is_refused():
    token = TOKENS.issue("acme", "support", "PERSON", Payload(value="Ann Weber"))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    start = token.index(".") + 1
    changed = [
        token[:at] + character + token[at + 1 :]
        for at in range(start, len(token) - 2)
        for character in alphabet
        if character != token[at]
    ]
    changed += [
        token.replace("PERSON", "PHONE_NUMBER"),
        token.replace(":1.", ":2."),
        token[:-3] + "]]",
    ]
    changed += [token.replace("]]", "A]]"), "[[PERSON:1.]]", "", "[[PERSON:1." + "A" * 43 + "]]"]
    for each in changed:
        with pytest.raises(InvalidRequestError) as refused:
            TOKENS.read("acme", "support", each)
        assert refused.value.code == "pseudonym.invalid"


def test_tokens_are_found_wherever_a_model_moved_them():
    chance = random.Random(1)
    values = [f"Person {n} [[x]] \n é" for n in range(40)]
    tokens = [TOKENS.issue("acme", "", "PERSON", Payload(value=value)) for value in values]
    parts = [token for token in tokens for _ in range(3)]
    chance.shuffle(parts)
    joints = ["", " ", "\n", "**", "[[", "]]", "_", "PERSON:1."]
    text = "".join(chance.choice(joints) + part for part in parts)
    found = [each.token for each in TOKENS.found(text)]
    assert found == parts
    assert {TOKENS.read("acme", "", token).value for token in found} == set(values)


# Entitlement. -------------------------------------------------------------------------------------------------------


def test_rows_decide_between_shown_generalised_pseudonymised_and_removed(ragward):
    assert "<EMAIL_ADDRESS>" in answered(ragward, "cai")
    assert "jo@acme.example" in answered(ragward, "ann")
    seen = answered(ragward, "ben")
    tokens = TOKEN.findall(seen)
    assert len(tokens) == 4
    assert len(set(tokens)) == 2  # the same value, the same token, in every chunk
    assert "…4399" in seen
    assert not re.search(r"jo@|mia@|536-90", seen)


def test_a_row_for_requests_without_a_purpose_is_for_those_only(ragward):
    assert "<US_SSN>" in answered(ragward, "ben", "support")  # generalise:US_SSN is no row for it
    assert TOKEN.search(answered(ragward, "ben", "support"))
    assert not TOKEN.search(answered(ragward, "cai", "support"))


def test_a_purpose_caps_what_rows_permit(ragward):
    assert "jo@acme.example" in answered(ragward, "ann", "support")
    for purpose in ("research", "statistics"):
        assert "jo@" not in answered(ragward, "ann", purpose)


def test_a_remembered_permit_is_not_used_for_another_purpose(ragward):
    for purpose, shown in (("", True), ("research", False), ("support", True), ("research", False)):
        assert ("jo@acme.example" in answered(ragward, "ann", purpose)) is shown


@pytest.mark.parametrize("purpose", ["marketing", "support@x", "*", "Support"])
def test_an_unknown_purpose_is_refused(ragward, purpose):
    with pytest.raises(InvalidRequestError):
        answered(ragward, "ann", purpose)


def test_what_is_shown_is_on_record(ragward):
    answered(ragward, "ann", "support")
    event = details(ragward, "retrieval.answered")[-1]
    assert event["details"]["purpose"] == "support"
    assert {"EMAIL_ADDRESS": 2, "US_SSN": 1} in [p["shown"] for p in event["details"]["passages"]]


# Ingest and compare. ------------------------------------------------------------------------------------------------


def test_a_guess_that_was_ingested_confirms_nothing_across_purposes(ragward):
    guesses = [f"guess{n}@acme.example" for n in range(5)] + ["jo@acme.example"]
    source = document("guesses", "Guessing: " + " and ".join(guesses) + " in the attic.")
    ragward.ingestion.ingest(company.subject("steward"), source)
    seen = set(TOKEN.findall(answered(ragward, "ben", "support")))
    own = set(TOKEN.findall(answered(ragward, "ben", "research", "attic guessing")))
    assert seen
    assert own
    assert not seen & own
    assert "<US_SSN>" in answered(
        ragward, "cai"
    )  # of few possible values: no token at all to compare


# Back to values. ----------------------------------------------------------------------------------------------------


def reveal(ragward, name, text, purpose=""):
    return ragward.disclosure.reveal(
        company.subject(name), text, purpose=purpose, reason="customer asked for it"
    )


def test_whoever_may_see_the_values_turns_them_back_each_on_record(ragward):
    seen = answered(ragward, "ben")
    one, other, *_ = sorted(set(TOKEN.findall(seen)))
    before = len(details(ragward, "pseudonym.revealed"))
    done = reveal(ragward, "officer", f"The model says: {other}{one}, thanks to {one}.")
    assert len(set(re.findall(r"\w+@acme\.example", done.text))) == 2
    assert "[[" not in done.text
    assert (done.revealed, done.refused) == ({"EMAIL_ADDRESS": 3}, {})
    events = details(ragward, "pseudonym.revealed")[before:]
    assert len(events) == 3
    assert all(event["decision"] == "permit" for event in events)
    assert "jo@acme" not in repr(events)


@pytest.mark.parametrize("name", ["ben", "cai", "low", "nobody", "steward"])
def test_who_may_not_see_them_everywhere_gets_the_tokens_back(ragward, name):
    seen = answered(ragward, "ben")
    done = reveal(ragward, name, seen)
    assert done.text == seen
    assert done.revealed == {}
    assert details(ragward, "pseudonym.revealed")[-1]["decision"] == "deny"


def test_tokens_of_another_purpose_or_changed_ones_stay(ragward):
    [token, *_] = TOKEN.findall(answered(ragward, "ben", "support"))
    assert reveal(ragward, "officer", token).text == token
    with pytest.raises(InvalidRequestError):
        reveal(ragward, "officer", token, "unknown")
    assert reveal(ragward, "officer", token, "support").text == token  # a deny row on that purpose
    [token, *_] = TOKEN.findall(answered(ragward, "ben"))
    changed = token[:30] + ("B" if token[30] == "A" else "A") + token[31:]
    assert reveal(ragward, "officer", changed).text == changed


# Stale findings, and scanning again. --------------------------------------------------------------------------------


class NewerFinder(FakeFinder):
    """Finds the pump as well."""

    version = "fake/2"

    def find(self, text):
        more = [
            Span(m.start(), m.end(), "EMPLOYEE_ID", 0.9) for m in re.finditer("pump|boiler", text)
        ]
        return tuple(sorted((*super().find(text), *more)))

    def scan(self, text, chunks):
        return Scan(spans=self.find(text))


@pytest.fixture
def older(tmp_path):
    settings = settings_in(tmp_path)
    policy = Policy(rows=ROWS, memberships=company.MEMBERSHIPS)
    initialise(settings, tenant=company.TENANT, administrator="user:acme/root", policy=policy)
    with opened(settings) as ragward:
        for number, text in enumerate((TEXT, OTHER, "The roof is new and the walls are dry.")):
            ragward.ingestion.ingest(company.subject("steward"), document(number, text))
    return settings


def test_what_a_newer_detector_finds_is_hidden_before_anything_is_scanned_again(older):
    with opened(older, finder=NewerFinder()) as ragward:
        seen = answered(ragward, "cai", query="contact order")
        assert "<EMPLOYEE_ID>" in seen
        assert not re.search("pump|boiler|jo@", seen)


def test_where_handling_says_so_a_chunk_is_withheld_until_it_is_scanned_again(older, tmp_path):
    policies = tmp_path / "policies"
    shutil.copytree(resource("policies"), policies)
    handling = policies / "handling.toml"
    written = re.sub(r"(?m)^\[.*\]$", r'\g<0>\nstale_spans = "withhold"', handling.read_text())
    handling.write_text(written)
    older = older.model_copy(update={"policies_dir": policies})
    with opened(older) as ragward:
        assert answered(ragward, "cai", query="contact order")
    with opened(older, finder=NewerFinder()) as ragward:
        assert answered(ragward, "cai", query="contact order") == ""
        ragward.rescanning.run(company.subject("steward"))
        assert "<EMPLOYEE_ID>" in answered(ragward, "cai", query="contact order")


def test_scanning_again_brings_everything_up_to_date_and_embeds_only_what_changed(older):
    with opened(older, finder=NewerFinder()) as ragward:
        done = ragward.rescanning.run(company.subject("steward"))
        assert (done.looked_at, done.changed, done.next_after) == (3, 3, None)
        assert done.embedded == 2  # the redacted views of two; every full vector and the third stay
        records = ragward.catalog.documents("acme")
        for record in records:
            for chunk in ragward.catalog.document_chunks("acme", record.document_id):
                opened_chunk = ragward.retrieval._ports.protection.open(chunk)
                assert opened_chunk.detector_version == "fake/2"
        again = ragward.rescanning.run(company.subject("steward"))
        assert (again.changed, again.embedded) == (0, 0)
        points = [
            point.point_id
            for record in ragward.catalog.documents("acme")
            for point in ragward.catalog.document_chunks("acme", record.document_id)
        ]
        assert (
            len(points) == 5
        )  # of those raised to CONFIDENTIAL the index has none: they are sealed
        assert ragward.catalog.pending_points("acme", limit=10) == {}
        assert "<EMPLOYEE_ID>" in answered(ragward, "cai", query="contact order")
        assert len(details(ragward, "document.rescanned")) == 3


def test_a_run_that_ended_early_goes_on(older):
    with opened(older, finder=NewerFinder()) as ragward:
        first = ragward.rescanning.run(company.subject("steward"), limit=1)
        assert (first.looked_at, first.changed) == (1, 1)
        assert first.next_after is not None
    with opened(older, finder=NewerFinder()) as ragward:  # from the start: what is done is skipped
        rest = ragward.rescanning.run(company.subject("steward"))
        assert (rest.looked_at, rest.changed) == (3, 2)


@pytest.mark.parametrize("name", ["ann", "ben", "officer", "nobody"])
def test_only_who_may_ingest_everywhere_scans_again(older, name):
    with opened(older, finder=NewerFinder()) as ragward:
        with pytest.raises(DeniedError):
            ragward.rescanning.run(company.subject(name))
        assert not details(ragward, "document.rescanned")
