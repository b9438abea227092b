"""`ragward source`: what a source does to sign what it brings. Needs no installation."""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

source_app = typer.Typer(no_args_is_help=True, help="Sources that sign what they bring.")


@source_app.command("keygen")
def keygen(
    key: Annotated[Path, typer.Argument(help="Where the private key goes; it must not exist.")],
) -> None:
    """Make a source's private key, and print the public one for `policies/trust.toml`."""
    from ragward.adapters.signatures_ed25519 import Ed25519Signer
    from ragward.domain.errors import ConfigurationError

    seed = secrets.token_bytes(32)
    try:
        file = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        raise ConfigurationError("the key's file exists, or cannot be made") from None
    with os.fdopen(file, "wb") as out:
        out.write(base64.b64encode(seed) + b"\n")
    typer.echo(base64.b64encode(Ed25519Signer(seed).public_key).decode())


@source_app.command("sign")
def sign(
    manifest: Annotated[Path, typer.Argument(help="JSONL; access lists as granted and denied.")],
    key: Annotated[Path, typer.Option(help="The source's private key.")],
    tenant: Annotated[str, typer.Option(help="Whose documents these become.")],
) -> None:
    """Print the manifest with a signature in every line, over text, name, label and metadata; exit 1 where one cannot be read."""
    from ragward.adapters.signatures_ed25519 import Ed25519Signer
    from ragward.domain.errors import ConfigurationError, RagwardError
    from ragward.domain.sources import signed_message
    from ragward.opening import manifest_items

    try:
        signer = Ed25519Signer(base64.b64decode(key.read_text().strip(), validate=True))
    except (OSError, ValueError):
        raise ConfigurationError("the source's key cannot be read") from None
    lines = [line for line in manifest.read_text(encoding="utf-8").splitlines() if line.strip()]
    failed = False
    for line, item in zip(lines, manifest_items(manifest, tenant), strict=True):
        try:
            document = item.load()
        except RagwardError as error:
            typer.echo(f"{item.source}: {error.detail}", err=True)
            failed = True
            continue
        signature = signer.sign(signed_message(document))
        entry = json.loads(line) | {"signature": base64.b64encode(signature).decode()}
        typer.echo(json.dumps(entry, ensure_ascii=False))
    raise typer.Exit(1 if failed else 0)
