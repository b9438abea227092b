"""What the tests of other systems' failures (F1 to F25, docs/failures-of-others.md) have in common."""

from __future__ import annotations

import dataclasses
import uuid
from contextlib import contextmanager

from ragward.adapters.index_edge import EdgeChunkIndex
from ragward.domain.corpus import IndexPoint, SourceDocument
from ragward.domain.errors import UnauthenticatedError
from ragward.domain.handling import Mode
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest
from ragward.installation import Policy, initialise
from ragward.retrieval import Retrieval
from tests import company
from tests.e2e.scim import rows as provisioning_rows
from tests.fakes.embedder_sentence_transformers import FakeEmbedder
from tests.installation import asked_by, opened, settings_in

STEWARD = company.subject("steward")
QUERY = "voltage laboratory"
VECTOR = [1.0] + [0.0] * (FakeEmbedder.dimension - 1)
STAFF = ("group:acme/staff",)
PUBLIC, INTERNAL, CONFIDENTIAL, RESTRICTED = Classification


def label(corpus="eng", level=INTERNAL, granted=STAFF, **fields):
    """An access label of the test company."""
    sets = {name: frozenset(fields.pop(name, ())) for name in ("denied", "compartments")}
    return AccessLabel(
        tenant=company.TENANT,
        corpus=corpus,
        classification=level,
        granted=frozenset(granted),
        **sets,
        **fields,
    )


def document(source, text=None, *, of=None, attributes=None, **fields):
    """A document about the voltage laboratory, unless `text` says otherwise."""
    text = text or f"The voltage laboratory of {source.replace('/', ' ')} opens at nine."
    return SourceDocument(
        source=source,
        filename="a.txt",
        data=text.encode(),
        label=of or label(**fields),
        attributes=attributes or {},
    )


def put(ragward, *documents, by=STEWARD):
    """Ingests; returns the document's id (of several, the last one's)."""
    return [ragward.ingestion.ingest(by, each).document_id for each in documents][-1]


def relabel(ragward, document_id, wanted, reason="a test of labels"):
    """A person gives a document another label."""
    return ragward.relabelling.relabel(STEWARD, document_id, wanted, reason)


def ask(ragward, name, query=QUERY, *, limit=50, cap=50, retrieval=None, **given):
    """The passages somebody gets: everything that fits, whole."""
    request = RetrievalRequest(
        query=query, limit=limit, max_passages_per_document=cap, minimize=Mode.OFF, **given
    )
    return (retrieval or ragward.retrieval).retrieve(asked_by(name), request).passages


def sources(passages):
    """Which documents the passages are of."""
    return {passage.source for passage in passages}


def with_ports(ragward, **ports):
    """The query flow of this installation with some other parts in it."""
    return Retrieval(dataclasses.replace(ragward.retrieval._ports, **ports))


@contextmanager
def installation(directory, *, rows=company.ROWS, memberships=company.MEMBERSHIPS, **given):
    """A new installation, open. `database_url` in `given` is where its catalog is."""
    changes = {"database_url": given.pop("database_url", "")}
    settings = settings_in(directory).model_copy(update=changes)
    policy = Policy(rows=tuple(rows), memberships=tuple(memberships))
    initialise(settings, tenant="acme", administrator="user:acme/root", policy=policy)
    with opened(settings, **given) as ragward:
        yield ragward


class Directory:
    """Believes names; asks the directory who is disabled and the catalog for the application, as the real verifier does."""

    def __init__(self):
        self.catalog = None

    def verify(self, credentials):
        subject = company.subject(credentials.untrusted_authorization)
        if self.catalog.is_disabled("acme", subject.principal):
            raise UnauthenticatedError(code="auth.subject_disabled")
        application = self.catalog.find_application("acme", "portal") or company.APPLICATION
        return dataclasses.replace(subject, application=application)


@contextmanager
def on_database(request, directory):
    """An installation on the database that the fixture is asked for, with a directory that an application keeps."""
    postgres = request.param == "postgres"
    url = request.getfixturevalue("postgres_databases")(empty=True) if postgres else ""
    identity = Directory()
    with installation(directory, database_url=url, identity=identity) as made:
        identity.catalog = made.catalog
        made.catalog.change_policy("acme", add_rows=provisioning_rows(), author="test")
        yield made


def edge(directory, *, payload_index=True, dimension=FakeEmbedder.dimension):
    """A shard of the embedded engine."""
    return EdgeChunkIndex.open(
        directory,
        dimension=dimension,
        model_digest=FakeEmbedder.model_digest,
        payload_index=payload_index,
    )


def written_past_us(index, point_id, vector, payload):
    """A point as somebody with access to the engine writes it."""
    if isinstance(index, EdgeChunkIndex):
        from qdrant_edge import Point, UpdateOperation

        points = [Point(point_id, vector, payload)]
        index._shard.update(UpdateOperation.upsert_points(points))
    else:
        from qdrant_client.models import PointStruct

        points = [PointStruct(id=point_id, vector=vector, payload=payload)]
        index._client.upsert(index._collection, points, wait=True)


def point(number, scope):
    """A point that every search for VECTOR finds first."""
    return IndexPoint(point_id=str(uuid.UUID(int=number)), scope_id=scope, vector=VECTOR)
