"""Labelled documents out of templates: `training` to learn from; `held_out` and `fresh`, without a sentence in common with it or
with each other, to be judged on.

All were written for this benchmark by one author. Half of the templates to learn from, and the thresholds of the shipped rules,
came after a first look at `held_out`; `fresh` was written after both were settled, and nothing was changed for it.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

from ragward.domain.labels import Classification

HERE = Path(__file__).parent
SLOTS = {
    "person": ["Ann Miller", "Jonas Weber", "Priya Nair", "Luis Ortega", "Mei Chen", "Tom Becker"],
    "company": [
        "Aurora Instruments",
        "Borealis Labs",
        "Kestrel Systems",
        "Nordlicht AG",
        "Vireo Ltd",
    ],
    "city": ["Graz", "Leeds", "Porto", "Ghent", "Aarhus", "Turin"],
    "product": ["Hygro 300", "ThermoLux", "Baro Mini", "Flux Probe", "Sentry 7"],
    "job": ["service engineer", "data analyst", "shop assistant", "technical writer"],
    "team": ["logistics", "platform", "purchasing", "marketing", "quality"],
    "system": ["Atlas", "Helios", "Orion", "Pegasus"],
    "codename": ["Falcon", "Juniper", "Basalt", "Monsoon"],
    "date": ["3 March", "17 May", "1 July", "22 September", "9 November"],
}


@dataclass(frozen=True)
class Labelled:
    """A document, its level, and the template family it comes from."""

    family: str
    level: Classification
    title: str
    text: str


@dataclass(frozen=True)
class Family:
    """A kind of document: its level, its title and its sentences."""

    name: str
    level: Classification
    title: str
    sentences: tuple[str, ...]


def families(name: str) -> tuple[list[Family], list[str]]:
    """The families and the neutral sentences of `training`, `held_out` or `fresh`."""
    found, neutral = [], []
    for block in (HERE / f"classification_{name}.txt").read_text().split("== ")[1:]:
        head, *lines = block.strip().split("\n")
        if head == "NEUTRAL":
            neutral = lines
            continue
        level, _, kind = head.partition(" ")
        found.append(Family(f"{name}: {kind}", Classification[level], lines[0], tuple(lines[1:])))
    return found, neutral


def documents(name: str, count: int, seed: int) -> list[Labelled]:
    """`count` documents, as many of each level. Every eighth holds sentences of a lower level too: its level is the highest."""
    chance = random.Random(seed)
    all_families, neutral = families(name)
    made = []
    for number in range(count):
        level = Classification(number % 4)
        family = chance.choice([each for each in all_families if each.level is level])
        sentences = chance.sample(family.sentences, chance.randint(3, 6))
        sentences += chance.sample(neutral, chance.randint(0, 2))
        if number // 4 % 8 == 0 and level:
            lower = chance.choice([each for each in all_families if each.level < level])
            sentences += chance.sample(lower.sentences, 2)
        chance.shuffle(sentences)
        title = _filled(family.title, chance)
        text = " ".join(_filled(sentence, chance) for sentence in sentences)
        made.append(Labelled(family.name, level, title, f"{title}\n\n{text}"))
    return made


def _filled(template: str, chance: random.Random) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] == "number":
            return str(chance.randint(2, 60))
        if match[1] == "money":
            return f"{chance.randint(2, 900)},{chance.randint(100, 999)} euros"
        return chance.choice(SLOTS[match[1]])

    return re.sub(r"\{(\w+)\}", value, template)
