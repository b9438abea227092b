"""What was made of what, as OpenLineage events (https://openlineage.io/spec/2-0-2/OpenLineage.json), to be written to a file.

A job is a run; each document version it read is a run of its own with the job's as parent. A version's input is the
source's file, its output the document in ragward. Datasets are named as OpenLineage names them: scheme and authority of the
address are the namespace, the path is the name. Titles, labels' principals and texts are not exported.
`schemas/openlineage.schema.json` says what of the specification is used.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from ragward.domain.jobs import JobRecord, JobState
from ragward.domain.lineage import Toolchain

Event = dict[str, Any]

SCHEMA: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS: Final = "https://openlineage.io/spec/facets"
_OURS: Final = "urn:ragward:schema:openlineage"
_NAMESPACE: Final = uuid.UUID("0b1d0c5e-7f0c-5b3a-8b35-7261677761d2")
_ENDS: Final = {
    JobState.SUCCESS: "COMPLETE",
    JobState.COMPLETED_WITH_ERRORS: "COMPLETE",
    JobState.FAILED: "FAIL",
    JobState.CANCELED: "ABORT",
    JobState.INTERRUPTED: "ABORT",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedVersion:
    """A document's current version, as far as it may be exported."""

    tenant: str
    document_id: str
    version: int
    corpus: str
    source: str
    media_type: str
    classification: str
    created_at: int
    chunks: int
    uri: str
    bytes_sha256: str
    toolchains: Sequence[tuple[Toolchain | None, int]]


def version_events(
    made: ExportedVersion, *, release: str, job: JobRecord | None = None
) -> list[Event]:
    """START and COMPLETE of the run that made a version. How long it took is not kept: both have the time it was stored."""
    name = f"{made.document_id}/{made.version}"
    run: dict[str, Any] = {"runId": str(uuid.uuid5(_NAMESPACE, f"version/{made.tenant}/{name}"))}
    run["facets"] = {"processing_engine": _engine(release)}
    if job is not None:
        parent = {"run": {"runId": job.job_id}, "job": _job_name(job.tenant)}
        run["facets"]["parent"] = _facet(release, "1-1-0", "ParentRunFacet", parent)
    job_of = {"namespace": _namespace(made.tenant), "name": f"ingest.document.{made.corpus}"}
    common = {
        "run": run,
        "job": job_of | {"facets": {"jobType": _job_type(release)}},
        "inputs": [_input(made, release)],
    }
    start = _event("START", made.created_at, release, common | {"outputs": []})
    end = _event(
        "COMPLETE", made.created_at, release, common | {"outputs": [_output(made, release)]}
    )
    return [start, end]


def job_events(job: JobRecord, *, release: str) -> tuple[Event, Event | None]:
    """The START of a job's run, and what ended it; nothing for one that has not ended."""
    run: dict[str, Any] = {
        "runId": job.job_id,
        "facets": {
            "processing_engine": _engine(release),
            "ragward_job": _own(
                release,
                "JobRunFacet",
                {"state": job.state.value, "total": job.total, "counts": dict(job.counts)},
            ),
        },
    }
    common = {
        "run": run,
        "job": _job_name(job.tenant) | {"facets": {"jobType": _job_type(release)}},
        "inputs": [],
        "outputs": [],
    }
    start = _event("START", job.created_at, release, common)
    kind = _ENDS.get(job.state)
    return start, None if kind is None else _event(kind, job.updated_at, release, common)


def _event(kind: str, at: int, release: str, rest: Mapping[str, Any]) -> Event:
    return {
        "eventType": kind,
        "eventTime": datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z"),
        "producer": _producer(release),
        "schemaURL": SCHEMA,
        **rest,
    }


def _input(made: ExportedVersion, release: str) -> dict[str, Any]:
    """The source's file."""
    namespace, name = _place(made)
    facets = {
        "ragward_source": _own(
            release,
            "SourceDatasetFacet",
            {"mediaType": made.media_type}
            | ({"sha256": made.bytes_sha256} if made.bytes_sha256 else {}),
        )
    }
    if made.uri:
        told = {"name": namespace, "uri": made.uri}
        facets["dataSource"] = _facet(release, "1-0-1", "DatasourceDatasetFacet", told)
    return {"namespace": namespace, "name": name, "facets": facets}


def _output(made: ExportedVersion, release: str) -> dict[str, Any]:
    """The document as ragward has it."""
    toolchains = [
        {"chunks": count} | ({} if chain is None else {"tools": asdict(chain)})
        for chain, count in made.toolchains
    ]
    facets = {
        "version": _facet(
            release, "1-0-1", "DatasetVersionDatasetFacet", {"datasetVersion": str(made.version)}
        ),
        "ragward_document": _own(
            release,
            "DocumentDatasetFacet",
            {
                "documentId": made.document_id,
                "classification": made.classification,
                "toolchains": toolchains,
            },
        ),
    }
    counted = _facet(
        release, "1-0-2", "OutputStatisticsOutputDatasetFacet", {"rowCount": made.chunks}
    )
    return {
        "namespace": _namespace(made.tenant),
        "name": f"{made.corpus}/{made.document_id}",
        "facets": facets,
        "outputFacets": {"outputStatistics": counted},
    }


def _place(made: ExportedVersion) -> tuple[str, str]:
    """(namespace, name) of the source."""
    parts = urlsplit(made.uri)
    if not parts.scheme:
        return f"{_namespace(made.tenant)}/{quote(made.corpus)}", made.source
    path = unquote(parts.path)
    if parts.scheme == "file":
        return "file", path
    return f"{parts.scheme}://{parts.netloc}", path.lstrip("/")


def _namespace(tenant: str) -> str:
    return f"ragward://{tenant}"


def _job_name(tenant: str) -> dict[str, Any]:
    return {"namespace": _namespace(tenant), "name": "ingest.job"}


def _producer(release: str) -> str:
    return f"urn:ragward:release:{quote(release)}"


def _engine(release: str) -> dict[str, Any]:
    told = {"name": "ragward", "version": release}
    return _facet(release, "1-1-1", "ProcessingEngineRunFacet", told)


def _job_type(release: str) -> dict[str, Any]:
    told = {"processingType": "BATCH", "integration": "RAGWARD", "jobType": "INGEST"}
    return _facet(release, "2-0-3", "JobTypeJobFacet", told)


def _facet(release: str, version: str, name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """One of the specification's own."""
    url = f"{_FACETS}/{version}/{name}.json#/$defs/{name}"
    return {"_producer": _producer(release), "_schemaURL": url, **told}


def _own(release: str, name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """A custom one, which the specification wants prefixed and described by a schema."""
    url = f"{_OURS}#/$defs/{name}"
    return {"_producer": _producer(release), "_schemaURL": url, **told}
