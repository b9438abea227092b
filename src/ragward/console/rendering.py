"""Templates and what they may use. Everything is escaped; an undefined name is an error and not an empty string."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote

from fastapi import Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import DictLoader, Environment, StrictUndefined

from ragward.console import places
from ragward.console.guard import Visitor
from ragward.domain.labels import Classification

_DAY: Final = 86_400


@cache
def environment() -> Environment:
    """The templates of the package, read once."""
    folder = files("ragward.console") / "templates"
    templates = {each.name: each.read_text(encoding="utf-8") for each in folder.iterdir()}
    made = Environment(
        loader=DictLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["LEVELS"] = [level.name for level in Classification]
    made.filters |= {
        "day": _moment,
        "line": _line,
        "segment": lambda text: quote(str(text), safe=""),
        "pretty": lambda value: json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False),
    }
    return made


def page(visitor: Visitor, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page inside the frame, for somebody who is signed in; what was to be told is told now."""
    told, visitor.session.told = visitor.session.told, []
    frame: dict[str, Any] = {
        "visitor": visitor.subject,
        "csrf": visitor.session.csrf,
        "places": places.shown(visitor.ragward, visitor.subject),
        "path": visitor.request.url.path,
        "told": told,
        "at": visitor.ragward.clock.now(),
    }
    return HTMLResponse(environment().get_template(template).render(frame | values), status)


def bare_page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page for nobody in particular."""
    frame: dict[str, Any] = {"visitor": None, "places": [], "told": [], "path": "", "csrf": ""}
    return HTMLResponse(environment().get_template(template).render(frame | values), status)


def go_to(path: str) -> Response:
    """After a form: the page that shows what came of it."""
    return RedirectResponse(path, 303)


def _moment(seconds: float | None) -> str:
    """UTC, to the minute."""
    if seconds is None:
        return "never"
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return str(seconds)


def _line(text: object, at_most: int = 160) -> str:
    """One printable line: what a document calls itself must not look like something of ours (CVE-2021-42574)."""
    kept = "".join(
        c if unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn") else " "
        for c in str(text)
    )
    one = " ".join(kept.split())
    return one if len(one) <= at_most else one[: at_most - 1] + "…"
