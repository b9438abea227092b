"""An access audit as one HTML page: nothing is loaded from anywhere, no script runs; every name is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from ragward.adapters.report_html import POLICY, STYLE
from ragward.domain.access_report import AccessAudit

_MOST: Final = 500


def access_page(found: AccessAudit) -> str:
    """The whole page."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>Access audit</title><style>{STYLE}</style></head><body>",
        (
            f'<h1>Access audit of {escape(found.tenant)}</h1><div class="faint">{_moment(found.begin)} to '
            f"{_moment(found.end)}, policy version {found.policy_version}</div>"
        ),
        _cards(found),
        _section("What can be taken away", _proposed(found)),
        _section("Unused, and left alone", _left(found)),
        _section("People, applications and agents", _principals(found)),
        _section("Groups and roles", _roles(found)),
        _section("Applications", _applications(found)),
        _section("Alarms", _alarms(found)),
        "</body></html>\n",
    ]
    return "".join(parts)


def share(value: float | None) -> str:
    """A share of 1 as per cent."""
    return "not recorded" if value is None else f"{value:.0%}"


def _cards(found: AccessAudit) -> str:
    stands = found.posture
    contain = stands.seconds_to_contain
    shown = {
        "answers": str(found.answers),
        "rights nobody used": str(len(found.unused.lines())),
        "reachable and not used": share(stands.over_privilege),
        "answers after several factors": share(stands.mfa_coverage),
        "keys in time": share(stands.keys_in_time),
        "median time to contain": "nothing contained" if contain is None else f"{contain:.0f} s",
    }
    if found.evaluations:
        shown["evaluations that count as nobody's use"] = str(found.evaluations)
    if found.gaps:
        shown["gaps in the log: nothing proposed"] = str(found.gaps)
    cards = (f'<div class="card"><b>{escape(v)}</b>{escape(k)}</div>' for k, v in shown.items())
    return f'<div class="cards">{"".join(cards)}</div>'


def _proposed(found: AccessAudit) -> str:
    lines = found.unused.lines()
    if not lines:
        return "<p>Nothing.</p>"
    return _table(("right",), [(line,) for line in lines])


def _left(found: AccessAudit) -> str:
    rows = [(each.line, each.why.value.replace("_", " ")) for each in found.unused.left]
    return _table(("right", "why"), rows)


def _principals(found: AccessAudit) -> str:
    head = ("who", "answers", "last", "documents reachable", "documents read")
    rows = [
        (
            use.principal,
            str(use.answers),
            _moment(use.last_used) if use.last_used else "never",
            str(use.reachable_documents),
            str(use.used_documents),
        )
        for use in sorted(found.principals, key=lambda use: -use.reachable_documents)
    ]
    return _table(head, rows)


def _roles(found: AccessAudit) -> str:
    rows = [
        (use.principal, f"{use.members_using} of {use.members}", f"{use.rows_used} of {use.rows}")
        for use in found.roles
    ]
    return _table(("role", "members who used it", "rows used"), rows)


def _applications(found: AccessAudit) -> str:
    rows = [
        (
            use.application.principal,
            str(use.answers),
            f"{use.application.ceiling.name}: {', '.join(sorted(use.application.corpora))}",
            f"{use.highest.name if use.highest is not None else 'nothing'}: {', '.join(sorted(use.corpora))}",
        )
        for use in found.applications
    ]
    return _table(("application", "answers", "may pass", "passed"), rows)


def _alarms(found: AccessAudit) -> str:
    rows = [
        (
            alarm.type,
            _moment(alarm.at),
            "not contained" if alarm.contained_at is None else f"{alarm.contained_at - alarm.at} s",
        )
        for alarm in found.posture.alarms
    ]
    return _table(("alarm", "at", "contained after"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "<p>None.</p>"
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows[:_MOST])
    more = f"<p>The first {_MOST} of {len(rows)}.</p>" if len(rows) > _MOST else ""
    return f'<div class="wide"><table><tr>{_cells("th", head)}</tr>{body}</table></div>{more}'


def _cells(tag: str, values: Iterable[str]) -> str:
    return "".join(f"<{tag}>{escape(value)}</{tag}>" for value in values)


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
