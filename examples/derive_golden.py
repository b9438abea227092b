"""Who may read which document, by rules plain enough to check by hand; shares nothing with ragward or Casbin."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from pathlib import Path

HERE = Path(__file__).parent
LEVELS = ["PUBLIC", "INTERNAL", "CONFIDENTIAL", "RESTRICTED"]
NOW = datetime.fromisoformat("2026-11-21T00:00:00+00:00")


def main() -> None:
    """Writes golden.json of both companies."""
    for tenant in ("aurora", "borealis"):
        root = HERE / tenant
        directory = json.loads((root / "directory.json").read_text("utf-8"))
        documents = [
            json.loads(line) for line in (root / "manifest.jsonl").read_text("utf-8").splitlines()
        ]
        rows, memberships = policy(root / "policy.csv")
        golden = {}
        for person in directory["people"]:
            golden[person["principal"]] = [
                d["uri"]
                for d in documents
                if may(person["principal"], d, tenant, rows, memberships)
            ]
        for application in directory["applications"]:
            name = application["principal"]
            golden[name] = [
                d["uri"]
                for d in documents
                if d["classification"] == "PUBLIC"
                and admits(application, d)
                and may(name, d, tenant, rows, memberships)
            ]
        for agent in directory["agents"]:
            for person in agent["acts_for"]:
                golden[f"{person} via {agent['principal']}"] = [
                    d["uri"]
                    for d in documents
                    if d["uri"] in golden[person]
                    and may(agent["principal"], d, tenant, rows, memberships, delegate=True)
                ]
        (root / "golden.json").write_text(json.dumps(golden, indent=1) + "\n", "utf-8")
        print({name: len(uris) for name, uris in golden.items()})


def policy(path: Path) -> tuple[list[list[str]], list[list[str]]]:
    """p rows and g rows."""
    lines = [
        [f.strip() for f in line]
        for line in csv.reader(path.open(encoding="utf-8"))
        if line and not line[0].startswith("#")
    ]
    return [f[1:] for f in lines if f[0] == "p"], [f[1:] for f in lines if f[0] == "g"]


def reached(principal: str, memberships: list[list[str]]) -> set[str]:
    """The principal and all it belongs to."""
    found = {principal}
    for _ in range(10):
        found |= {group for member, group in memberships if member in found}
    return found


def may(principal, document, tenant, rows, memberships, *, delegate=False) -> bool:
    """The five conditions of examples/README.md."""
    own = reached(principal, memberships)
    matching = [
        row
        for row in rows
        if row[0] in own and row[1] == "corpus:retrieve" and covers(row, document, tenant)
    ]
    if not any(row[5] == "allow" for row in matching) or any(row[5] == "deny" for row in matching):
        return False
    if not all(f"compartment:{tenant}/{name}" in own for name in document["compartments"]):
        return False
    if not delegate and not own & set(document["granted"]):
        return False
    if own & set(document["denied"]):
        return False
    start, end = document["valid_from"], document["valid_until"]
    return not (start and datetime.fromisoformat(start) > NOW) and not (
        end and datetime.fromisoformat(end) <= NOW
    )


def covers(row, document, tenant) -> bool:
    """Corpus, levels and compartment of a row."""
    low, _, high = row[3].partition("..")
    level = LEVELS.index(document["classification"])
    return (
        row[2] in (f"{tenant}/*", f"{tenant}/{document['corpus']}")
        and LEVELS.index(low) <= level <= LEVELS.index(high or low)
        and (row[4] == "*" or row[4] in document["compartments"])
    )


def admits(application, document) -> bool:
    """Corpora and ceiling of an application."""
    return ("*" in application["corpora"] or document["corpus"] in application["corpora"]) and (
        LEVELS.index(document["classification"]) <= LEVELS.index(application["ceiling"])
    )


if __name__ == "__main__":
    main()
