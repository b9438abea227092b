"""Generations of vectors in dictionaries: a part of the fake catalog."""

from __future__ import annotations

from dataclasses import replace

from ragward.domain.corpus import DocumentState
from ragward.domain.errors import ConfigurationError, ConflictError
from ragward.domain.generations import FIRST, Generations, GenerationState
from ragward.ports import Lacking


class FakeGenerations:
    """`ports.GenerationStore` over the fake catalog's points."""

    def generations(self):
        text = self._meta.get("generations")
        return None if text is None else Generations.from_text(text)

    def start_generation(self, before, model, dimension):
        with self._lock:
            self._meta.setdefault("generations", before.to_text())
            return self._put(self.generations().started(model, dimension)).other()

    def count_lacking(self, generation):
        with self._lock:
            living = self._living_points()
            return sum(not self._has(at, generation) for at in living), len(living)

    def documents_lacking(self, generation, *, after="", limit):
        with self._lock:
            found = {
                at.document.record.document_id: at.document.record.tenant
                for at in self._living_points()
                if not self._has(at, generation)
            }
            return [
                Lacking(tenant=found[name], document_id=name)
                for name in sorted(found)
                if name > after
            ][:limit]

    def add_vectors(self, tenant, document_id, version, dek_id, generation, blobs):
        with self._lock:
            found = self.generations()
            part = found.numbered(generation) if found else None
            document = self._documents.get(document_id)
            if part is None or not part.is_live or document is None:
                return False
            record = document.record
            living = (DocumentState.ACTIVE, DocumentState.QUARANTINED)
            expected = (record.tenant, record.version, record.key.dek_id)
            if expected != (tenant, version, dek_id) or record.state not in living:
                return False
            for at in self._points_of(document):
                blob = blobs.get(at.point.point_id)
                if blob is not None and not self._has(at, generation):
                    further = {**at.point.further, generation: blob}
                    at.point = replace(at.point, further=further)
            if record.state is DocumentState.ACTIVE:
                self._queue(document, "upsert")
            else:
                self._mark(record)
            return True

    def switch_generation(self, number, also):
        with self._lock:
            found = self._recorded().switched(number)
            if self.count_lacking(number)[0]:
                raise ConfigurationError(code="config.generation")
            self._meta |= also
            return self._put(found)

    def begin_drop(self, number):
        with self._lock:
            return self._put(self._recorded().dropping(number))

    def remove_vectors(self, number, *, limit):
        with self._lock:
            self._require_dropping(number)
            held = [at for at in self._points.values() if self._has(at, number)][:limit]
            for at in held:
                if number == FIRST:
                    at.point = replace(at.point, vector_blob=b"")
                else:
                    further = {g: b for g, b in at.point.further.items() if g != number}
                    at.point = replace(at.point, further=further)
            return len(held)

    def finish_drop(self, number):
        with self._lock:
            self._require_dropping(number)
            if any(self._has(at, number) for at in self._points.values()):
                raise ConfigurationError(code="config.generation")
            return self._put(self._recorded().without(number))

    def _recorded(self):
        found = self.generations()
        if found is None:
            raise ConfigurationError(code="config.generation")
        return found

    def _require_dropping(self, number):
        part = self._recorded().numbered(number)
        if part is None or part.state is not GenerationState.DROPPING:
            raise ConfigurationError(code="config.generation")

    def _require_live(self, staged):
        found = self.generations()
        wanted = {each.number for each in found.live} if found else set()
        for chunk in staged.chunks:
            for point in chunk.points:
                if not wanted <= point.generations():
                    raise ConflictError

    def _put(self, found):
        self._meta["generations"] = found.to_text()
        return found

    def _living_points(self):
        living = (DocumentState.ACTIVE, DocumentState.QUARANTINED)
        return [at for at in self._points.values() if at.document.record.state in living]

    @staticmethod
    def _has(at, generation):
        return generation in at.point.generations()
