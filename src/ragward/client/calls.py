"""Requests before it is known which kind of client sends them, and what both kinds make of a response."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import httpx

from ragward.domain.errors import (
    LimitExceededError,
    RagwardError,
    UnauthenticatedError,
    UnavailableError,
    error_of,
)
from ragward.domain.jobs import Gone
from ragward.domain.labels import Classification
from ragward.domain.outputs import OutputToInspect
from ragward.domain.passages import RetrievalRequest

TRIES: Final = 3
_LONGEST_WAIT_SECONDS: Final = 10.0
_RETRIED: Final = (429, 503)
_USER_HEADER: Final = "X-Ragward-User-Authorization"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `user_token` is the person's; without a credential of an application it is the request's own."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    user_token: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    def arguments(self, *, for_application: bool) -> dict[str, Any]:
        """What httpx takes. Raises `auth.missing` when nobody would be asking."""
        headers = dict(self.headers)
        if self.user_token:
            name = _USER_HEADER if for_application else "Authorization"
            headers[name] = f"Bearer {self.user_token}"
        elif self.user_token is not None or not for_application:
            raise UnauthenticatedError("no user token was given", code="auth.missing")
        return {
            "method": self.method,
            "url": self.path,
            "json": self.body,
            "headers": headers,
            "params": dict(self.query),
        }


def settings(
    base_url: str, credential: str | None, timeout_seconds: float, task_grant: str | None
) -> dict[str, Any]:
    """What both kinds of `httpx` client are made with. Raises `auth.missing` for an empty credential."""
    if credential == "":
        raise UnauthenticatedError("the credential is empty", code="auth.missing")
    headers = {"Authorization": f"Bearer {credential}"} if credential else {}
    if task_grant is not None:
        headers["Ragward-Task-Grant"] = task_grant
    return {
        "base_url": base_url,
        "headers": headers,
        "timeout": timeout_seconds,
        "follow_redirects": False,  # a redirect must not carry credentials elsewhere
    }


def unreachable() -> UnavailableError:
    """For what httpx says when nobody answers; its own text may hold the URL."""
    return UnavailableError("the server cannot be reached", code="unavailable.catalog")


def pause(response: httpx.Response, attempt: int) -> float | None:
    """Seconds to wait before asking again; None to take the answer."""
    if response.status_code not in _RETRIED or attempt == TRIES:
        return None
    try:
        asked = float(response.headers.get("Retry-After", ""))
    except ValueError:
        asked = float(attempt)
    if not asked <= _LONGEST_WAIT_SECONDS:  # nor a number at all
        return None  # asking sooner than we were told would only be refused again
    return max(asked, 0.0)


def read(response: httpx.Response) -> Any:
    """The body, or the error it describes."""
    if response.is_success:
        return response.json() if response.content else None
    try:
        body = response.json()
        code, detail = str(body["code"]), str(body["detail"])
    except (ValueError, KeyError, TypeError):
        code, detail = "internal.error", f"HTTP {response.status_code}"
    raise _error(code, detail, response)


def _error(code: str, detail: str, response: httpx.Response) -> RagwardError:
    error = error_of(code, detail)
    retry = response.headers.get("Retry-After", "")
    if isinstance(error, LimitExceededError) and retry.isdigit():
        error.retry_after_seconds = int(retry)
    return error


# The requests. ------------------------------------------------------------------------------------------------------


def retrieve(request: RetrievalRequest | str, user_token: str | None) -> Call:
    """`POST /v1/retrieve`."""
    asked = RetrievalRequest(query=request) if isinstance(request, str) else request
    body = {
        "query": asked.query,
        "corpora": list(asked.corpora),
        "document_id": asked.document_id,
        "limit": asked.limit,
        "max_passages_per_document": asked.max_passages_per_document,
        "filters": dict(asked.filters) if asked.filters is not None else None,
        "minimize": asked.minimize and asked.minimize.value,
        "min_epoch": asked.min_epoch,
        "purpose": asked.purpose,
        "search": asked.search.value,
    }
    return Call(method="POST", path="/v1/retrieve", body=body, user_token=user_token)


def inspect(output: OutputToInspect, user_token: str | None) -> Call:
    """`POST /v1/outputs/inspect`."""
    body = {
        "receipt_id": output.receipt_id,
        "answer": output.answer,
        "citations": list(output.citations),
    }
    return Call(method="POST", path="/v1/outputs/inspect", body=body, user_token=user_token)


def ingest(
    corpus: str,
    source: str,
    data: bytes,
    granted: Sequence[str],
    classification: Classification,
    user_token: str | None,
    label: Mapping[str, Any],
) -> Call:
    """`POST /v1/documents`."""
    body = {
        "corpus": corpus,
        "source": source,
        "filename": source.rsplit("/", 1)[-1],
        "content_base64": base64.b64encode(data).decode(),
        "granted": list(granted),
        "classification": classification.name,
    } | dict(label)
    return Call(method="POST", path="/v1/documents", body=body, user_token=user_token)


def one_document(method: str, document_id: str, user_token: str | None) -> Call:
    """`GET` or `DELETE /v1/documents/{document_id}`."""
    return Call(method=method, path=f"/v1/documents/{_quoted(document_id)}", user_token=user_token)


def documents(
    corpus: str | None,
    state: str | None,
    page_token: str | None,
    limit: int,
    user_token: str | None,
) -> Call:
    """`GET /v1/documents`."""
    asked = {"corpus": corpus, "state": state, "page_token": page_token, "limit": str(limit)}
    query = {name: value for name, value in asked.items() if value is not None}
    return Call(method="GET", path="/v1/documents", query=query, user_token=user_token)


def source(
    root: str,
    manifest: str | None,
    folder: str | None,
    corpus: str | None,
    granted: Sequence[str],
    *,
    posix: bool,
    access_only: bool,
    gone: Gone,
) -> dict[str, Any]:
    """What a job reads."""
    how = {"root": root, "access_only": access_only, "gone": gone.value}
    if manifest is not None:
        return how | {"manifest": manifest}
    about = {"folder": folder, "corpus": corpus, "granted": list(granted), "posix": posix}
    return how | about


def start_job(
    source: Mapping[str, Any], idempotency_key: str | None, user_token: str | None
) -> Call:
    """`POST /v1/jobs`."""
    return Call(
        method="POST",
        path="/v1/jobs",
        body=dict(source),
        user_token=user_token,
        headers={"Idempotency-Key": idempotency_key} if idempotency_key else {},
    )


def job(job_id: str, user_token: str | None) -> Call:
    """`GET /v1/jobs/{job_id}`."""
    return Call(method="GET", path=f"/v1/jobs/{_quoted(job_id)}", user_token=user_token)


def cancel_job(job_id: str, user_token: str | None) -> Call:
    """`POST /v1/jobs/{job_id}/cancel`."""
    path = f"/v1/jobs/{_quoted(job_id)}/cancel"
    return Call(method="POST", path=path, user_token=user_token)


def retry_job(job_id: str, gone: Gone, user_token: str | None) -> Call:
    """`POST /v1/jobs/{job_id}/retry`."""
    path = f"/v1/jobs/{_quoted(job_id)}/retry"
    return Call(method="POST", path=path, body={"gone": gone.value}, user_token=user_token)


def _quoted(name: str) -> str:
    return quote(name, safe="")
