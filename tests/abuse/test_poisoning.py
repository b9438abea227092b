"""T47, T48: nobody brings documents in a signing source's name, and a flood of near-duplicates waits for a person."""

from __future__ import annotations

import base64
import dataclasses
import time

import pytest

from ragward.adapters.signatures_ed25519 import Ed25519Signer, Ed25519Verifier
from ragward.domain.corpus import DocumentState, SourceDocument
from ragward.domain.errors import RagwardError
from ragward.domain.jobs import ItemOutcome, JobItem, SourceClaim
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import PolicyRow
from ragward.domain.review import ReviewKind
from ragward.domain.sources import Demands, FloodLimit, SignedSource, signed_message
from tests import company
from tests.installation import initialised, opened

STEWARD = company.subject("steward")
SIGNER, STRANGER = Ed25519Signer(b"s" * 32), Ed25519Signer(b"x" * 32)
BODY = (
    "The board decided that the annual budget for travel of the laboratory is raised by a tenth because"
    " prices of tickets went up and that every department writes down what it spends from now on so that"
    " the next decision can be made by figures rather than by what people remember of the year before."
)


def source(name, text, *, corpus="eng", granted="group:acme/staff", **attributes):
    label = AccessLabel(
        tenant="acme",
        corpus=corpus,
        classification=Classification.INTERNAL,
        granted=frozenset({granted}),
    )
    return SourceDocument(
        source=name,
        filename=name.rpartition("/")[2],
        data=text.encode(),
        label=label,
        attributes=attributes,
    )


def signed(document, signer=SIGNER):
    return dataclasses.replace(document, signature=signer.sign(signed_message(document)))


@pytest.fixture(scope="module")
def open_one(tmp_path_factory):
    with opened(initialised(tmp_path_factory.mktemp("poisoned") / "home")) as ragward:
        ragward.clock.seconds = int(time.time())
        rows = [
            PolicyRow(
                "user:acme/feed", "document:ingest", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"
            )
        ]
        ragward.catalog.change_policy("acme", add_rows=rows, author="test")
        yield ragward


@pytest.fixture
def ragward(open_one):
    """With demands of its own; each test has folders of its own."""
    before = open_one.ingestion._ports
    yield open_one
    open_one.ingestion._ports = before


def demand(ragward, **given):
    ports = ragward.ingestion._ports
    demands = Demands(**given)
    ragward.ingestion._ports = dataclasses.replace(
        ports,
        defences=dataclasses.replace(ports.defences, demands=demands),
        read_ahead=dataclasses.replace(ports.read_ahead, demands=demands),
    )


def code_of(call):
    with pytest.raises(RagwardError) as caught:
        call()
    return caught.value.code


# Signatures. ----------------------------------------------------------------------------------------------------------


def keyed(pattern="signed/*", *signers):
    keys = tuple(each.public_key for each in signers or (SIGNER,))
    return SignedSource(tenant="acme", corpus="eng", source=pattern, keys=keys)


def test_what_the_source_signed_is_taken_in_and_others_need_no_signature(ragward):
    demand(ragward, signed=(keyed(),))
    good = signed(source("signed/1.txt", BODY, number=1))
    assert ragward.ingestion.ingest(STEWARD, good).outcome is ItemOutcome.INGESTED
    assert ragward.ingestion.ingest(STEWARD, source("free/1.txt", BODY)).document_id


