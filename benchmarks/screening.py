"""What screening catches, what it troubles people with, what it costs.

    python -m benchmarks.screening [--texts DIRECTORY] [--json] [--misses FAMILY]

Attacks are screened alone and within ordinary text. `--texts` adds a directory of text files, read in pieces of a
kilobyte, to the texts that nobody should be troubled about.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import statistics
import time
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

from benchmarks.screening_attacks import attacks
from benchmarks.screening_benign import ordinary, trigger_rich

from ragward.adapters.screener_rules import RuleScreener
from ragward.domain.findings import Verdict

RULES = Path(__file__).parents[1] / "policies" / "injection.yaml"
LOOKALIKES = str.maketrans("aceiopsxy", "асеіорѕху")  # noqa: RUF001 - Cyrillic on purpose
Disguise = Callable[[str], str]


def _bold(character: str) -> str:
    if character.isascii() and character.isalpha():
        first = 0x1D41A if character.islower() else 0x1D400
        return chr(first + ord(character.lower()) - ord("a"))
    return character


def _emphasised(text: str) -> str:
    words = text.split()
    marks = ["**", "_", "*", "`"]
    return " ".join(
        f"{word[:2]}{marks[at % 4]}{word[2:]}{marks[at % 4]}"
        if at % 3 and marks[at % 4] != "_"
        else f"**{word}**"
        for at, word in enumerate(words)
    )


DISGUISES: dict[str, Disguise] = {
    "tag characters": lambda t: "".join(chr(0xE0000 + ord(c)) for c in t if c.isascii()),
    "zero-width": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "direction marks": lambda t: "".join(f"\u202d{c}\u202c" if c.isalpha() else c for c in t),
    "look-alikes": lambda t: t.translate(LOOKALIKES),
    "full width": lambda t: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t),
    "mathematical": lambda t: "".join(map(_bold, t)),
    "combining marks": lambda t: "".join(c + "\u0301" if c.isalpha() else c for c in t),
    "base64": lambda t: base64.b64encode(t.encode()).decode(),
    "hex": lambda t: t.encode().hex(),
    "HTML entities": lambda t: "".join(f"&#{ord(c)};" for c in t),
    "URL encoding": lambda t: quote(t, safe=""),
    "spaced letters": lambda t: "  ".join(" ".join(word) for word in t.split()),
    "line breaks": lambda t: "\n".join(t.split()),
    "emphasis": _emphasised,
}


def main() -> None:
    """Prints the tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--texts", type=Path)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--misses", default="")
    given = arguments.parse_args()
    screener = RuleScreener.from_file(RULES)
    found = measured(screener, given.texts)
    if given.misses:
        _print_misses(screener, given.misses)
    elif given.json:
        print(json.dumps(found, indent=2))
    else:
        _print(found)


def measured(screener: RuleScreener, texts: Path | None = None) -> dict[str, dict[str, object]]:
    """Every figure, by table and row."""
    families = {
        f"{name}, {how}": shares(screener, sentences)
        for name, both in attacks().items()
        for how, sentences in zip(("by hand", "templates"), both, strict=True)
    }
    benign = {
        "ordinary": shares(screener, ordinary()),
        "full of triggers": shares(screener, trigger_rich()),
    }
    if texts is not None:
        benign["files"] = shares(screener, pieces(texts))
    return {
        "attacks": families,
        "benign": benign,
        "disguises": disguised(screener),
        "cost": {"ms per KB": cost(screener)},
    }


def shares(screener: RuleScreener, texts: Iterable[str]) -> dict[str, object]:
    """How many texts, and which share of them is flagged or worse, and quarantined."""
    verdicts = [screener.screen(text).verdict for text in texts]
    return {
        "texts": len(verdicts),
        "flagged or worse": round(sum(v is not Verdict.ALLOW for v in verdicts) / len(verdicts), 4),
        "quarantined": round(sum(v is Verdict.QUARANTINE for v in verdicts) / len(verdicts), 4),
    }


def disguised(screener: RuleScreener) -> dict[str, object]:
    """Of the attacks that are seen undisguised, the share that is seen through each disguise."""
    plain = [
        text
        for name, both in attacks().items()
        if name in ("overrides", "role play", "latent instructions")
        for text in (*both[0], *both[1][::3])
        if screener.screen(text).verdict is not Verdict.ALLOW
    ]
    rows: dict[str, object] = {"attacks": len(plain)}
    for name, disguise in DISGUISES.items():
        texts = [f"Minutes of the meeting. {disguise(text)} It closed at noon." for text in plain]
        seen = [screener.screen(text).verdict is not Verdict.ALLOW for text in texts]
        rows[name] = round(sum(seen) / len(seen), 4)
    return rows


def cost(screener: RuleScreener, runs: int = 15) -> float:
    """Milliseconds per kilobyte of ordinary text, in pieces of about a kilobyte; the median of several runs."""
    chance = random.Random(1)
    sentences = ordinary()
    texts = [" ".join(chance.sample(sentences, 16)) for _ in range(100)]
    kilobytes = sum(map(len, texts)) / 1024
    seconds = []
    for _ in range(runs):
        begin = time.perf_counter()
        for text in texts:
            screener.screen(text)
        seconds.append(time.perf_counter() - begin)
    return round(statistics.median(seconds) * 1000 / kilobytes, 4)


def pieces(directory: Path, size: int = 1024) -> list[str]:
    """The texts of a directory, in pieces of `size` characters."""
    found = []
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.suffix in (".txt", ".md", ".rst"):
            text = path.read_text(encoding="utf-8", errors="replace")
            found += [text[at : at + size] for at in range(0, len(text), size)]
    return found


def _print(found: dict[str, dict[str, object]]) -> None:
    for table, rows in found.items():
        print(f"\n{table}")
        for name, row in rows.items():
            values = row.items() if isinstance(row, dict) else [("", row)]
            print(f"  {name:34}" + "  ".join(f"{key} {value}" for key, value in values))


def _print_misses(screener: RuleScreener, family: str) -> None:
    """What was judged wrongly, to improve the rules with; the figures then have to be said to be second ones."""
    both = attacks().get(family)
    if both is not None:
        for text in (*both[0], *both[1]):
            if screener.screen(text).verdict is Verdict.ALLOW:
                print(unicodedata.normalize("NFC", text))
        return
    for text in {"ordinary": ordinary, "full of triggers": trigger_rich}[family]():
        screening = screener.screen(text)
        if screening.verdict is not Verdict.ALLOW:
            print(screening.verdict.value, ",".join(screening.rules), text)


if __name__ == "__main__":
    main()
