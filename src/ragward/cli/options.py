"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

As = Annotated[
    str | None, typer.Option("--as", help="Ask as this person, by the development issuer.")
]
TokenFile = Annotated[
    Path | None, typer.Option(help="File with a bearer token; otherwise RAGWARD_TOKEN.")
]
AsJSON = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", help="Settings file; otherwise RAGWARD_SETTINGS or ./ragward.toml."),
]
Tenant = Annotated[str | None, typer.Option(help="With --as: the tenant.")]
Reason = Annotated[str, typer.Option(help="Why, for the log: 8 to 500 characters.")]
At = Annotated[
    str | None,
    typer.Option(help="As it will be, or was, then: 2027-01-31, 2027-01-31T08:00Z, Unix seconds."),
]
OlderThan = Annotated[
    str,
    typer.Option(
        help="Only what versions in use before this one did; `ragward lineage --versions`."
    ),
]
After = Annotated[str, typer.Option(help="Go on after this, the last of the page before.")]
Owner = Annotated[
    str | None, typer.Option(help="Who answers for it: user:TENANT/NAME; by default you.")
]
Purpose = Annotated[str, typer.Option(help="What it is for.")]
Days = Annotated[int, typer.Option(min=1, max=1098, help="When it ends, in days.")]
