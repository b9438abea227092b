"""What a document's label is: the join of what the source claims, the steward's rules, the trained classifier and what the
document was before, with the evidence for it and the questions it leaves to a person.

Machines raise. The classifier lowers nothing; while it is not sure, the document has the highest label that it may well need.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ragward.domain.analysis import Analysed
from ragward.domain.classification import Judgement, Thresholds
from ragward.domain.corpus import DocumentRecord, SourceDocument
from ragward.domain.labels import AccessLabel, Classification, join, narrowed_by
from ragward.domain.review import Doubt, ReviewKind
from ragward.ports import Classifier, TrainedClassifier

_STEWARD: Final = "steward: "
RELEASED_NOTE: Final = f"{_STEWARD}released: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What the machines say of a text, whatever it was before. `judgement` is the trained classifier's, if there is one."""

    by_rules: Classification
    evidence: tuple[str, ...]
    judgement: Judgement | None = None
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A label, why it is that one, and what a person is to be asked."""

    label: AccessLabel
    evidence: tuple[str, ...]
    doubts: tuple[Doubt, ...]


class Labelling:
    """Rules for all tenants, and a trained classifier for those that have one of their own."""

    def __init__(
        self,
        rules: Classifier,
        thresholds: Thresholds,
        trained: Mapping[str, TrainedClassifier] | None = None,
    ) -> None:
        self._rules, self._thresholds, self._trained = rules, thresholds, dict(trained or {})

    def versions(self, tenant: str) -> tuple[str, str]:
        """Of the rules, and of this tenant's trained classifier (empty if it has none)."""
        trained = self._trained.get(tenant)
        return self._rules.version, trained.version if trained else ""

    def opinion(self, source: SourceDocument, analysed: Analysed) -> Opinion:
        """The machines' opinion."""
        extracted = analysed.extracted
        level, evidence = self._rules.classify(
            source.source,
            extracted.title,
            extracted.text,
            source.attributes,
            analysed.counts,
            extracted.properties,
        )
        trained = self._trained.get(source.label.tenant)
        if trained is None:
            return Opinion(by_rules=level, evidence=evidence)
        judgement = Judgement.of(trained.predict(analysed.full_vectors), self._thresholds)
        return Opinion(
            by_rules=level, evidence=evidence, judgement=judgement, version=trained.version
        )

    @staticmethod
    def label(
        claim: AccessLabel, opinion: Opinion, before: DocumentRecord | None = None
    ) -> Labelled:
        """The join of every opinion, and the evidence for it. A steward's own label survives a new version; what the source
        takes away meanwhile is taken away from it, too."""
        claimed = claim
        levels = [claimed.classification, opinion.by_rules]
        lines = [f"source: {claimed.classification.name}", *opinion.evidence]
        if before is not None:
            levels.append(before.label.classification)
            lines.append(f"before: {before.label.classification.name}")
            if decisions := [line for line in before.evidence if is_relabelling(line)]:
                claimed = narrowed_by(before.label, before.claimed or claim, claim)
                lines += decisions
                if before.claimed not in (None, claim):
                    lines.append("source: another claim; it narrows the steward's label only")
        doubts: tuple[Doubt, ...] = ()
        if opinion.judgement is not None:
            lines.append(_said(opinion.judgement, opinion.version))
            doubts = _doubts(opinion.judgement, join(levels))
            levels.append(opinion.judgement.level)
        label = dataclasses.replace(claimed, classification=join(levels))
        return Labelled(label=label, evidence=tuple(lines), doubts=doubts)


def _said(judgement: Judgement, version: str) -> str:
    line = (
        f"classifier {version}: {judgement.predicted.name}, confidence {judgement.confidence:.2f}"
    )
    if judgement.doubtful:
        line += f"; not sure enough, {judgement.level.name} until a person has looked"
    return line


def _doubts(judgement: Judgement, otherwise: Classification) -> tuple[Doubt, ...]:
    """A person is asked where the classifier raises what everything else says, sure of it or not."""
    if judgement.level <= otherwise:
        return ()
    kind = ReviewKind.DOUBT if judgement.doubtful else ReviewKind.CONFLICT
    return (Doubt(kind=kind, proposed=judgement.predicted, confidence=judgement.confidence),)


def is_relabelling(evidence: str) -> bool:
    """Whether a person gave the document its label. A release is about the text that was read, not about who may read it."""
    return evidence.startswith(_STEWARD) and not evidence.startswith(RELEASED_NOTE)
