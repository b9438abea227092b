"""Where chunks came from."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from ragward.api.context import Asker, Parts
from ragward.api.problems import responses
from ragward.domain.lineage import ShownLineage, Tool, VersionInUse

router = APIRouter(prefix="/v1", tags=["lineage"])


class LineageModel(BaseModel):
    """What is known of a chunk's making."""

    chunk_id: str
    ordinal: int
    document_id: str
    version: int
    corpus: str
    source: str
    state: str
    media_type: str
    created_at: int
    tools: dict[str, str] = Field(
        description="Versions by tool: loader, chunker, finder, screener, rules, classifier, model. Empty for what was stored before they were kept."
    )
    uri: str | None = Field(
        description="The source's own address, empty if it has none; null for whoever is no steward of the label."
    )
    bytes_sha256: str | None = Field(description="Of the file; null for whoever is no steward.")
    job_id: str | None = Field(description="Null also for what was read by no job.")

    @classmethod
    def of(cls, shown: ShownLineage) -> LineageModel:
        """From the domain's."""
        return cls(
            chunk_id=shown.chunk_id,
            ordinal=shown.ordinal,
            document_id=shown.document_id,
            version=shown.version,
            corpus=shown.corpus,
            source=shown.source,
            state=shown.state,
            media_type=shown.media_type,
            created_at=shown.created_at,
            tools=dict(shown.tools),
            uri=shown.uri,
            bytes_sha256=shown.bytes_sha256,
            job_id=shown.job_id,
        )


class VersionModel(BaseModel):
    """One version of one tool."""

    tool: Tool
    version: str = Field(description="Empty where there was none, or it was not kept.")
    first_used: int = Field(description="Rises with first use: a smaller number is an older one.")
    documents: int
    chunks: int

    @classmethod
    def of(cls, found: VersionInUse) -> VersionModel:
        """From the domain's."""
        return cls(
            tool=found.tool,
            version=found.version,
            first_used=found.first_used,
            documents=found.documents,
            chunks=found.chunks,
        )


class VersionsModel(BaseModel):
    """What made the tenant's chunks, by tool, oldest first."""

    versions: list[VersionModel]


@router.get(
    "/chunks/{chunk_id}/lineage", operation_id="get_chunk_lineage", responses=responses(404)
)
def chunk_lineage(
    chunk_id: Annotated[str, Path(min_length=1, max_length=100)], parts: Parts, subject: Asker
) -> LineageModel:
    """Where a chunk came from. Absent, deleted and not yours are the same 404. The question is recorded."""
    return LineageModel.of(parts.ragward.lineage.of_chunk(subject, chunk_id))


@router.get("/lineage/versions", operation_id="list_versions_in_use", responses=responses(403))
def versions_in_use(parts: Parts, subject: Asker) -> VersionsModel:
    """Which versions of loaders, chunkers, detectors, rules, classifiers and models there are chunks of."""
    found = parts.ragward.lineage.versions(subject)
    return VersionsModel(versions=[VersionModel.of(each) for each in found])
