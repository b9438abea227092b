"""What of this process's memory others get: no core dumps, and no attaching by other processes of the same user.

Best effort: a live process still holds what it works with, and whoever is root reads it.
"""

from __future__ import annotations

import contextlib
import ctypes
import resource
from typing import Final

_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4


def protect_process_memory() -> None:
    """RLIMIT_CORE = 0 and PR_SET_DUMPABLE = 0 (prctl(2)): also of children until they run another program."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):  # Linux only
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def is_protected() -> bool:
    """Whether both are in force."""
    try:
        dumpable = ctypes.CDLL(None, use_errno=True).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0)
    except (OSError, AttributeError):
        return False
    return dumpable == 0 and resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
