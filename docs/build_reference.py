"""Writes docs/reference.md from the code: settings, error codes, endpoints, commands. Run by `make docs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ragward.adapters.finder_presidio import ENTITY_TYPES
from ragward.api.app import openapi_document
from ragward.api.problems import status_of
from ragward.cli.main import app
from ragward.domain.access import Action
from ragward.domain.errors import CODES
from ragward.settings import (
    ClassifierSettings,
    ConsoleSettings,
    IssuerSettings,
    SearchModelSettings,
    Settings,
)

TARGET = Path(__file__).parent / "reference.md"


def reference() -> str:
    """The whole page."""
    parts = [
        "# Reference",
        "Made from the code by `make docs`; do not edit. A test holds it equal.",
        "## Settings",
        "In `ragward.toml`, or as `RAGWARD_NAME` in the environment, which wins. Unknown names are errors.",
        _settings(Settings),
        "Each of `issuers`:",
        _settings(IssuerSettings),
        "Each of `classifiers`:",
        _settings(ClassifierSettings),
        "Each of `search_models`:",
        _settings(SearchModelSettings),
        "`console`:",
        _settings(ConsoleSettings),
        "## Errors",
        "Problem documents (RFC 9457) with these codes; the same codes are raised in Python and printed by the command line.",
        _table(
            ("code", "HTTP", "meaning"),
            [(f"`{c}`", str(status_of(c)), text) for c, text in CODES.items()],
        ),
        "## REST",
        _table(("operation", "name", "says"), _operations(openapi_document())),
        "## Command line",
        (
            "`ragward [--settings FILE] COMMAND`; every command takes `--json`. "
            "Exit codes: 0 done, 1 a check failed or a part is not available, 2 wrong use, 3 refused."
        ),
        _table(("command", "does"), list(_commands(typer.main.get_command(app), "ragward"))),
        "## Actions",
        "What each permits: [policy.md](policy.md#actions). For the second field of a policy row; `kind:*` covers all of a kind, `reveal:TYPE` shows one type of personal data.",
        ", ".join(f"`{action.value}`" for action in Action) + ".",
        "## Personal data types",
        ", ".join(f"`{kind}`" for kind in ENTITY_TYPES) + ".",
    ]
    return "\n\n".join(parts) + "\n"


def _settings(model: Any) -> str:
    rows = []
    for name, field in model.model_fields.items():
        default = (
            "required"
            if field.is_required()
            else f"`{field.get_default(call_default_factory=True)!r}`"
        )
        rows.append((f"`{name}`", default, field.description or ""))
    return _table(("name", "default", "meaning"), rows)


def _operations(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (f"`{method.upper()} {path}`", operation["operationId"], operation.get("description", ""))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]


def _commands(command: Any, name: str) -> Any:
    if not hasattr(command, "commands"):
        yield f"`{name}`", (command.help or "").split("\n")[0]
        return
    for word, inner in command.commands.items():
        yield from _commands(inner, f"{name} {word}")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in line) + " |"
        for line in lines
    )


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
