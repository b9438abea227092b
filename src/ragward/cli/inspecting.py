"""What `inspect-output` does."""

from __future__ import annotations

import sys
from pathlib import Path

from ragward.api.schemas_outputs import InspectOutputResponse
from ragward.bootstrap import Ragward
from ragward.cli import render
from ragward.cli.commands import Caller
from ragward.domain.outputs import Outcome, OutputToInspect
from ragward.settings import Settings


def inspect_output(
    settings: Settings, receipt_id: str, answer: Path, caller: Caller, *, as_json: bool
) -> int:
    """`ragward inspect-output`; 0 for an answer that may be shown, 3 for one that is withheld."""
    text = sys.stdin.read() if str(answer) == "-" else answer.read_text(encoding="utf-8")
    with Ragward.open(settings) as ragward:
        subject = ragward.identify(caller.credentials(settings))
        found = ragward.outputs.inspect(
            subject, OutputToInspect(receipt_id=receipt_id, answer=text)
        )
    body = InspectOutputResponse.of(found).model_dump()
    render.result(body, found.outcome.value, as_json=as_json)
    if not as_json and found.text is not None:
        render.console().print(found.text, markup=False, highlight=False, soft_wrap=True)
    return 3 if found.outcome is Outcome.WITHHELD else 0
