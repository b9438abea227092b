"""Lineage: what the catalog keeps of where chunks came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ragward.domain.corpus import DocumentRecord
from ragward.domain.lineage import ChunkLineage, DocumentLineage, Tool, VersionInUse


class LineageStore(Protocol):
    """Origins and toolchains of current versions that are not deleted."""

    def chunk_lineage(self, tenant: str, chunk_id: str) -> ChunkLineage:
        """Raises `access.not_found`, also for a chunk of a version that is not current; `integrity.envelope`."""

    def document_lineage(self, tenant: str, document_id: str) -> DocumentLineage:
        """Raises `access.not_found`, `integrity.envelope`."""

    def documents_of_job(
        self, tenant: str, job_id: str, *, after: str = "", limit: int
    ) -> Sequence[str]:
        """Ids of documents whose current version holds what this job read, in order, from after an id on."""

    def versions_in_use(self, tenant: str) -> Sequence[VersionInUse]:
        """Every version of every tool that made a chunk of the tenant, oldest first."""

    def was_used(self, tenant: str, tool: Tool, version: str) -> bool:
        """Whether this version made anything of the tenant, even if nothing of it is left."""

    def documents_older(
        self,
        tenant: str,
        tool: Tool,
        version: str,
        *,
        limit: int,
        after: tuple[str, str] | None = None,
    ) -> Sequence[DocumentRecord]:
        """Documents with a chunk made by a version that the tenant used before it first used this one, or by one that was
        not kept; by corpus and source, from after such a pair on. All, for a version that was never used."""
