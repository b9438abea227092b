"""Explanations as a person reads them: the verdict first, then what is in the way, then what would change it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ragward.api.schemas_explain import OwnAccessResponse
from ragward.cli.render import badge, console
from ragward.domain.explanation import (
    Alternatives,
    AskedAbout,
    DocumentExplanation,
    DocumentNamed,
    QueryExplanation,
    Readers,
    SubjectAccess,
    Term,
    ViewTold,
)
from ragward.domain.funnel import ChunkTold, Fate, StageTold

_SHOWN_CHUNKS: Final = 5
_BECAUSE: Final = {
    Fate.LABEL: "policy or label do not permit it",
    Fate.STATE: "its version is not the one that is answered from",
    Fate.REWRAP_PENDING: "its key is still to be wrapped for the new label",
    Fate.CORPUS: "not in the corpora asked for",
    Fate.ATTRIBUTES: "the attribute filter does not match",
    Fate.VIEW: "they are matched on another view of it",
    Fate.QUARANTINED: "it waits in quarantine",
    Fate.UNTRUSTED: "its source is trusted less than its classification demands",
    Fate.NOT_INDEXED: "the index does not hold it where it belongs",
    Fate.NOT_NEAR: "not near enough to the question",
    Fate.ABSENT: "the catalog has no such chunk",
    Fate.INTEGRITY: "it does not verify: damaged or tampered with",
    Fate.RANK: "others were nearer",
    Fate.PER_DOCUMENT: "enough passages of this document were nearer",
    Fate.NEAR_DUPLICATE: "it repeats a passage that is returned",
    Fate.LIMIT: "cut by the limit",
    Fate.BUDGET: "no room in the token budget of its classification",
    Fate.RETURNED: "returned",
}


def decision(given: DocumentExplanation, out: Console | None = None) -> None:
    """A verdict on a document, why, and the smallest changes that would permit it."""
    out = out or console()
    verdict = (
        Text("may read", "bold green") if given.permitted else Text("may NOT read", "bold red")
    )
    out.print(Text.assemble(_who(given.about), " ", verdict, " ", _document(given.document)))
    out.print(_tree(given.terms, failed_first=not given.permitted))
    if given.view is not None and (given.view.shown or given.view.hidden):
        out.print(_view(given.view))
    if not given.permitted:
        out.print(_alternatives(given.alternatives))


def terms(given: Sequence[Term]) -> None:
    """The terms alone."""
    console().print(_tree(given, failed_first=True))


def funnel(given: QueryExplanation, out: Console | None = None) -> None:
    """The way of a question, and how far the named document came."""
    out = out or console()
    if given.named is not None and given.fate is not None:
        returned = given.fate is Fate.RETURNED
        verdict = Text("is given", "bold green") if returned else Text("is NOT given", "bold red")
        out.print(
            Text.assemble(
                _who(given.about), " ", verdict, " ", _document(given.named), ": ", _fate(given)
            )
        )
    else:
        out.print(Text.assemble(_who(given.about), f" is given {len(given.returned)} passages"))
    out.print(_stages(given.stages))
    if given.returned and given.named is None:
        out.print(_returned(given))
    if len({chunk.fate for chunk in given.chunks}) > 1:
        out.print(_chunks(given.chunks))
    out.print(Text("over the documents that you may explain", "dim"))
    if given.denied is not None:
        out.print()
        decision(given.denied, out)


def readers(given: Readers, out: Console | None = None) -> None:
    """Who may read, and through what."""
    out = out or console()
    count = Text(str(given.total), "bold green" if given.total else "bold red")
    out.print(
        Text.assemble(count, " can read ", _document(given.document), f" at {_time(given.at)}")
    )
    if given.because:
        out.print(Text(given.because, "yellow"))
    table = Table(
        "who",
        "row (corpus, levels, compartment)",
        "has the row through",
        "granted through",
        box=None,
    )
    for reader in given.readers:
        row = "-" if reader.row is None else ", ".join(reader.row.fields()[2:5])
        granted = _way(reader.granted) or (
            "acts for others" if _is_agent(reader.principal) else "-"
        )
        table.add_row(reader.principal, row, _way(reader.allowed) or "-", granted)
    if given.readers:
        out.print(table)
    if given.next_after:
        out.print(Text(f"more: --after {given.next_after}", "dim"))


def access(given: SubjectAccess, out: Console | None = None) -> None:
    """What somebody may read and do."""
    out = out or console()
    total = sum(area.documents for area in given.areas)
    count = Text(f"{total} documents", "bold green" if total else "bold red")
    out.print(Text.assemble(_who(given.about), " can read ", count, f" at {_time(given.at)}"))
    if given.because:
        out.print(Text(given.because, "yellow"))
    table = Table(
        "corpus", "classification", "compartments", "documents", "labels", "reveals", box=None
    )
    for area in given.areas:
        table.add_row(
            area.corpus,
            badge(area.classification.name),
            ", ".join(sorted(area.compartments)) or "-",
            str(area.documents),
            str(area.labels),
            ", ".join(sorted(area.revealed)) or "-",
        )
    if given.areas:
        out.print(table)
    if given.acts:
        out.print(_acts(given))
    if given.documents:
        listed = Table("document", "source", "classification", box=None)
        for document in given.documents:
            listed.add_row(
                document.document_id,
                f"{document.corpus}:{document.source}",
                badge(document.classification.name),
            )
        out.print(listed)
    if given.next_after:
        out.print(Text(f"more: --after {given.next_after}", "dim"))
    out.print(Text("over the documents that you may explain", "dim"))


def own_access(given: OwnAccessResponse) -> None:
    """Where one can read something."""
    table = Table("corpus", "classifications", box=None)
    for area in given.corpora:
        table.add_row(area.corpus, Text(" ").join(badge(level) for level in area.classifications))
    console().print(table if given.corpora else "nothing yet")


# Parts. -------------------------------------------------------------------------------------------------------------


def _tree(given: Sequence[Term], *, failed_first: bool) -> RenderableType:
    """Terms by whom they are about; where something fails, what holds is told in a line."""
    trees: list[RenderableType] = []
    held: list[str] = []
    for who, group in groupby(given, key=lambda term: term.who):
        mine = list(group)
        shown = [term for term in mine if not (failed_first and term.holds)]
        others = ", ".join(term.term for term in mine if term not in shown)
        if not shown:
            held.append(f"{who}: {others}")
            continue
        tree = Tree(Text(who, "bold"), guide_style="dim")
        for term in shown:
            tree.add(_term(term))
        if others:
            tree.add(_held(others))
        trees.append(tree)
    return Group(*trees, *([_held("; ".join(held))] if held else []))


def _held(text: str) -> Text:
    return Text.assemble(("✓ ", "green"), (text, "dim"))


def _term(term: Term) -> Text:
    mark = ("✓ ", "green") if term.holds else ("✗ ", "bold red")
    return Text.assemble(
        mark, (term.term, "" if term.holds else "red"), (f"  {term.because}", "dim")
    )


def _alternatives(given: Alternatives) -> RenderableType:
    if not given.found:
        return Text(
            "no change of policy, label or registration that was tried would permit it", "yellow"
        )
    lines: list[RenderableType] = [Text("smallest changes that would permit it:", "bold")]
    for number, each in enumerate(given.found, start=1):
        last = len(each.changes) - 1
        for position, change in enumerate(each.changes):
            lead = Text(f"{number}. ", "bold cyan") if not position else Text("   and ", "dim")
            line = Text.assemble(lead, change.text)
            if position == last:
                line.append(*_further(each.gains))
            lines.append(Padding(line, (0, 0, 0, 2)))
    if given.more:
        lines.append(Text(f"  {given.more} more of the same size", "dim"))
    if not given.complete:
        lines.append(Text("  the search was cut short: a smaller set may exist", "yellow"))
    return Group(*lines)


def _further(gains: int) -> tuple[str, str]:
    if not gains:
        return "  (opens nothing else)", "dim"
    return f"  (opens {gains} further document{'s' if gains > 1 else ''})", "yellow"


def _view(given: ViewTold) -> RenderableType:
    lines: list[RenderableType] = [
        Text.assemble(
            ("personal data: ", "bold"),
            f"chunks in full {given.full}, redacted {given.redacted}",
        )
    ]
    if given.shown:
        lines.append(Text(f"  shown: {', '.join(sorted(given.shown))}"))
    for because, kinds in _by_value(given.hidden.items()):
        lines.append(
            Text.assemble("  hidden: ", (", ".join(kinds), "magenta"), (f"  {because}", "dim"))
        )
    return Group(*lines)


def _stages(stages: Sequence[StageTold]) -> Table:
    table = Table("stage", "in", "out", "lost", box=None)
    for stage in stages:
        lost = ", ".join(f"{count} {fate.replace('_', ' ')}" for fate, count in stage.lost.items())
        table.add_row(
            f"{stage.stage} ({stage.unit})",
            str(stage.entered),
            str(stage.left),
            Text(lost, "yellow") if lost else Text("-", "dim"),
        )
    return table


def _returned(given: QueryExplanation) -> Table:
    table = Table("", "source", "classification", "shows", "removed", box=None)
    for each in given.returned:
        removed = ", ".join(f"{kind} {count}" for kind, count in sorted(each.removed.items()))
        table.add_row(
            str(each.rank),
            f"{each.document.corpus}:{each.document.source}",
            badge(each.document.classification.name),
            f"{each.share:.0%}",
            removed or "-",
        )
    return table


def _chunks(chunks: Sequence[ChunkTold]) -> RenderableType:
    table = Table("chunk", "view", "came to", box=None)
    for chunk in chunks[:_SHOWN_CHUNKS]:
        table.add_row(chunk.chunk_id, chunk.view.name.lower(), _chunk_fate(chunk))
    if len(chunks) <= _SHOWN_CHUNKS:
        return table
    return Group(table, Text(f"and {len(chunks) - _SHOWN_CHUNKS} more chunks", "dim"))


def _chunk_fate(chunk: ChunkTold) -> Text:
    text = _BECAUSE[chunk.fate]
    if chunk.fate is Fate.RETURNED:
        return Text(f"returned at rank {chunk.rank}, {chunk.share or 0:.0%} of it shown", "green")
    if chunk.fate is Fate.NOT_NEAR:
        place = f"rank {chunk.rank}" if chunk.rank else "beyond the ranks looked at"
        text += f": {place}, {chunk.considered} were considered"
    elif chunk.rank:
        text += f": rank {chunk.rank} of {chunk.considered}"
    if chunk.score is not None:
        text += f", similarity {chunk.score:.2f}, the cut is at {chunk.cut:.2f}"
    if chunk.duplicate_of:
        text += f" ({chunk.duplicate_of})"
    return Text(text)


def _fate(given: QueryExplanation) -> Text:
    return _chunk_fate(given.chunks[0]) if given.chunks else Text("it has no chunks")


def _acts(given: SubjectAccess) -> RenderableType:
    lines: list[RenderableType] = []
    for action, group in groupby(given.acts, key=lambda act: act.action):
        where = [
            "the whole tenant"
            if act.corpus is None
            else f"{act.corpus} {'..'.join(dict.fromkeys((act.classifications[0].name, act.classifications[-1].name)))}"
            for act in group
        ]
        if where[0] == "the whole tenant":
            where = where[:1]
        lines.append(Text.assemble("  ", (action, "cyan"), f"  {', '.join(where)}"))
    return Group(Text("may do:", "bold"), *lines)


def _who(about: AskedAbout) -> Text:
    parts = [about.principal]
    if about.application is not None and about.application.principal != about.principal:
        parts.append(f"through {about.application.principal}")
    if about.agents:
        parts.append(f"by {', '.join(about.agents)}")
    return Text(" ".join(parts), "bold")


def _document(document: DocumentNamed) -> Text:
    chunk = f" chunk {document.chunk_id}" if document.chunk_id else ""
    return Text.assemble(
        f"{document.corpus}:{document.source}{chunk} ", badge(document.classification.name)
    )


def _by_value(items: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for key, value in items:
        found.setdefault(value, []).append(key)
    return list(found.items())


def _way(path: Sequence[str]) -> str:
    return " > ".join(path[1:]) if len(path) > 1 else "itself" if path else ""


def _is_agent(principal: str) -> bool:
    return principal.startswith("agent:")


def _time(seconds: int) -> str:
    try:
        return (
            datetime.fromtimestamp(seconds, UTC)
            .isoformat(timespec="minutes")
            .replace("+00:00", "Z")
        )
    except (OverflowError, ValueError, OSError):
        return str(seconds)