def test_a_forgery_is_refused_whatever_was_changed(ragward):
    demand(ragward, signed=(keyed(),))
    good = signed(source("signed/2.txt", BODY, number=1))
    wider = dataclasses.replace(good.label, granted=frozenset({"group:acme/interns"}))
    lower = dataclasses.replace(good.label, classification=Classification.PUBLIC)
    forgeries = {
        "unsigned": dataclasses.replace(good, signature=b""),
        "by somebody else": signed(good, STRANGER),
        "text": dataclasses.replace(good, data=good.data + b" Not so."),
        "name": dataclasses.replace(good, source="signed/3.txt"),
        "access": dataclasses.replace(good, label=wider),
        "classification": dataclasses.replace(good, label=lower),
        "attributes": dataclasses.replace(good, attributes={"number": 2}),
        "cut": dataclasses.replace(good, signature=good.signature[:63]),
        "long": dataclasses.replace(good, signature=good.signature + b"\0"),
        "zero": dataclasses.replace(good, signature=bytes(64)),
    }
    for what, document in forgeries.items():
        call = lambda d=document: ragward.ingestion.ingest(STEWARD, d)  # noqa: E731
        assert code_of(call) == "document.signature", what
    found = ragward.catalog.find_document("acme", "eng", "signed/2.txt")
    assert found is None
    assert ragward.ingestion.ingest(STEWARD, good).outcome is ItemOutcome.INGESTED


def test_a_signature_of_one_corpus_or_tenant_holds_in_no_other():
    one = source("signed/1.txt", BODY)
    other = source("signed/1.txt", BODY, corpus="hr")
    assert signed_message(one) != signed_message(other)
    moved = dataclasses.replace(one.label, tenant="globex", granted=frozenset())
    assert signed_message(one) != signed_message(dataclasses.replace(one, label=moved))


def test_a_job_goes_on_after_a_forgery_and_says_why(ragward):
    demand(ragward, signed=(keyed(),))
    documents = [source("signed/7.txt", BODY), signed(source("signed/8.txt", BODY))]
    items = [JobItem(source=d.source, load=lambda d=d: d) for d in documents]
    job = ragward.ingestion.run_job(STEWARD, items)
    assert [item.code for item in job.errors] == ["document.signature"]
    assert job.done == 2


def test_no_access_list_is_changed_without_the_signed_text(ragward):
    """`sync-acl` reads no text, so it has no signature to check."""
    demand(ragward, signed=(keyed(),))
    good = signed(source("signed/acl.txt", BODY))
    ragward.ingestion.ingest(STEWARD, good)
    wider = dataclasses.replace(good.label, granted=frozenset({"group:acme/interns"}))
    free = source("free/acl.txt", f"Another. {BODY}")
    ragward.ingestion.ingest(STEWARD, free)
    items = [
        JobItem(
            source=document.source,
            load=lambda d=document: d,
            claim=lambda: SourceClaim(label=wider),
            corpus="eng",
        )
        for document in (good, free)
    ]
    sync = ragward.access_sync
    defences = ragward.ingestion._ports.defences
    before = sync._ports
    sync._ports = dataclasses.replace(before, defences=defences)
    try:
        job = sync.run_job(STEWARD, items)
    finally:
        sync._ports = before
    assert [item.code for item in job.errors] == ["document.signature"]
    record = ragward.catalog.find_document("acme", "eng", "signed/acl.txt")
    assert record.label.granted == {"group:acme/staff"}


def test_two_lines_about_a_source_are_both_to_be_satisfied(ragward):
    demand(ragward, signed=(keyed("*", SIGNER, STRANGER), keyed("signed/*", SIGNER)))
    by_stranger = signed(source("signed/9.txt", BODY), STRANGER)
    assert code_of(lambda: ragward.ingestion.ingest(STEWARD, by_stranger)) == "document.signature"
    free = signed(source("free/9.txt", BODY), STRANGER)
    assert ragward.ingestion.ingest(STEWARD, free).document_id


def test_malformed_keys_and_signatures_verify_nothing():
    verifier, message = Ed25519Verifier(), b"message"
    signature = SIGNER.sign(message)
    assert verifier.verifies(SIGNER.public_key, signature, message)
    for key, value, said in (
        (b"", signature, message),
        (SIGNER.public_key, b"", message),
        (bytes(32), signature, message),
        (SIGNER.public_key, signature, message + b"!"),
        (STRANGER.public_key, signature, message),
    ):
        assert not verifier.verifies(key, value, said)


