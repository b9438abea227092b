"""How often somebody may ask, and how much of that is left."""

from __future__ import annotations

from typing import NamedTuple


class Rate(NamedTuple):
    """A quota: `quota` requests in `window_seconds`; `remaining` are left, all of them again within `resets_in` seconds.

    `policy` is `subject`, `agent`, `tenant` or `throttle`."""

    policy: str
    quota: int
    window_seconds: int
    remaining: int
    resets_in: int
