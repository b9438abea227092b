"""A typed client of the REST API, sync and async: the same requests, answers and errors as in process.

The application's own credential is given once; the person it asks for comes with each call. Nothing is kept between calls.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from ragward.domain.assurance import Lack, StepUp
from ragward.domain.errors import LimitExceededError, RagwardError, UnavailableError, error_of
from ragward.domain.jobs import ItemOutcome, ItemResult
from ragward.domain.labels import Classification
from ragward.domain.marking import Trust
from ragward.domain.outputs import InspectedOutput, Outcome, OutputToInspect
from ragward.domain.passages import Answer, Cut, Passage, Receipt, RetrievalRequest

_TRIES: Final = 3
_LONGEST_WAIT_SECONDS: Final = 10.0
_RETRIED: Final = (429, 503)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentInfo:
    """What the API says of a document."""

    document_id: str
    version: int
    corpus: str
    source: str
    title: str
    state: str
    media_type: str
    classification: str
    compartments: Sequence[str]
    attributes: Mapping[str, str | int | float | bool]
    chunks: int
    created_at: int
    gone_since: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPage:
    """Documents, and what to ask for next with; None at the end."""

    documents: Sequence[DocumentInfo]
    next_page_token: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """How far an ingest job is; `errors` lists failed and quarantined items, `notes` those that went in with a remark."""

    job_id: str
    state: str
    total: int
    done: int
    counts: Mapping[str, int]
    errors: Sequence[ItemResult]
    notes: Sequence[ItemResult]
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One request, before it is known which kind of client sends it."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    user_token: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        headers = dict(self.headers)
        if self.user_token is not None:
            headers["X-Ragward-User-Authorization"] = f"Bearer {self.user_token}"
        return {
            "method": self.method,
            "url": self.path,
            "json": self.body,
            "headers": headers,
            "params": dict(self.query),
        }


class RagwardClient:
    """The client for ordinary code. Use it as a context manager, or close it.

    `credential` is the application's or agent's API key or token; for public clients, the person's token. `task_grant` is the
    secret of the task grant that an agent works under: a client for each task. Errors are those of
    `ragward.domain.errors`, by the code the server sent; a server that cannot be reached is `UnavailableError`.
    """

    def __init__(
        self,
        base_url: str,
        credential: str,
        *,
        timeout_seconds: float = 30,
        task_grant: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            **_settings(base_url, credential, timeout_seconds, task_grant), transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Releases the connections."""
        self._http.close()

    def retrieve(self, request: RetrievalRequest | str, *, user_token: str | None = None) -> Answer:
        """What this asker may know, with a receipt."""
        return _answer(self._send(_retrieve(request, user_token)))

    def inspect_output(
        self, output: OutputToInspect, *, user_token: str | None = None
    ) -> InspectedOutput:
        """What of a model's answer may be shown to whoever got its receipt."""
        return _inspected(self._send(_inspect(output, user_token)))

    def ingest(
        self,
        *,
        corpus: str,
        source: str,
        data: bytes,
        granted: Sequence[str],
        classification: Classification = Classification.CONFIDENTIAL,
        user_token: str | None = None,
        **label: Any,
    ) -> ItemResult:
        """Puts one document in. `label` takes compartments, denied, valid_from, valid_until, attributes, filename."""
        call = _ingest(corpus, source, data, granted, classification, user_token, label)
        return _item(self._send(call))

    def document(self, document_id: str, *, user_token: str | None = None) -> DocumentInfo:
        """One document. Raises `NotFoundError`, absent or not readable."""
        return DocumentInfo(
            **self._send(_Call(method="GET", path=_document(document_id), user_token=user_token))
        )

    def documents(
        self,
        *,
        corpus: str | None = None,
        state: str | None = None,
        page_token: str | None = None,
        limit: int = 100,
        user_token: str | None = None,
    ) -> DocumentPage:
        """The documents that this asker may know of, by corpus and source."""
        call = _list(corpus, state, page_token, limit, user_token)
        return _page(self._send(call))

    def delete(self, document_id: str, *, user_token: str | None = None) -> None:
        """Deletes a document."""
        self._send(_Call(method="DELETE", path=_document(document_id), user_token=user_token))

    def start_job(
        self,
        *,
        root: str,
        manifest: str | None = None,
        folder: str | None = None,
        corpus: str | None = None,
        granted: Sequence[str] = (),
        posix: bool = False,
        idempotency_key: str | None = None,
        user_token: str | None = None,
    ) -> JobInfo:
        """Begins to ingest what a manifest on the server lists, or what a folder holds: of that, `corpus` and either
        `granted` or `posix` hold for every file."""
        source = _source(root, manifest, folder, corpus, granted, posix=posix)
        return _job(self._send(_start_job(source, idempotency_key, user_token)))

    def job(self, job_id: str, *, user_token: str | None = None) -> JobInfo:
        """How far a job is."""
        call = _Call(method="GET", path=f"/v1/jobs/{_quoted(job_id)}", user_token=user_token)
        return _job(self._send(call))

    def cancel_job(self, job_id: str, *, user_token: str | None = None) -> JobInfo:
        """Ends a job after the document it is at."""
        path = f"/v1/jobs/{_quoted(job_id)}/cancel"
        return _job(self._send(_Call(method="POST", path=path, user_token=user_token)))

    def _send(self, call: _Call) -> Any:
        for attempt in range(1, _TRIES + 1):
            try:
                response = self._http.request(**call.arguments())
            except httpx.HTTPError as error:
                raise UnavailableError(
                    "the server cannot be reached", code="unavailable.catalog"
                ) from error
            pause = _pause(response, attempt)
            if pause is None:
                return _read(response)
            time.sleep(pause)
        raise AssertionError("unreachable: the last attempt has no pause")