def test_a_manifest_carries_signatures(tmp_path, ragward):
    from ragward.adapters.source_directory import manifest_items

    demand(ragward, signed=(keyed("m/*"),))
    (tmp_path / "m").mkdir()
    lines = []
    for n, signer in enumerate((SIGNER, STRANGER)):
        document = source(f"m/{n}.txt", f"{n} {BODY}", number=n)
        (tmp_path / "m" / f"{n}.txt").write_bytes(document.data)
        signature = base64.b64encode(signer.sign(signed_message(document))).decode()
        lines.append(
            f'{{"uri": "m/{n}.txt", "corpus": "eng", "classification": "INTERNAL", "granted":'
            f' ["group:acme/staff"], "metadata": {{"number": {n}}}, "signature": "{signature}"}}'
        )
    lines.append('{"uri": "m/0.txt", "corpus": "hr", "signature": "?"}')
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    items = manifest_items(tmp_path / "manifest.jsonl", "acme")
    job = ragward.ingestion.run_job(STEWARD, items)
    assert sorted(item.code for item in job.errors) == ["document.signature", "manifest.invalid"]
    assert ragward.catalog.find_document("acme", "eng", "m/0.txt") is not None


def test_the_command_line_signs_a_manifest(tmp_path, ragward):
    from typer.testing import CliRunner

    from ragward.adapters.source_directory import manifest_items
    from ragward.cli.sources import source_app

    run = CliRunner().invoke
    key = tmp_path / "source.key"
    made = run(source_app, ["keygen", str(key)])
    assert made.exit_code == 0
    assert key.stat().st_mode & 0o077 == 0
    assert run(source_app, ["keygen", str(key)]).exit_code != 0  # it is not written over
    (tmp_path / "c.txt").write_text(f"By the command. {BODY}")
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text('{"uri": "c.txt", "corpus": "eng"}\n{"uri": "gone.txt", "corpus": "eng"}\n')
    signed_lines = run(source_app, ["sign", str(manifest), "--key", str(key), "--tenant", "acme"])
    assert signed_lines.exit_code == 1
    manifest.write_text(signed_lines.stdout)
    public = base64.b64decode(made.stdout)
    demand(
        ragward, signed=(SignedSource(tenant="acme", corpus="eng", source="c.txt", keys=(public,)),)
    )
    job = ragward.ingestion.run_job(STEWARD, manifest_items(manifest, "acme"))
    assert job.done == 1
    assert job.errors == ()


# Floods. --------------------------------------------------------------------------------------------------------------


def bring(ragward, folder, count, *, by=STEWARD, granted="group:acme/staff", text=BODY):
    return [
        ragward.ingestion.ingest(
            by, source(f"{folder}/{n}.txt", f"Note {folder} {n}. {text}", granted=granted)
        ).outcome
        for n in range(count)
    ]


def test_more_near_duplicates_of_each_other_than_the_limit_wait_for_a_person(ragward):
    demand(ragward, flood=FloodLimit(most=3))
    outcomes = bring(ragward, "flood", 7, by=company.subject("feed"))
    assert outcomes == [ItemOutcome.INGESTED] * 4 + [ItemOutcome.QUARANTINED] * 3
    held = ragward.catalog.find_document("acme", "eng", "flood/6.txt")
    assert held.state is DocumentState.QUARANTINED
    assert any(line.startswith("flood:") for line in held.evidence)
    (asked,) = ragward.catalog.reviews("acme", document_id=held.document_id, limit=5)
    assert asked.kind is ReviewKind.QUARANTINE
    ragward.relabelling.release(STEWARD, held.document_id, "a person has read it")
    again = ragward.catalog.get_document("acme", held.document_id)
    assert again.state is DocumentState.ACTIVE


def test_copies_of_documents_that_are_there_count_as_well(ragward):
    texts = [
        " ".join(f"{word}{n} {other}" for word in company.WORDS for other in company.WORDS[:3])
        for n in range(4)
    ]
    for n, text in enumerate(texts):
        ragward.ingestion.ingest(STEWARD, source(f"real/{n}.txt", text))
    demand(ragward, flood=FloodLimit(most=2))
    outcomes = [
        ragward.ingestion.ingest(
            STEWARD, source(f"copies/{n}.txt", f"{text} And this is not so.")
        ).outcome
        for n, text in enumerate(texts)
    ]
    assert outcomes == [ItemOutcome.INGESTED] * 2 + [ItemOutcome.QUARANTINED] * 2


