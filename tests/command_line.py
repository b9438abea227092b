"""Whether a line is one that `ragward` understands: its commands, options and arguments, without running it."""

from __future__ import annotations

import functools
import re
import shlex
from pathlib import Path

import typer

from ragward.cli.main import app

_TYPED = re.compile(r"^(?:    |\$ )?ragward (?P<words>.+)$", re.MULTILINE)
_BEHIND = re.compile(r"\s+[#>|&].*$")


@functools.cache
def _whole():
    return typer.main.get_command(app)


def command_exists(words):
    """Whether the command line has it: groups are followed, arguments and options are not looked at."""
    command = _whole()
    for word in words:
        if not hasattr(command, "commands"):
            return True
        if word not in command.commands:
            return False
        command = command.commands[word]
    return not hasattr(command, "commands")


def misunderstood(words):
    """What the command line says of these words before it does anything; empty if nothing."""
    command, rest, parent = _whole(), list(words), None
    try:
        while True:
            context = command.make_context("ragward", list(rest), parent=parent)
            if not hasattr(command, "commands"):
                return ""
            rest = [*context._protected_args, *context.args]
            if not rest:
                return "which of its commands?"
            name, found, rest = command.resolve_command(context, rest)
            if found is None:
                return f"no command {name}"
            command, parent = found, context
    except Exception as error:  # usage errors of whichever click typer carries
        return str(error) or type(error).__name__


def typed_lines(page: Path) -> list[tuple[str, list[str]]]:
    """The lines of a page that begin with `ragward`, in blocks: [(line, words)]."""
    text = page.read_text(encoding="utf-8")
    found = [_BEHIND.sub("", each["words"]) for each in _TYPED.finditer(text)]
    return [(line, shlex.split(line)) for line in found]
