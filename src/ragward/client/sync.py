"""The client for ordinary code."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from ragward.client import calls, results
from ragward.client.results import DocumentInfo, DocumentPage, JobInfo
from ragward.client.retrievers import unportable
from ragward.domain.jobs import Gone, ItemResult
from ragward.domain.labels import Classification
from ragward.domain.outputs import InspectedOutput, OutputToInspect
from ragward.domain.passages import Answer, RetrievalRequest


class RagwardClient:
    """The client for ordinary code. Use it as a context manager, or close it. Thread-safe.

    `credential` is the application's API key or token. Without one it is a public client: each call's `user_token` is all
    that is sent, and a call without is `auth.missing`. `task_grant` is the secret of the task grant that an agent works under: a
    client for each task. Errors are those of `ragward.domain.errors`, by the code the server
    sent; a server that cannot be reached is `UnavailableError`.
    """

    def __init__(
        self,
        base_url: str,
        credential: str | None = None,
        *,
        timeout_seconds: float = 30,
        task_grant: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._for_application = credential is not None
        self._http = httpx.Client(
            **calls.settings(base_url, credential, timeout_seconds, task_grant), transport=transport
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

    def __reduce__(self) -> str:
        raise unportable(self)

    def close(self) -> None:
        """Releases the connections."""
        self._http.close()

    def retrieve(self, request: RetrievalRequest | str, *, user_token: str | None = None) -> Answer:
        """What this asker may know, with a receipt."""
        return results.answer_of(self._send(calls.retrieve(request, user_token)))

    def inspect_output(
        self, output: OutputToInspect, *, user_token: str | None = None
    ) -> InspectedOutput:
        """What of a model's answer may be shown to whoever got its receipt."""
        return results.inspected_of(self._send(calls.inspect(output, user_token)))

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
        call = calls.ingest(corpus, source, data, granted, classification, user_token, label)
        return results.item_of(self._send(call))

    def document(self, document_id: str, *, user_token: str | None = None) -> DocumentInfo:
        """One document. Raises `NotFoundError`, absent or not readable."""
        return results.document_of(self._send(calls.one_document("GET", document_id, user_token)))

    def documents(
        self,
        *,
        corpus: str | None = None,
        state: str | None = None,
        page_token: str | None = None,
        limit: int = 100,
        user_token: str | None = None,
    ) -> DocumentPage:
        """The documents that this asker may know of, by corpus and source; `state` is active, quarantined or gone."""
        call = calls.documents(corpus, state, page_token, limit, user_token)
        return results.page_of(self._send(call))

    def delete(self, document_id: str, *, user_token: str | None = None) -> None:
        """Deletes a document."""
        self._send(calls.one_document("DELETE", document_id, user_token))

    def start_job(
        self,
        *,
        root: str,
        manifest: str | None = None,
        folder: str | None = None,
        corpus: str | None = None,
        granted: Sequence[str] = (),
        posix: bool = False,
        access_only: bool = False,
        gone: Gone = Gone.ASK,
        idempotency_key: str | None = None,
        user_token: str | None = None,
    ) -> JobInfo:
        """Begins to ingest what a manifest on the server lists, or what a folder holds: of that, `corpus` and either
        `granted` or `posix` hold for every file. `access_only` reads no document, only who may read them. `gone` says what
        is done about documents that are no longer there: `source.many_gone` asks for `Gone.CONFIRM`."""
        source = calls.source(
            root,
            manifest,
            folder,
            corpus,
            granted,
            posix=posix,
            access_only=access_only,
            gone=gone,
        )
        return results.job_of(self._send(calls.start_job(source, idempotency_key, user_token)))

    def job(self, job_id: str, *, user_token: str | None = None) -> JobInfo:
        """How far a job is."""
        return results.job_of(self._send(calls.job(job_id, user_token)))

    def cancel_job(self, job_id: str, *, user_token: str | None = None) -> JobInfo:
        """Ends a job after the document it is at."""
        return results.job_of(self._send(calls.cancel_job(job_id, user_token)))

    def retry_job(
        self, job_id: str, *, gone: Gone = Gone.ASK, user_token: str | None = None
    ) -> JobInfo:
        """A new job that reads what an ended one read; what that had done is found unchanged. Raises `job.not_repeatable`."""
        return results.job_of(self._send(calls.retry_job(job_id, gone, user_token)))

    def _send(self, call: calls.Call) -> Any:
        arguments = call.arguments(for_application=self._for_application)
        for attempt in range(1, calls.TRIES + 1):
            try:
                response = self._http.request(**arguments)
            except httpx.HTTPError:
                response = None  # the error itself holds the request, and that the tokens
            if response is None:
                raise calls.unreachable()
            pause = calls.pause(response, attempt)
            if pause is None:
                return calls.read(response)
            time.sleep(pause)
        raise AssertionError("unreachable: the last attempt has no pause")
