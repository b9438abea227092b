"""A receipt is its holder's, of that answer, in that log; what it does not show it does not tell."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest

from ragward.adapters.notes_ed25519 import CheckpointSigner, verify_signature
from ragward.domain.checkpoints import InclusionProof
from ragward.domain.corpus import SourceDocument
from ragward.domain.errors import RagwardError
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.merkle import leaf_hash
from ragward.domain.policy import Membership
from ragward.domain.receipt_bundles import ReceiptBundle
from ragward.domain.receipts import (
    GivenPassage,
    HeldReceipt,
    passage_digest,
    receipt_event,
    verified_receipt,
)
from ragward.opening import open_pdp, resource
from tests import company
from tests.installation import asked_by, initialised, opened

QUERY = "calibration laboratory"
TEXTS = (
    "The calibration laboratory opens at nine every morning.",
    "The calibration laboratory measures the new sensor.",
)


@pytest.fixture(scope="module")
def ragward(tmp_path_factory):
    with opened(initialised(tmp_path_factory.mktemp("receipts"))) as made:
        for number, text in enumerate(TEXTS):
            level = (Classification.PUBLIC, Classification.CONFIDENTIAL)[number]
            label = AccessLabel(
                tenant="acme",
                corpus="eng",
                classification=level,
                granted=frozenset({"group:acme/staff"}),
            )
            made.ingestion.ingest(
                company.subject("steward"),
                SourceDocument(
                    source=f"{number}.txt",
                    filename=f"{number}.txt",
                    data=text.encode(),
                    label=label,
                    attributes={},
                ),
            )
        yield made


def asked(ragward, name="ben"):
    answer = ragward.retrieve(asked_by(name), QUERY)
    return answer, [
        GivenPassage(rank=p.rank, chunk_id=p.chunk_id, text=p.text) for p in answer.passages
    ]


def kept(ragward, answer, name="ben"):
    subject = company.subject(name)
    held = ragward.receipts.receipt(subject, answer.receipt.receipt_id)
    proof = ragward.receipts.proof(subject, answer.receipt.receipt_id)
    return dataclasses.replace(held, proof=proof)


def checked(ragward, held, passages, **given):
    return verified_receipt(held, passages, ragward.audit.key, verify_signature, **given)


def test_a_receipt_shows_the_answer_offline(ragward):
    answer, passages = asked(ragward)
    assert len(passages) == 2
    held = HeldReceipt.parse(kept(ragward, answer).text())
    outcome = checked(ragward, held, passages, principal="user:acme/ben")
    assert (outcome.holds, outcome.problem, outcome.passages) == (True, "", 2)
    assert outcome.receipt_id == answer.receipt.receipt_id
    assert leaf_hash(held.event).hex() == answer.receipt.receipt_hash
    assert held.salt.hex() == answer.receipt.salt


def test_an_empty_answer_has_one_too_and_it_looks_the_same_whatever_the_reason(ragward):
    denied, _ = asked(ragward, "nobody")
    held = kept(ragward, denied, "nobody")
    assert checked(ragward, held, []).holds
    nothing = ragward.retrieve(asked_by("cai"), QUERY)
    other = ragward.receipts.receipt(company.subject("cai"), nothing.receipt.receipt_id)
    one, two = (json.loads(each.event)["details"]["officer"] for each in (held, other))
    assert len(one) == len(two)


# Passages. ------------------------------------------------------------------------------------------------------------


def test_an_altered_passage_is_not_the_receipts(ragward):
    answer, passages = asked(ragward)
    held = kept(ragward, answer)
    for altered in (
        [dataclasses.replace(passages[0], text=passages[0].text + " "), passages[1]],
        [dataclasses.replace(passages[0], chunk_id=passages[1].chunk_id), passages[1]],
        [passages[1], passages[0]],
        passages[:1],
        [*passages, passages[0]],
        [],
    ):
        outcome = checked(ragward, held, altered)
        assert outcome.included
        assert not outcome.holds
        assert outcome.problem


def test_a_passage_of_another_receipt_is_not_this_ones(ragward):
    """The same text, asked for twice: each receipt has a salt of its own."""
    first, passages = asked(ragward)
    second, _ = asked(ragward)
    one, two = kept(ragward, first), kept(ragward, second)
    digests = [set(json.loads(each.event)["details"]["passages"]) for each in (one, two)]
    assert not digests[0] & digests[1]
    mixed = dataclasses.replace(one, salt=two.salt)
    assert checked(ragward, mixed, passages).problem == "passage 1 is not what was given"


def test_whoever_reads_the_log_cannot_confirm_a_guess(ragward):
    """No digest in the log is of a text alone, or of a text and anything else that is in the log."""
    answer, passages = asked(ragward)
    log = b"".join(entry.data for entry in ragward.audit.entries(limit=10_000))
    for passage in passages:
        guesses = (
            hashlib.sha256(passage.text.encode()).hexdigest(),
            passage_digest(bytes(32), passage.rank, passage.chunk_id, passage.text),
            passage_digest(
                hashlib.sha256(answer.receipt.receipt_id.encode()).digest(),
                passage.rank,
                passage.chunk_id,
                passage.text,
            ),
        )
        assert not any(guess.encode() in log for guess in guesses)
        assert passage.text.encode() not in log
    assert answer.receipt.salt.encode() not in log


# Whose. ---------------------------------------------------------------------------------------------------------------


def test_another_subjects_receipt_is_not_found(ragward):
    answer, _ = asked(ragward)
    receipt_id = answer.receipt.receipt_id
    bot = company.subject("ben", agents=("agent:acme/bot",))
    for who in (company.subject("ann"), company.subject("steward"), bot):
        for ask in (ragward.receipts.receipt, ragward.receipts.proof):
            with pytest.raises(RagwardError) as refused:
                ask(who, receipt_id)
            assert refused.value.code == "access.not_found"
    stranger = dataclasses.replace(company.subject("ben"), tenant="other")
    with pytest.raises(RagwardError) as refused:
        ragward.receipts.receipt(stranger, receipt_id)
    assert refused.value.code == "access.not_found"


def test_a_receipt_does_not_pass_for_somebody_elses(ragward):
    answer, passages = asked(ragward)
    outcome = checked(ragward, kept(ragward, answer), passages, principal="user:acme/ann")
    assert outcome.problem == "the receipt is somebody else's"


def test_no_other_event_passes_for_a_receipt(ragward):
    """Neither by its id at the API nor as a file."""
    answer, _ = asked(ragward)
    for event_id in (
        "",
        "x",
        answer.receipt.receipt_id[:-1],
        receipt_event(answer.receipt.receipt_id),
    ):
        with pytest.raises(RagwardError) as refused:
            ragward.receipts.receipt(company.subject("ben"), event_id)
        assert refused.value.code == "access.not_found"
    entry = ragward.audit.find(answer.receipt.receipt_id)
    proof = ragward.audit.prove_inclusion(answer.receipt.receipt_id)
    held = HeldReceipt(event=entry.data, salt=bytes(32), proof=proof)
    with pytest.raises(RagwardError) as refused:
        checked(ragward, held, None)
    assert refused.value.code == "request.invalid"


# The log. -------------------------------------------------------------------------------------------------------------


def test_a_receipt_without_a_proof_proves_nothing(ragward):
    answer, passages = asked(ragward)
    held = dataclasses.replace(kept(ragward, answer), proof=None)
    assert not checked(ragward, held, passages).holds


def test_the_proof_of_another_event_does_not_hold_it(ragward):
    answer, passages = asked(ragward)
    held = kept(ragward, answer)
    other = ragward.audit.prove_inclusion(answer.receipt.receipt_id)
    for proof in (
        other,
        dataclasses.replace(held.proof, index=held.proof.index ^ 1),
        dataclasses.replace(held.proof, path=held.proof.path[:-1]),
        dataclasses.replace(held.proof, path=(bytes(32), *held.proof.path[1:])),
    ):
        outcome = checked(ragward, dataclasses.replace(held, proof=proof), passages)
        assert outcome.problem == "the log does not hold this receipt"
        assert not outcome.holds


def test_a_forged_receipt_is_in_no_log(ragward):
    answer, passages = asked(ragward)
    held = kept(ragward, answer)
    forged = held.event.replace(b"user:acme/ben", b"user:acme/ann")
    assert forged != held.event
    outcome = checked(ragward, dataclasses.replace(held, event=forged), passages)
    assert outcome.problem == "the log does not hold this receipt"


def test_a_forged_checkpoint_is_refused(ragward):
    answer, passages = asked(ragward)
    held = kept(ragward, answer)
    theirs = CheckpointSigner(b"s" * 32, ragward.audit.key.name)
    note = theirs.sign(1, leaf_hash(held.event))
    lone = dataclasses.replace(held, proof=InclusionProof(index=0, path=(), note=note))
    with pytest.raises(RagwardError) as refused:
        checked(ragward, lone, passages)
    assert refused.value.code == "request.invalid"
    edited = held.proof.note.replace("\n", "\n", 1).replace(
        str(held.proof.note.split("\n")[1]), "99999999", 1
    )
    with pytest.raises(RagwardError):
        checked(
            ragward,
            dataclasses.replace(held, proof=dataclasses.replace(held.proof, note=edited)),
            passages,
        )


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", "null", "{}", '{"v": 1}', '{"v": 1, "event": 1, "salt": "", "proof": null}',
     '{"v": 1, "event": "{}", "salt": "00", "proof": null}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_receipt_is_refused(text):
    with pytest.raises(RagwardError) as refused:
        HeldReceipt.parse(text)
    assert refused.value.code == "request.invalid"


# Officers. ------------------------------------------------------------------------------------------------------------


def bundled(ragward, answer):
    return ragward.receipts.bundle(company.subject("steward"), answer.receipt.receipt_id)


def decided_again(bundle):
    return bundle.problem(open_pdp(bundle, resource("policies")))


def test_a_bundle_is_read_by_who_may_read_the_log_and_that_is_recorded(ragward):
    answer, _ = asked(ragward)
    for name in ("ben", "ann"):
        with pytest.raises(RagwardError) as refused:
            ragward.receipts.bundle(company.subject(name), answer.receipt.receipt_id)
        assert refused.value.code == "access.denied"
    bundled(ragward, answer)
    events = [json.loads(e.data) for e in ragward.audit.entries(limit=10_000)]
    opened_by = [e["actor"]["principal"] for e in events if e["type"] == "receipt.opened"]
    assert opened_by == ["user:acme/steward"]
    with pytest.raises(RagwardError) as absent:
        ragward.receipts.bundle(company.subject("steward"), "x")
    assert absent.value.code == "access.not_found"


def test_the_officers_part_is_not_legible_in_the_log(ragward):
    answer, _ = asked(ragward)
    bundle = bundled(ragward, answer)
    entry = ragward.audit.find(receipt_event(answer.receipt.receipt_id))
    for chunk in bundle.officer["chunks"]:
        for secret in (chunk["digest"], chunk["document"], bundle.officer["policy"]):
            assert secret.encode() not in entry.data


def test_an_answer_is_decided_again_under_the_policy_of_that_time(ragward):
    answer, _ = asked(ragward)
    ragward.catalog.change_policy(
        "acme",
        remove_memberships=[Membership("user:acme/ben", "group:acme/eng")],
        author="user:acme/steward",
    )
    try:
        bundle = ReceiptBundle.parse(json.dumps(bundled(ragward, answer).body()))
        assert checked(ragward, bundle.held, None).holds
        assert decided_again(bundle) == ""
        later, _ = asked(ragward)
        assert later.passages == ()
    finally:
        ragward.catalog.change_policy(
            "acme",
            add_memberships=[Membership("user:acme/ben", "group:acme/eng")],
            author="user:acme/steward",
        )


def test_a_bundle_that_was_altered_does_not_decide_the_same(ragward):
    answer, _ = asked(ragward)
    body = bundled(ragward, answer).body()

    def problem(change):
        copy = json.loads(json.dumps(body))
        change(copy)
        return decided_again(ReceiptBundle.parse(json.dumps(copy)))

    assert problem(lambda b: None) == ""
    extra = "g, user:acme/cai, group:acme/eng"
    assert "policy" in problem(lambda b: b["policy"]["lines"].append(extra))
    assert "label" in problem(lambda b: b["labels"][0].update(classification="RESTRICTED"))
    assert "label" in problem(lambda b: b.update(labels=[]))
    assert "policy" in problem(lambda b: b.update(policy=None))
    assert "another answer" in problem(lambda b: b["officer"]["chunks"].pop())


def test_an_answer_that_the_policy_does_not_permit_is_told(ragward):
    """As a process that answered what it should not have would leave it behind."""
    answer, _ = asked(ragward)
    bundle = bundled(ragward, answer)
    forged = bundle.held.event.replace(b"user:acme/ben", b"user:acme/cai")
    other = dataclasses.replace(bundle, held=dataclasses.replace(bundle.held, event=forged))
    assert decided_again(other).startswith("the policy does not permit ")


def test_the_officers_part_is_bound_to_its_receipt(ragward):
    one, two = asked(ragward)[0], asked(ragward)[0]
    secrets = ragward.receipts._ports.secrets
    sealed = secrets.encrypt("acme", one.receipt.receipt_id, {"policy": "p"})
    assert secrets.decrypt("acme", one.receipt.receipt_id, sealed) == {"policy": "p"}
    assert len(sealed) == len(
        secrets.encrypt("acme", one.receipt.receipt_id, {"policy": "p" * 500})
    )
    for tenant, receipt_id in (("acme", two.receipt.receipt_id), ("other", one.receipt.receipt_id)):
        with pytest.raises(RagwardError) as refused:
            secrets.decrypt(tenant, receipt_id, sealed)
        assert refused.value.code == "integrity.envelope"
