"""What the sample companies hold, counted with ragward's own parts, and the tables of README.md held against it.

Run by hand, `python examples/check_company.py`; exits 1 if README.md is wrong about a verdict or a count of personal data.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path

from ragward.adapters.extractor_process import ProcessTextExtractor
from ragward.adapters.finder_presidio import PresidioFinder
from ragward.adapters.screener_rules import RuleScreener
from ragward.domain.findings import Verdict
from ragward.domain.minimization import near_duplicates

HERE = Path(__file__).parent
_ROW = re.compile(
    r"^\| `(?P<who>[^`]+)` \| (?P<company>\w+) `(?P<uri>[^`]+)` \| (?P<may>yes|no) \|"
)
_COUNT = re.compile(r"^\| (?P<kind>[A-Z_]+) \| (?P<finds>\d+) \| (?P<documents>\d+) \| `")
_FOUND = re.compile(r"^  [A-Z_]+: ")


def main() -> int:
    """Prints everything; 1 if README.md is wrong."""
    extractor = ProcessTextExtractor()
    lines = [line for tenant in ("aurora", "borealis") for line in counted(tenant, extractor)]
    extractor.close()
    print("\n".join(lines))
    readme = (HERE / "README.md").read_text("utf-8").splitlines()
    counts = [match for line in readme if (match := _COUNT.match(line))]
    said = {f"  {row['kind']}: {row['finds']} in {row['documents']} documents" for row in counts}
    found = {line for line in lines[: lines.index("")] if _FOUND.match(line)}
    wrong = [*wrong_verdicts(readme), *sorted(said ^ found)]
    print("README.md:", "; ".join(wrong) or "verdicts and counts of personal data are right")
    return 1 if wrong else 0


def counted(tenant: str, extractor: ProcessTextExtractor) -> list[str]:
    """Documents by format, level and compartment; personal data; near-duplicates; what is screened out."""
    root = HERE / tenant
    finder = PresidioFinder.load()
    screener = RuleScreener.from_file(HERE.parent / "policies" / "injection.yaml")
    entries = [
        json.loads(line) for line in (root / "manifest.jsonl").read_text("utf-8").split("\n")[:-1]
    ]
    kinds: Counter[str] = Counter()
    holding: Counter[str] = Counter()
    texts: dict[str, str] = {}
    verdicts: dict[str, str] = {}
    for entry in entries:
        uri = entry["uri"]
        extracted = extractor.extract(uri, (root / uri).read_bytes())
        found = Counter(span.entity_type for span in finder.find(extracted.text))
        kinds.update(found)
        holding.update(found.keys())
        texts[uri] = extracted.text
        judged = [screener.screen(text).verdict for text in (extracted.text, *extracted.hidden)]
        if any(verdict is not Verdict.ALLOW for verdict in judged):
            hidden = f", {len(extracted.hidden)} hidden" if extracted.hidden else ""
            verdicts[uri] = f"{max(judged, key=list(Verdict).index).value}{hidden}"
    lines = [f"{tenant}: {len(entries)} documents"]
    for name, values in (
        ("format", (entry["metadata"]["format"] for entry in entries)),
        ("classification", (entry["classification"] for entry in entries)),
        ("corpus", (entry["corpus"] for entry in entries)),
        ("compartment", (name for entry in entries for name in entry["compartments"])),
    ):
        lines.append(f"  {name}: {dict(Counter(values).most_common())}")
    for kind, number in sorted(kinds.items()):
        lines.append(f"  {kind}: {number} in {holding[kind]} documents")
    for one, other in combinations(texts, 2):
        if near_duplicates([texts[one], texts[other]]):
            lines.append(f"  near-duplicates: {one} {other}")
    return [*lines, *(f"  {verdict}: {uri}" for uri, verdict in verdicts.items()), ""]


def wrong_verdicts(readme: list[str]) -> list[str]:
    """Rows of README.md's table that golden.json contradicts."""
    golden, known = {}, {}
    for tenant in ("aurora", "borealis"):
        golden |= json.loads((HERE / tenant / "golden.json").read_text("utf-8"))
        known[tenant] = (HERE / tenant / "manifest.jsonl").read_text("utf-8")
    rows = [match for line in readme if (match := _ROW.match(line))]
    wrong = [] if rows else ["no table found"]
    for row in rows:
        who, company, uri = row["who"], row["company"], f"documents/{row['uri']}"
        same_company = who.partition("/")[0].partition(":")[2] == company
        may = same_company and uri in golden[who]
        if f'"{uri}"' not in known[company] or may != (row["may"] == "yes"):
            wrong.append(f"{who} {company} {uri}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
