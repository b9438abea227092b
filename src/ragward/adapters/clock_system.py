"""The system's clock."""

from __future__ import annotations

import time


class SystemClock:
    """`ports.Clock` on the operating system."""

    def now(self) -> int:
        """Unix seconds."""
        return int(time.time())

    def now_milliseconds(self) -> int:
        """Unix milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds for measuring durations."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        time.sleep(seconds)
