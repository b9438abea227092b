"""Access for a time: where requests are kept, and who is told of an emergency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ragward.domain.elevation import Elevation


class ElevationStore(Protocol):
    """Requests for access and what became of them; what gives or takes access moves the tenant's epoch."""

    def add_elevation(self, elevation: Elevation) -> None:
        """A new one. Raises `elevation.unreviewed` for an emergency of somebody who has one that nobody reviewed."""

    def elevation(self, tenant: str, elevation_id: str) -> Elevation:
        """Raises `access.not_found`."""

    def elevations(
        self, tenant: str, *, member: str | None = None, limit: int
    ) -> Sequence[Elevation]:
        """Newest first, of everybody or of one."""

    def change_elevation(self, before: Elevation, after: Elevation) -> None:
        """Puts `after` in the place of `before`. Raises `elevation.state` when that is no longer what is stored."""


class Alarm(Protocol):
    """Tells people what cannot wait."""

    def deliver(self, alert: Mapping[str, object]) -> None:
        """Delivered when this returns. Raises `unavailable.alert`."""