class AsyncRagwardClient:
    """The client for asyncio; the same methods, awaited."""

    def __init__(
        self,
        base_url: str,
        credential: str,
        *,
        timeout_seconds: float = 30,
        task_grant: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            **_settings(base_url, credential, timeout_seconds, task_grant), transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Releases the connections."""
        await self._http.aclose()

    async def retrieve(
        self, request: RetrievalRequest | str, *, user_token: str | None = None
    ) -> Answer:
        """What this asker may know, with a receipt."""
        return _answer(await self._send(_retrieve(request, user_token)))

    async def inspect_output(
        self, output: OutputToInspect, *, user_token: str | None = None
    ) -> InspectedOutput:
        """What of a model's answer may be shown to whoever got its receipt."""
        return _inspected(await self._send(_inspect(output, user_token)))

    async def ingest(
        self,
        *,
        corpus: str,
        source: str,
        data: bytes,
        granted: Sequence[str],
        classification: Classification = Classification.CONFIDENTIAL,
        user_token: str | None = None,
        **label: Any,
    ) -> ItemResult:
        """Puts one document in. `label` takes compartments, denied, valid_from, valid_until, attributes, filename."""
        call = _ingest(corpus, source, data, granted, classification, user_token, label)
        return _item(await self._send(call))

    async def document(self, document_id: str, *, user_token: str | None = None) -> DocumentInfo:
        """One document. Raises `NotFoundError`, absent or not readable."""
        call = _Call(method="GET", path=_document(document_id), user_token=user_token)
        return DocumentInfo(**await self._send(call))

    async def documents(
        self,
        *,
        corpus: str | None = None,
        state: str | None = None,
        page_token: str | None = None,
        limit: int = 100,
        user_token: str | None = None,
    ) -> DocumentPage:
        """The documents that this asker may know of, by corpus and source."""
        call = _list(corpus, state, page_token, limit, user_token)
        return _page(await self._send(call))

    async def delete(self, document_id: str, *, user_token: str | None = None) -> None:
        """Deletes a document."""
        await self._send(_Call(method="DELETE", path=_document(document_id), user_token=user_token))

    async def start_job(
        self,
        *,
        root: str,
        manifest: str | None = None,
        folder: str | None = None,
        corpus: str | None = None,
        granted: Sequence[str] = (),
        posix: bool = False,
        idempotency_key: str | None = None,
        user_token: str | None = None,
    ) -> JobInfo:
        """Begins to ingest what a manifest on the server lists, or what a folder holds: of that, `corpus` and either
        `granted` or `posix` hold for every file."""
        source = _source(root, manifest, folder, corpus, granted, posix=posix)
        return _job(await self._send(_start_job(source, idempotency_key, user_token)))

    async def job(self, job_id: str, *, user_token: str | None = None) -> JobInfo:
        """How far a job is."""
        call = _Call(method="GET", path=f"/v1/jobs/{_quoted(job_id)}", user_token=user_token)
        return _job(await self._send(call))

    async def cancel_job(self, job_id: str, *, user_token: str | None = None) -> JobInfo:
        """Ends a job after the document it is at."""
        path = f"/v1/jobs/{_quoted(job_id)}/cancel"
        return _job(await self._send(_Call(method="POST", path=path, user_token=user_token)))

    async def _send(self, call: _Call) -> Any:
        for attempt in range(1, _TRIES + 1):
            try:
                response = await self._http.request(**call.arguments())
            except httpx.HTTPError as error:
                raise UnavailableError(
                    "the server cannot be reached", code="unavailable.catalog"
                ) from error
            pause = _pause(response, attempt)
            if pause is None:
                return _read(response)
            await asyncio.sleep(pause)
        raise AssertionError("unreachable: the last attempt has no pause")


# What both have in common. ------------------------------------------------------------------------------------------


def _settings(
    base_url: str, credential: str, timeout_seconds: float, task_grant: str | None
) -> dict[str, Any]:
    task = {} if task_grant is None else {"Ragward-Task-Grant": task_grant}
    return {
        "base_url": base_url,
        "headers": {"Authorization": f"Bearer {credential}"} | task,
        "timeout": timeout_seconds,
        "follow_redirects": False,  # a redirect must not carry credentials elsewhere
    }


def _retrieve(request: RetrievalRequest | str, user_token: str | None) -> _Call:
    asked = RetrievalRequest(query=request) if isinstance(request, str) else request
    body = {
        "query": asked.query,
        "corpora": list(asked.corpora),
        "limit": asked.limit,
        "max_passages_per_document": asked.max_passages_per_document,
        "filters": dict(asked.filters) if asked.filters is not None else None,
        "minimize": asked.minimize and asked.minimize.value,
        "min_epoch": asked.min_epoch,
        "purpose": asked.purpose,
        "search": asked.search.value,
    }
    return _Call(method="POST", path="/v1/retrieve", body=body, user_token=user_token)


def _inspect(output: OutputToInspect, user_token: str | None) -> _Call:
    body = {
        "receipt_id": output.receipt_id,
        "answer": output.answer,
        "citations": list(output.citations),
    }
    return _Call(method="POST", path="/v1/outputs/inspect", body=body, user_token=user_token)


def _ingest(
    corpus: str,
    source: str,
    data: bytes,
    granted: Sequence[str],
    classification: Classification,
    user_token: str | None,
    label: Mapping[str, Any],
) -> _Call:
    body = {
        "corpus": corpus,
        "source": source,
        "filename": source.rsplit("/", 1)[-1],
        "content_base64": base64.b64encode(data).decode(),
        "granted": list(granted),
        "classification": classification.name,
    } | dict(label)
    return _Call(method="POST", path="/v1/documents", body=body, user_token=user_token)


def _source(
    root: str,
    manifest: str | None,
    folder: str | None,
    corpus: str | None,
    granted: Sequence[str],
    *,
    posix: bool,
) -> dict[str, Any]:
    if manifest is not None:
        return {"root": root, "manifest": manifest}
    about = {"folder": folder, "corpus": corpus, "granted": list(granted), "posix": posix}
    return {"root": root} | about


def _start_job(
    source: Mapping[str, Any], idempotency_key: str | None, user_token: str | None
) -> _Call:
    return _Call(
        method="POST",
        path="/v1/jobs",
        body=dict(source),
        user_token=user_token,
        headers={"Idempotency-Key": idempotency_key} if idempotency_key else {},
    )


def _list(
    corpus: str | None,
    state: str | None,
    page_token: str | None,
    limit: int,
    user_token: str | None,
) -> _Call:
    asked = {"corpus": corpus, "state": state, "page_token": page_token, "limit": str(limit)}
    query = {name: value for name, value in asked.items() if value is not None}
    return _Call(method="GET", path="/v1/documents", query=query, user_token=user_token)


def _document(document_id: str) -> str:
    return f"/v1/documents/{_quoted(document_id)}"


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _pause(response: httpx.Response, attempt: int) -> float | None:
    """Seconds to wait before asking again; None to take the answer."""
    if response.status_code not in _RETRIED or attempt == _TRIES:
        return None
    try:
        asked = float(response.headers.get("Retry-After", ""))
    except ValueError:
        asked = float(attempt)
    return min(max(asked, 0.0), _LONGEST_WAIT_SECONDS)


def _read(response: httpx.Response) -> Any:
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


def _answer(body: Mapping[str, Any]) -> Answer:
    passages = tuple(
        Passage(
            **{name: value for name, value in item.items() if name != "marked_text"}
            | {
                "classification": Classification.parse(item["classification"]),
                "trust": Trust(item["trust"]),
                "cut": _cut(item["cut"]),
            }
        )
        for item in body["passages"]
    )
    return Answer(
        passages=passages,
        receipt=Receipt(**body["receipt"]),
        classification=Classification.parse(body["classification"]),
        near_duplicates_removed=body["near_duplicates_removed"],
        not_answering_removed=body["not_answering_removed"],
        query_flags=tuple(body["query_flags"]),
        stage_seconds={},
        step_up=_step_up(body.get("step_up")),
    )


def _step_up(body: Mapping[str, Any] | None) -> StepUp | None:
    if body is None:
        return None
    lacks = frozenset(map(Lack, body["lacks"]))
    return StepUp(acr_values=tuple(body["acr_values"]), max_age=body["max_age"], lacks=lacks)


def _cut(body: Mapping[str, Any]) -> Cut:
    ranges = tuple((start, end) for start, end in body["ranges"])
    return Cut(sentences=body["sentences"], tokens=body["tokens"], ranges=ranges)


def _inspected(body: Mapping[str, Any]) -> InspectedOutput:
    changed = {
        "outcome": Outcome(body["outcome"]),
        "flags": tuple(body["flags"]),
        "unknown_citations": tuple(body["unknown_citations"]),
        "classification": Classification.parse(body["classification"]),
    }
    return InspectedOutput(**(dict(body) | changed))


def _item(body: Mapping[str, Any]) -> ItemResult:
    return ItemResult(**(dict(body) | {"outcome": ItemOutcome(body["outcome"])}))


def _page(body: Mapping[str, Any]) -> DocumentPage:
    found = [DocumentInfo(**item) for item in body["documents"]]
    return DocumentPage(documents=found, next_page_token=body["next_page_token"])


def _job(body: Mapping[str, Any]) -> JobInfo:
    told = {name: [_item(item) for item in body[name]] for name in ("errors", "notes")}
    return JobInfo(**(dict(body) | told))
