"""How many documents there are of which kind: what an overview is drawn from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Current versions that are alike: active, or held back because their source has them no more."""

    label_id: int
    is_active: bool
    is_pending: bool
    """something is still to be done to them: a label or key is not carried out yet"""
    documents: int
