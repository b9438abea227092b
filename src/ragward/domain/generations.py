"""Generations of vectors: each is of one model, one of them answers, and another may be built or kept beside it.

    building   vectors are being made; every write makes them too
    serving    answers; exactly one
    standby    answered before; every write still makes its vectors, so that it can answer again
    dropping   nothing is made for it any more; it is being removed

Building, serving and standby are live: a document version is stored with the vectors of all of them, or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Final

from ragward.domain.errors import ConfigurationError, IntegrityError

FIRST: Final = 1
"""The generation that there is before anybody begins another."""


class GenerationState(StrEnum):
    """What is done with it."""

    BUILDING = "building"
    SERVING = "serving"
    STANDBY = "standby"
    DROPPING = "dropping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One of them. Numbers are never used again."""

    number: int
    model: str
    """the model's digest"""
    dimension: int
    state: GenerationState

    @property
    def is_live(self) -> bool:
        """Whether writes make its vectors."""
        return self.state is not GenerationState.DROPPING


class EmbeddedQuery(list[float]):
    """A question's vector that says whose it is: an index never compares it with another generation's."""

    __slots__ = ("generation",)

    def __init__(self, values: Iterable[float], generation: int) -> None:
        super().__init__(values)
        self.generation = generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Generations:
    """All there are."""

    all: tuple[Generation, ...]
    last: int
    """the highest number ever used"""

    @classmethod
    def first(cls, model: str, dimension: int) -> Generations:
        """As long as nobody has begun another."""
        only = Generation(
            number=FIRST, model=model, dimension=dimension, state=GenerationState.SERVING
        )
        return cls(all=(only,), last=FIRST)

    @property
    def serving(self) -> Generation:
        """The one that answers."""
        return self._in(GenerationState.SERVING)

    @property
    def live(self) -> tuple[Generation, ...]:
        """Those that every write makes vectors for."""
        return tuple(each for each in self.all if each.is_live)

    def numbered(self, number: int) -> Generation | None:
        """None if it is gone, or never was."""
        return next((each for each in self.all if each.number == number), None)

    def other(self) -> Generation | None:
        """The one beside the one that answers, if there is one."""
        return next((each for each in self.all if each != self.serving), None)

    def started(self, model: str, dimension: int) -> Generations:
        """With one that is to be built. Raises `config.generation` while there is another beside the one that answers."""
        if self.other() is not None:
            raise _refused("there is another generation already: switch to it, or drop it")
        if self.serving.model == model:
            raise _refused("this is the model that answers")
        new = Generation(
            number=self.last + 1, model=model, dimension=dimension, state=GenerationState.BUILDING
        )
        return Generations(all=(*self.all, new), last=new.number)

    def switched(self, number: int) -> Generations:
        """With another one that answers, and the one that did beside it. Raises `config.generation`."""
        to = self.numbered(number)
        if to is None or to.state not in (GenerationState.BUILDING, GenerationState.STANDBY):
            raise _refused("there is no such generation to switch to")
        states = {
            to.number: GenerationState.SERVING,
            self.serving.number: GenerationState.STANDBY,
        }
        return self._with(states)

    def dropping(self, number: int) -> Generations:
        """With one that is being removed; again is fine. Raises `config.generation` for the one that answers."""
        found = self.numbered(number)
        if found is None or found.state is GenerationState.SERVING:
            raise _refused("there is no such generation to drop")
        return self._with({number: GenerationState.DROPPING})

    def without(self, number: int) -> Generations:
        """After it was removed."""
        left = tuple(each for each in self.all if each.number != number)
        return Generations(all=left, last=self.last)

    def to_text(self) -> str:
        """As it is stored."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Generations:
        """Raises `integrity.model` for what was not written by `to_text`."""
        try:
            body = json.loads(text)
            found = cls(
                all=tuple(
                    Generation(
                        number=int(each["number"]),
                        model=str(each["model"]),
                        dimension=int(each["dimension"]),
                        state=GenerationState(each["state"]),
                    )
                    for each in body["all"]
                ),
                last=int(body["last"]),
            )
            found._in(GenerationState.SERVING)
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                "the record of generations is damaged", code="integrity.model"
            ) from error
        return found

    def _in(self, state: GenerationState) -> Generation:
        (found,) = (each for each in self.all if each.state is state)
        return found

    def _with(self, states: dict[int, GenerationState]) -> Generations:
        changed = tuple(
            replace(each, state=states.get(each.number, each.state)) for each in self.all
        )
        return Generations(all=changed, last=self.last)


def vector_name(point_id: str, generation: int) -> str:
    """What a point's vector is bound to beside its document: no generation's vector opens as another's."""
    return point_id if generation == FIRST else f"{point_id}/{generation}"


def _refused(detail: str) -> ConfigurationError:
    return ConfigurationError(detail, code="config.generation")
