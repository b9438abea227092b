"""Where people are alerted: a file that something watches, or a service that takes JSON by HTTP. `file:` and `https:` are known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from ragward.adapters.anchors import FileAnchor, WebhookAnchor, anchor_of
from ragward.domain.errors import RagwardError, UnavailableError


class Alerts:
    """Delivers to every place, one after the other. Nowhere to deliver to is not delivered."""

    def __init__(self, uris: Sequence[str]) -> None:
        self._sinks: list[FileAnchor | WebhookAnchor] = [anchor_of(uri) for uri in uris]

    def deliver(self, alert: Mapping[str, object]) -> None:
        """Everywhere when this returns. Raises `unavailable.alert`."""
        if not self._sinks:
            raise UnavailableError(code="unavailable.alert")
        text = json.dumps(alert, sort_keys=True)
        for sink in self._sinks:
            try:
                sink.publish(text)
            except (OSError, RagwardError) as error:
                raise UnavailableError(code="unavailable.alert") from error
