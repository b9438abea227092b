"""E-mail messages: the visible headers and the text; attachments are named, not read."""

from __future__ import annotations

import email
from email.message import EmailMessage
from email.policy import default
from typing import Final

from ragward.adapters.extraction.hypertext import read_html
from ragward.adapters.extraction.limits import Extracted, RefusedFileError, kept_properties
from ragward.adapters.extraction.plain import decoded

_SHOWN: Final = ("From", "To", "Cc", "Subject", "Date")
_MAX_PARTS: Final = 200
#: Where Outlook keeps the sensitivity label of a message: `NAME=VALUE; NAME=VALUE`.
_LABELS: Final = "msip_labels"


def read_eml(data: bytes) -> Extracted:
    """Headers as lines, then the plain part, or the HTML part through the HTML reader."""
    try:
        message = email.message_from_bytes(data, policy=default)
        if not message.keys():
            raise RefusedFileError("document.unreadable")
        parts = list(message.walk())
        if len(parts) > _MAX_PARTS:
            raise RefusedFileError("document.too_large")
        headers = [f"{name}: {message[name]}" for name in _SHOWN if message[name]]
        inner = _body(message)
        attachments = [part.get_filename() or "unnamed" for part in message.iter_attachments()]
        labels = str(message[_LABELS] or "")[:20_000]
    except (ValueError, KeyError, LookupError, TypeError, AttributeError, RecursionError):
        raise RefusedFileError("document.unreadable") from None
    pairs = (part.partition("=") for part in labels.split(";"))
    return Extracted(
        text="\n".join(headers) + "\n\n" + inner.text,
        media_type="message/rfc822",
        title=str(message["Subject"] or "")[:200],
        hidden=inner.hidden,
        warnings=[f"attachment not read: {name[:100]}" for name in attachments[:20]],
        properties=kept_properties((name.strip(), value.strip()) for name, _, value in pairs),
    )


def _body(message: EmailMessage) -> Extracted:
    body = message.get_body(preferencelist=("plain", "html"))
    if body is None:
        return Extracted(text="", media_type="text/plain")
    try:
        content = body.get_content()
    except LookupError:  # a character set that nobody knows
        raw = body.get_payload(decode=True)
        content = decoded(raw if isinstance(raw, bytes) else b"")[0]
    if body.get_content_type() == "text/plain":
        return Extracted(text=content, media_type="text/plain")
    return read_html(content.encode("utf-8", "replace"))