def test_different_texts_other_folders_and_older_ones_are_no_flood(ragward):
    demand(ragward, flood=FloodLimit(most=1))
    words = company.WORDS
    for n in range(5):
        text = " ".join(words[(n * 7 + at * (n + 2)) % len(words)] + str(n) for at in range(60))
        document = source(f"varied/{n}.txt", text)
        assert ragward.ingestion.ingest(STEWARD, document).outcome is ItemOutcome.INGESTED
    for folder in ("one", "two"):
        first = bring(ragward, f"beside-{folder}", 2, by=company.subject("feed"))
        assert first == [ItemOutcome.INGESTED] * 2
    ragward.clock.seconds += 25 * 3600
    assert bring(ragward, "beside-one", 3)[2] is ItemOutcome.INGESTED
    ragward.clock.seconds -= 25 * 3600


def test_nobody_learns_by_ingesting_what_others_have(ragward):
    """Who may only ingest has near-duplicates of hidden texts taken in as any other."""
    secret = (
        BODY.replace("board", "court").replace("travel", "settlement").replace("tenth", "third")
    )
    hidden = source("hidden/1.txt", f"{secret} {secret[::-1]}", granted="user:acme/ann")
    ragward.ingestion.ingest(STEWARD, hidden)
    demand(ragward, flood=FloodLimit(most=1))
    guesses = [f"{secret} {secret[::-1]}"]
    guesses += [f"{word} ".join(str(n) for n in range(60)) for word in ("a", "b")]
    seen = []
    for n, guess in enumerate(guesses):
        document = source(f"guess-{n}/1.txt", guess, granted="user:acme/feed")
        seen.append(ragward.ingestion.ingest(company.subject("feed"), document).outcome)
        evidence = ragward.catalog.find_document("acme", "eng", f"guess-{n}/1.txt").evidence
        assert not any("near-duplicate" in line for line in evidence)
    assert set(seen) == {ItemOutcome.INGESTED}
    known = source("guess-known/1.txt", guesses[0])
    ragward.ingestion.ingest(STEWARD, known)  # who knows the hidden one is told
    evidence = ragward.catalog.find_document("acme", "eng", "guess-known/1.txt").evidence
    assert any("near-duplicate" in line for line in evidence)


def test_as_shipped_nobody_counts(ragward):
    assert bring(ragward, "plain", 6) == [ItemOutcome.INGESTED] * 6


# Trust. ---------------------------------------------------------------------------------------------------------------


def test_what_is_trusted_less_than_its_classification_demands_is_not_answered(ragward):
    from ragward.domain.marking import CuratedSource, SourceTrust, Trust
    from ragward.domain.passages import RetrievalRequest
    from ragward.retrieval import Retrieval
    from tests.installation import asked_by

    for name in ("vouched/1.txt", "unvouched/1.txt"):
        text = f"The calibration of the {name} sensor is due in winter, says nobody else."
        ragward.ingestion.ingest(STEWARD, source(name, text, corpus="fin"))
    before = ragward.retrieval._ports
    trust = SourceTrust((CuratedSource(tenant="acme", corpus="fin", source="vouched/*"),))

    def answered(demanded):
        handling = {
            level: dataclasses.replace(profile, trust_at_least=demanded)
            for level, profile in before.protection.handling.items()
        }
        protection = dataclasses.replace(before.protection, handling=handling)
        flow = Retrieval(dataclasses.replace(before, protection=protection, trust=trust))
        request = RetrievalRequest(query="calibration sensor winter", corpora=("fin",))
        found = flow.retrieve(asked_by("ann"), request).passages
        return {(passage.source, passage.trust) for passage in found}

    vouched = ("vouched/1.txt", Trust.CURATED)
    assert answered(Trust.CURATED) == {vouched}
    for demanded in (Trust.UNTRUSTED, Trust.SUSPECT):
        assert answered(demanded) == {vouched, ("unvouched/1.txt", Trust.UNTRUSTED)}
