"""Who is asking, while a framework is at work: the person's token travels beside a retriever and is never part of it.

Frameworks print, copy, pickle, cache and trace what is in their objects and arguments. So a token is in a context variable for
as long as the person's request lasts, or behind a function that the application gives; and where it has to be an argument,
inside a `UserToken`, which shows itself to nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NoReturn, Self

from ragward.domain.errors import UnauthenticatedError

TokenSource = Callable[[], str]
"""Gives the token of whoever is asking now; raises, or gives an empty text, when nobody is."""

_MISSING: Final = (
    "nobody is asking: call within asking_as(token), or give the retriever a user_token function"
)


class UserToken:
    """A person's token as an argument. It can be handed on and read by `reveal`, and neither printed, pickled nor compared."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not text:
            raise UnauthenticatedError("the user token is empty", code="auth.missing")
        self._text = text

    def reveal(self) -> str:
        """The token itself, for sending it."""
        return self._text

    def __repr__(self) -> str:
        return "UserToken(**********)"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a user token is not pickled: it would outlive the request it came with")


_asking: ContextVar[UserToken | None] = ContextVar("ragward_asking", default=None)


@contextmanager
def asking_as(token: str | UserToken | None) -> Iterator[None]:
    """Everything that is asked inside is asked for the person with this token; None for nobody. Raises `auth.missing` for
    an empty token."""
    given = token if token is None or isinstance(token, UserToken) else UserToken(token)
    before = _asking.set(given)
    try:
        yield
    finally:
        _asking.reset(before)


def current_token(source: TokenSource | None = None) -> str:
    """The token of whoever is asking, from `source` if the application gave one. Raises `auth.missing`: there is no default."""
    if source is not None:
        found = source()
    else:
        asking = _asking.get()
        found = asking.reveal() if asking is not None else ""
    if not found or type(found) is not str:  # an application's function may give anything
        raise UnauthenticatedError(_MISSING, code="auth.missing")
    return found
