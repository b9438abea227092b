"""Documents, labels and policies the catalog's contract is tried on."""

from __future__ import annotations

import hashlib
import uuid

from ragward.domain.access import Application
from ragward.domain.corpus import (
    DocumentState,
    KeyReference,
    LabelMove,
    Pending,
    StagedChunk,
    StagedPoint,
    StagedVersion,
    View,
)
from ragward.domain.errors import NotFoundError
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import Membership, PolicyRow
from ragward.domain.pseudonyms import VaultedPseudonym


def new_id() -> str:
    """An id nobody else has."""
    return str(uuid.uuid4())


def label(tenant="acme", corpus="handbook", granted=("staff",), **fields) -> AccessLabel:
    """A label granted to groups of its tenant."""
    return AccessLabel(
        tenant=tenant,
        corpus=corpus,
        classification=fields.pop("classification", Classification.INTERNAL),
        granted=frozenset(f"group:{tenant}/{name}" for name in granted),
        **fields,
    )


def chunk(ordinal=0, entity_types=()) -> StagedChunk:
    """A chunk with the views its personal data make necessary."""
    views = (View.FULL, View.REDACTED) if entity_types else (View.FULL,)
    return StagedChunk(
        chunk_id=new_id(),
        ordinal=ordinal,
        blob=f"blob {ordinal}".encode(),
        entity_types=frozenset(entity_types),
        verdict="allow",
        rules=("pretend", "released"),
        rule_set="0123456789ab",
        fingerprints=frozenset({ordinal + 1, -(2**63)}),
        points=tuple(
            StagedPoint(
                point_id=new_id(),
                view=view,
                vector=[1.0, 0.0],
                vector_blob=f"vector {ordinal} {view.name}".encode(),
            )
            for view in views
        ),
    )


def version(source="a.md", number=1, chunks=1, **fields) -> StagedVersion:
    """One version of a document; `chunks` is a count or the chunks themselves."""
    given = fields.pop("label", None) or label()
    if isinstance(chunks, int):
        chunks = tuple(chunk(ordinal) for ordinal in range(chunks))
    values = {
        "document_id": new_id(),
        "version": number,
        "tenant": given.tenant,
        "corpus": given.corpus,
        "source": source,
        "source_digest": hashlib.sha256(f"{source} {number}".encode()).digest(),
        "state": DocumentState.ACTIVE,
        "title": f"Title of {source}",
        "media_type": "text/markdown",
        "label": given,
        "dek_id": new_id(),
        "kek_id": "kek-1",
        "kek_version": 1,
        "wrapped_dek": b"w" * 60,
        "attributes": {},
        "evidence": ("rule: none",),
        "model_digest": "00" * 32,
        "job_id": None,
        "chunks": chunks,
    }
    return StagedVersion(**(values | fields))


def next_version(before: StagedVersion, **fields) -> StagedVersion:
    """What follows on `before`."""
    given = {"document_id": before.document_id, "label": before.label} | fields
    return version(before.source, before.version + 1, **given)


def pseudonym(tenant, tag, token, purpose="") -> VaultedPseudonym:
    """A row of the vault."""
    return VaultedPseudonym(
        tenant=tenant,
        purpose=purpose,
        entity_type="PERSON",
        tag=tag,
        token=token,
        key=KeyReference(dek_id="d", kek_id="k", kek_version=2, wrapped_dek=b"w"),
        blob=b"b\0",
        created_at=1_700_000_000,
    )


def points(staged: StagedVersion) -> list[str]:
    """The version's point ids, in order."""
    return [point.point_id for each in staged.chunks for point in each.points]


def rewrapped(staged: StagedVersion, wrapped=b"r" * 60) -> KeyReference:
    """The version's DEK, wrapped again."""
    return KeyReference(
        dek_id=staged.dek_id, kek_id=staged.kek_id, kek_version=2, wrapped_dek=wrapped
    )


def relabelled(
    catalog,
    staged,
    to,
    *,
    note="x",
    document_id=None,
    tenant="acme",
    pending=Pending.NOTHING,
    **given,
):
    """Puts the document under another label, with the DEK of `staged` wrapped again; returns the epoch."""
    name = staged.document_id if document_id is None else document_id
    try:
        now = catalog.get_document(tenant, name)
        expected = {"version": now.version, "expected_label_id": now.label_id}
    except NotFoundError:
        expected = {"version": 1, "expected_label_id": 1}
    key = given.pop("key", rewrapped(staged))
    fields = {"label": to, "key": key, "note": note, "pending": pending} | expected | given
    return catalog.relabel(tenant, [LabelMove(document_id=name, **fields)])


def row(subject="group:acme/staff", corpus="acme/handbook", effect="allow") -> PolicyRow:
    """A row that lets a group read."""
    return PolicyRow(subject, "corpus:retrieve", corpus, "PUBLIC..INTERNAL", "*", effect)


def member(name: str, group: str, tenant="acme") -> Membership:
    """A person's or group's membership, both given as `kind:name`."""
    kind, _, rest = name.partition(":")
    group_kind, _, group_rest = group.partition(":")
    return Membership(f"{kind}:{tenant}/{rest}", f"{group_kind}:{tenant}/{group_rest}")


def application(client_id="portal", tenant="acme", **fields) -> Application:
    """A registered application."""
    values = {
        "principal": f"app:{tenant}/{client_id}",
        "tenant": tenant,
        "client_id": client_id,
        "corpora": frozenset({"handbook"}),
        "ceiling": Classification.INTERNAL,
    }
    return Application(**(values | fields))
