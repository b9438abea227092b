"""The shell, Python and file snippets of a page, and running them as somebody would who copies them one after the other."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUN = ("bash", "console", "python")
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>.+?) -->\n)?^```(?P<lang>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<body>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
_EXPECTED = re.compile(
    r"  # (?:exit (?P<exit>\d)|(?P<word>shows|does not show) \"(?P<text>[^\"]+)\")$"
)
_FRAME = re.compile(r"[\s\u2500-\u257f]+")
"""Between words of a table's cell"""


@dataclass(frozen=True)
class Snippet:
    """One fenced block. One with a title is a file that the reader makes."""

    page: str
    line: int
    lang: str
    title: str
    body: str
    reason: str


def snippets(page: str) -> list[Snippet]:
    """Those of a page that are run, are files, or say why they are neither."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Snippet(
            page=page,
            line=text.count("\n", 0, found.start()) + 1,
            lang=found["lang"],
            title=found["title"] or "",
            body=found["body"],
            reason=found["reason"] or "",
        )
        for found in _BLOCK.finditer(text)
        if found["lang"] in RUN or found["title"]
    ]


@dataclass
class Reader:
    """Somebody who follows a page in a directory. `ragward` runs a command in this process: words -> (exit code, output)."""

    home: Path
    ragward: object
    url: str = ""
    finds: bool = True
    """Whether answers are found by the real model: what pages say that they show is looked for"""

    def follow(self, snippet: Snippet, **known: object) -> None:
        """Does what the block says. Raises AssertionError where it does not work."""
        body = snippet.body.replace("http://127.0.0.1:8420", self.url or "http://127.0.0.1:8420")
        if snippet.title:
            file = self.home / snippet.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(body, encoding="utf-8")
        elif snippet.lang == "python":
            exec(compile(body, f"{snippet.page}:{snippet.line}", "exec"), {**known})
        else:
            for line in filter(None, body.splitlines()):
                self._shell(line)

    def _shell(self, line: str) -> None:
        found = _EXPECTED.search(line)
        wanted = int(found["exit"] or 0) if found else 0
        command = _EXPECTED.sub("", line)
        if command.startswith(("export ", "unset ")):
            word, _, rest = command.partition(" ")
            name, _, value = rest.partition("=")
            os.environ.pop(name, None) if word == "unset" else os.environ.update({name: value})
            return
        if command.startswith("ragward "):
            words = shlex.split(command)[1:]
            target = None
            if ">" in words:
                target = words[words.index(">") + 1]
                words = words[: words.index(">")]
            code, out = self.ragward(words)
            if target:
                (self.home / target).write_text(out, encoding="utf-8")
        else:
            done = subprocess.run(
                ["bash", "-euc", command],
                cwd=self.home,
                capture_output=True,
                text=True,
                check=False,
            )
            code, out = done.returncode, done.stdout + done.stderr
        assert code == wanted, f"{line}\nexit {code}\n{out[-1500:]}"
        if found and found["text"]:
            there = found["text"] in _FRAME.sub(" ", out)
            if found["word"] != "shows":
                assert not there, f"{line}\n{out}"
            elif self.finds:
                assert there, f"{line}\n{out}"
