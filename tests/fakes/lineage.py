"""Where chunks came from, in dictionaries: a part of the fake catalog."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ragward.domain.corpus import DocumentState
from ragward.domain.errors import NotFoundError
from ragward.domain.lineage import ChunkLineage, DocumentLineage, Origin, Tool, VersionInUse


class FakeLineage:
    """`ports.LineageStore` over the fake catalog's documents and points."""

    def _begin_lineage(self):
        self._toolchains = {}  # (tenant, toolchain) -> id
        self._made = {}  # chunk id -> (tenant, toolchain)
        self._origins = {}  # document id -> (origin, job id)

    def _follow_lineage(self, staged):
        origin, job_id = self._origins.get(staged.document_id, (Origin(), staged.job_id))
        if staged.origin is not None:
            origin, job_id = staged.origin, staged.job_id
        self._origins[staged.document_id] = origin, job_id
        for chunk in staged.chunks:
            made = origin.toolchain(
                finder=staged.finder, screener=chunk.rule_set, model=staged.model_digest
            )
            self._make(staged.tenant, chunk.chunk_id, made)

    def _judge_lineage(self, tenant, screenings):
        for chunk_id, screening in screenings.items():
            if chunk_id in self._made:
                made = replace(self._made[chunk_id][1], screener=screening.rule_set)
                self._make(tenant, chunk_id, made)

    def _make(self, tenant, chunk_id, made):
        self._toolchains.setdefault((tenant, made), len(self._toolchains) + 1)
        self._made[chunk_id] = (tenant, made)

    def _living_chunks(self, tenant):
        """chunk id -> (document's record, chunk)."""
        return {
            at.chunk.chunk_id: (at.document.record, at.chunk)
            for at in self._points.values()
            if at.document.record.tenant == tenant
            and at.document.record.state is not DocumentState.DELETED
        }

    def chunk_lineage(self, tenant, chunk_id):
        with self._lock:
            found = self._living_chunks(tenant).get(chunk_id)
            if found is None:
                raise NotFoundError
            record, chunk = found
            origin, job_id = self._origins[record.document_id]
            return ChunkLineage(
                chunk_id=chunk_id,
                ordinal=chunk.ordinal,
                verdict=chunk.verdict,
                document_id=record.document_id,
                version=record.version,
                uri=origin.uri,
                bytes_sha256=origin.bytes_sha256,
                job_id=job_id,
                toolchain=self._made[chunk_id][1],
            )

    def document_lineage(self, tenant, document_id):
        with self._lock:
            chunks = self._living_chunks(tenant)
            mine = [
                name for name, (record, _) in chunks.items() if record.document_id == document_id
            ]
            if not mine:
                raise NotFoundError
            first = self.chunk_lineage(tenant, mine[0])
            counts = Counter(self._made[name] for name in mine)
            ordered = sorted(counts, key=self._toolchains.__getitem__)
            return DocumentLineage(
                document_id=document_id,
                version=first.version,
                uri=first.uri,
                bytes_sha256=first.bytes_sha256,
                job_id=first.job_id,
                toolchains=tuple((made[1], counts[made]) for made in ordered),
            )

    def documents_of_job(self, tenant, job_id, *, after="", limit):
        with self._lock:
            found = sorted(
                name
                for name, document in self._documents.items()
                if document.record.tenant == tenant
                and document.record.state is not DocumentState.DELETED
                and self._origins[name][1] == job_id
                and name > after
            )
            return found[:limit]

    def _first_used(self, tenant, tool):
        found = {}
        for (of, made), number in self._toolchains.items():
            if of == tenant:
                found.setdefault(getattr(made, tool.value), number)
        return found

    def was_used(self, tenant, tool, version):
        return version in self._first_used(tenant, tool)

    def versions_in_use(self, tenant):
        with self._lock:
            chunks = self._living_chunks(tenant)
            found = []
            for tool in Tool:
                first = self._first_used(tenant, tool)
                used = {}
                for name, (record, _) in chunks.items():
                    version = getattr(self._made[name][1], tool.value)
                    used.setdefault(version, []).append(record.document_id)
                for version, documents in used.items():
                    found.append(
                        VersionInUse(
                            tool=tool,
                            version=version,
                            first_used=first[version],
                            documents=len(set(documents)),
                            chunks=len(documents),
                        )
                    )
            return sorted(found, key=lambda each: (each.tool, each.first_used, each.version))

    def documents_older(self, tenant, tool, version, *, limit, after=None):
        with self._lock:
            first = self._first_used(tenant, tool)
            found = self.documents(tenant, limit=1_000_000, after=after)
            if version not in first:
                return found[:limit]
            versions = {}
            for name, (record, _) in self._living_chunks(tenant).items():
                made = getattr(self._made[name][1], tool.value)
                versions.setdefault(record.document_id, set()).add(made)
            return [
                record
                for record in found
                if any(
                    made == "" or first[made] < first[version]
                    for made in versions.get(record.document_id, ())
                )
            ][:limit]
