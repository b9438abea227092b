"""Model updates are gated: the canary queries' answers are on record, and another model answers no worse or is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ragward.domain.audit import EventType
from ragward.domain.canary import PAIRS, PERSONAL, CanaryRecord, ranking, regressions
from ragward.domain.errors import ConfigurationError
from ragward.evidence import Recorder
from ragward.ports import Catalog, Embedder, Finder

KEY: Final = "model_canary"


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryResult:
    """What came of a check: accepted models are on record from then on."""

    accepted: bool
    model_digest: str
    recall: float
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCanary:
    """Records and checks. It does not touch the index: what has another model's vectors is ingested anew."""

    catalog: Catalog
    embedder: Embedder
    finder: Finder
    recorder: Recorder

    def record(self) -> CanaryResult:
        """Puts the present model's answers on record, whatever they are."""
        return self._accepted(self.measured())

    def check(self) -> CanaryResult:
        """Accepts the present model if it answers no worse than the one on record; otherwise that one stays on record.

        Raises `config.invalid` while there is none.
        """
        stored = self.catalog.meta(KEY)
        if stored is None:
            raise ConfigurationError("nothing is on record: `ragward model canary record`")
        now = self.measured()
        problems = regressions(CanaryRecord.from_text(stored), now)
        if not problems:
            return self._accepted(now)
        details = {"model": now.model_digest, "recall": round(now.recall, 4)}
        details["problems"] = list(problems)
        self.recorder.record(EventType.MODEL_REFUSED, None, "refused", details)
        return CanaryResult(
            accepted=False, model_digest=now.model_digest, recall=now.recall, problems=problems
        )

    def _accepted(self, now: CanaryRecord) -> CanaryResult:
        details = {"model": now.model_digest, "recall": round(now.recall, 4)}
        self.recorder.record(EventType.MODEL_ACCEPTED, None, "permit", details)
        self.catalog.set_meta(KEY, now.to_text())
        return CanaryResult(
            accepted=True, model_digest=now.model_digest, recall=now.recall, problems=()
        )

    def measured(self) -> CanaryRecord:
        """What model and detector answer now; nothing is put on record."""
        texts = self.embedder.embed([text for text, _ in PAIRS])
        queries = self.embedder.embed([query for _, query in PAIRS])
        return CanaryRecord(
            model_digest=self.embedder.model_digest,
            finder=self.finder.version,
            rankings=tuple(ranking(query, texts) for query in queries),
            found=tuple(
                tuple(sorted({span.entity_type for span in self.finder.find(text)}))
                for text in PERSONAL
            ),
        )


def require_accepted(catalog: Catalog, model_digest: str) -> None:
    """Raises `config.model_mismatch` for a model other than the one on record; before anything is recorded any will do."""
    stored = catalog.meta(KEY)
    if stored is not None and CanaryRecord.from_text(stored).model_digest != model_digest:
        raise ConfigurationError(
            "this model has not passed the canary queries: `ragward model canary check`, "
            "or go back to the version before",
            code="config.model_mismatch",
        )
