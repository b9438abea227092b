"""Representative shapes through the real flows: ingested, indexed, asked for, decrypted, recorded; fakes only load slowly.

One installation takes all shapes one after the other under the same tenant: policy replaced, documents deleted. What
one shape leaves behind in caches, labels and scopes must not show in the next.
"""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from ragward.domain.corpus import SourceDocument
from ragward.domain.handling import Mode
from ragward.domain.passages import RetrievalRequest
from ragward.domain.policy import Membership, PolicyRow
from tests import company
from tests.conformance.shape_files import load_shapes
from tests.conformance.shape_world import world_of
from tests.installation import asked_by, initialised, opened, qdrant_client_index

INGEST = ("document:*", "acme/*", "PUBLIC..RESTRICTED", "*", "allow")
STEWARD = PolicyRow("user:acme/steward", *INGEST)
LEGS = ("edge", "qdrant-client")
PER_THEME = 2


def representative():
    """The first few of every file that stay in one tenant and are small."""
    chosen = []
    for shape in load_shapes():
        if shape.kind != "decision" or len(shape.labels) not in range(1, 9):
            continue
        lines = (*shape.rows(), *shape.memberships())
        one_tenant = all(":acme/" in fields[0] for fields in lines)
        taken = sum(other.theme == shape.theme for other in chosen)
        if one_tenant and len(lines) <= 20 and taken < PER_THEME:
            chosen.append(shape)
    return chosen


SHAPES = representative()


class KnownSubjects:
    """`ports.IdentityVerifier` that takes whom it was told of."""

    def __init__(self):
        self.subject = None

    def verify(self, credentials):
        assert credentials.untrusted_authorization == "whoever is asked for"
        return self.subject


@pytest.fixture(scope="module", params=LEGS)
def installation(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("flow")
    parts = {"identity": KnownSubjects()}
    if request.param == "qdrant-client":
        parts["index"] = qdrant_client_index()
    with opened(initialised(directory), **parts) as made:
        yield made, parts["identity"]


def text_of(name):
    """No two are near-duplicates of each other."""
    own = " ".join(hashlib.sha256(f"{name}{n}".encode()).hexdigest()[:8] for n in range(12))
    return f"The calibration paper {own}."


def ingested(ragward, shape):
    """One document per label, under exactly that label."""
    world = world_of(shape)
    rows = [PolicyRow(*fields) for fields in shape.rows()]
    members = [Membership(*fields) for fields in shape.memberships()]
    ragward.catalog.replace_policy("acme", [*rows, STEWARD], members, "user:acme/steward")
    ragward.clock.seconds = shape.now
    for name, label in world.labels.items():
        source = f"{shape.id}/{name}.txt"
        document = SourceDocument(
            source=source, filename=f"{name}.txt", data=text_of(name).encode(), label=label
        )
        result = ragward.ingestion.ingest(company.subject("steward"), document)
        assert ragward.catalog.get_document("acme", result.document_id).label == label
        yield result.document_id


def answered(installation, shape, asker):
    """The names of the labels whose documents are in the answer."""
    ragward, identity = installation
    asking = world_of(shape).subject(asker)
    identity.subject = dataclasses.replace(asking, auth_time=company.JUST_NOW, proof=company.PROVEN)
    request = RetrievalRequest(
        query="calibration paper", limit=50, max_passages_per_document=50, minimize=Mode.OFF
    )
    answer = ragward.retrieve(asked_by("whoever is asked for"), request)
    return sorted(
        passage.source.rpartition("/")[2].removesuffix(".txt") for passage in answer.passages
    )


def test_there_are_enough():
    assert len(SHAPES) >= 30
    assert len({shape.theme for shape in SHAPES}) >= 12


def test_the_answers_are_what_a_person_expects(installation):
    """In one test, because the order matters: a shape meets what those before it left."""
    ragward, wrong = installation[0], []
    for shape in SHAPES:
        documents = list(ingested(ragward, shape))
        for asker, names in shape.permitted.items():
            found = answered(installation, shape, asker)
            if found != sorted(names):
                wrong.append((shape.id, asker, found, names))
        for document_id in documents:
            ragward.stewardship.delete(company.subject("steward"), document_id)
        for asker in shape.permitted:
            if left := answered(installation, shape, asker):
                wrong.append((shape.id, asker, left, "after deletion"))
    assert wrong == []
