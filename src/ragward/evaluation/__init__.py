"""The PDP's face for other enforcement points (AuthZEN 1.0): may somebody do something, and who, what, on what.

Nothing is read here but labels and ids; content never passes. Who holds `access:evaluate` on the tenant may ask about
everybody and everything in it. Without it one may ask about oneself only, and gets the answers one would get by acting:
through the same application and agents, and about nothing that one may not know of. Denied, absent, deleted and another
tenant's are one and the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Final

from ragward.domain.access import REVEAL_PREFIX, Action, Context, Subject
from ragward.domain.audit import EventType
from ragward.domain.errors import DeniedError, InvalidRequestError, RequestRefusedError
from ragward.domain.evaluation import (
    Malformed,
    PageRequest,
    Question,
    ResourceName,
    ResourceType,
    ResultPage,
    Semantic,
    SubjectName,
    Verdict,
    digest_of,
    handling_obligations,
    step_up_obligation,
)
from ragward.domain.labels import administrative
from ragward.domain.tokens import PageToken, bearer_of
from ragward.evaluation.asking import Asking, EvaluationPorts, Target, is_about_content

__all__ = ["MAX_EVALUATIONS", "MAX_PAGE", "Evaluation", "EvaluationPorts"]

MAX_EVALUATIONS: Final = 500
MAX_PAGE: Final = 1000
_DEFAULT_PAGE: Final = 100


class Evaluation:
    """Answers questions about access. Thread-safe."""

    def __init__(self, ports: EvaluationPorts) -> None:
        self._ports = ports

    # Questions. -----------------------------------------------------------------------------------------------------

    def evaluate(self, caller: Subject, question: Question) -> Verdict:
        """The answer to one question.

        Raises `access.denied`, `limit.*`, and `request.invalid`, `label.*`, `principal.invalid` for a label that is none.
        """
        with self._asked(caller) as asking:
            asking.require_about(question.subject)
            verdict = self._verdict(asking, question)
            self._record(asking, "evaluation", digest_of(question), 1, int(verdict.decision))
            return verdict

    def evaluate_all(
        self, caller: Subject, questions: Sequence[Question | Malformed], semantic: Semantic
    ) -> list[Verdict]:
        """The answers in the order of the questions, up to the one that ends the batch; what is malformed is denied by itself.

        Raises `access.denied`, `limit.*`, and `request.invalid` for more than MAX_EVALUATIONS.
        """
        with self._asked(caller) as asking:
            if len(questions) > MAX_EVALUATIONS:
                raise InvalidRequestError(f"at most {MAX_EVALUATIONS} evaluations in one request")
            for question in questions:
                if isinstance(question, Question):
                    asking.require_about(question.subject)
            verdicts: list[Verdict] = []
            for question in questions:
                verdicts.append(self._verdict_or_error(asking, question))
                if semantic.ends_with(verdicts[-1].decision):
                    break
            permitted = sum(verdict.decision for verdict in verdicts)
            digest = digest_of(semantic, questions)
            self._record(asking, "evaluations", digest, len(verdicts), permitted)
            return verdicts

    # Searches. ------------------------------------------------------------------------------------------------------

    def search_subjects(
        self,
        caller: Subject,
        subject_type: str,
        action: str,
        resource: ResourceName,
        page: PageRequest,
    ) -> ResultPage:
        """Ids of the subjects of this type that may do it; for those who may ask about everybody. Raises as `evaluate`."""
        with self._asked(caller) as asking:
            if not asking.unrestricted:
                raise DeniedError
            target = asking.resolve(resource)
            prefix = f"{subject_type}:{caller.tenant}/"

            def found(after: str, _size: int) -> Iterator[str]:
                for name in asking.known_ids(subject_type):
                    if name > after and asking.permits(prefix + name, action, target):
                        yield name

            digest = digest_of("subject", subject_type, action, resource)
            return self._page(asking, "search.subject", digest, page, found)

    def search_resources(
        self,
        caller: Subject,
        subject: SubjectName,
        action: str,
        resource_type: str,
        page: PageRequest,
    ) -> ResultPage:
        """Ids of the documents, or names of the corpora, on which the subject may do it. Raises as `evaluate`.

        Nothing of another type is ever found: a chunk is found by its document, and labels are not things.
        """
        with self._asked(caller) as asking:
            asking.require_about(subject)
            labels = asking.permitted_labels(subject.principal(caller.tenant), action)

            def found(after: str, size: int) -> Iterator[str]:
                if resource_type == ResourceType.DOCUMENT:
                    yield from asking.document_ids(labels.keys(), action, after=after, limit=size)
                elif resource_type == ResourceType.CORPUS:
                    for corpus in sorted({label.corpus for label in labels.values()}):
                        own = {i for i, label in labels.items() if label.corpus == corpus}
                        if corpus > after and any(asking.document_ids(own, action)):
                            yield corpus

            digest = digest_of("resource", subject, action, resource_type)
            return self._page(asking, "search.resource", digest, page, found)

    def search_actions(
        self, caller: Subject, subject: SubjectName, resource: ResourceName, page: PageRequest
    ) -> ResultPage:
        """Names of the actions that the subject may do on the resource. Raises as `evaluate`."""
        with self._asked(caller) as asking:
            asking.require_about(subject)
            target, principal = asking.resolve(resource), subject.principal(caller.tenant)

            def found(after: str, _size: int) -> Iterator[str]:
                for action in sorted(map(str, self._ports.actions)):
                    if action > after and asking.permits(principal, action, target):
                        yield action

            digest = digest_of("action", subject, resource)
            return self._page(asking, "search.action", digest, page, found)

    # Who may ask. ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _asked(self, caller: Subject) -> Iterator[Asking]:
        """Counts the request in and out; a refusal is recorded."""
        ports = self._ports
        ports.limiter.acquire(caller)
        try:
            context = Context(now=ports.clock.now())
            yield Asking(
                ports=ports,
                caller=caller,
                context=context,
                unrestricted=self._may_ask_about_others(caller, context),
                epoch=ports.catalog.epoch(caller.tenant),  # before any decision: never newer
            )
        except RequestRefusedError as refused:
            details = {"action": Action.ACCESS_EVALUATE.value, "code": refused.code}
            decision = "deny" if isinstance(refused, DeniedError) else "refused"
            ports.recorder.record(EventType.REQUEST_REFUSED, caller, decision, details)
            raise
        finally:
            ports.limiter.release(caller)

    def _may_ask_about_others(self, caller: Subject, context: Context) -> bool:
        label, pdp = administrative(caller.tenant), self._ports.pdp
        if not caller.is_application_alone:
            return pdp.decide(caller, Action.ACCESS_EVALUATE, label, context)
        # An enforcement point asks in its own name. That an application alone gets PUBLIC only is about content, and no
        # content leaves here; it must still be one through which everything may pass.
        return caller.application.admits(label) and pdp.decide_for(
            caller.tenant, caller.principal, Action.ACCESS_EVALUATE, label, context
        )

    # Answers. -------------------------------------------------------------------------------------------------------

    def _verdict_or_error(self, asking: Asking, question: Question | Malformed) -> Verdict:
        if isinstance(question, Malformed):
            return Verdict(decision=False, error=question.detail)
        try:
            return self._verdict(asking, question)
        except InvalidRequestError as malformed:
            return Verdict(decision=False, error=malformed.detail)

    def _verdict(self, asking: Asking, question: Question) -> Verdict:
        caller, action = asking.caller, question.action
        principal, found = (
            question.subject.principal(caller.tenant),
            asking.resolve(question.resource),
        )
        if principal is None or not asking.permits(principal, action, found):
            reason = asking.explained(principal, action, found)
            wanted = asking.step_up(principal, action, found)
            demanded = (step_up_obligation(wanted),) if wanted is not None else ()
            return Verdict(decision=False, reason=reason, obligations=demanded)
        token = self._ports.epoch_tokens.issue(caller.tenant, asking.epoch)
        if not isinstance(found, Target) or not is_about_content(action):
            return Verdict(decision=True, epoch_token=token)
        hidden = frozenset(
            kind
            for kind in self._ports.entity_types
            if not asking.may(principal, f"{REVEAL_PREFIX}{kind}", found.label)
        )
        profile = self._ports.handling[found.label.classification]
        obligations = handling_obligations(profile, hidden)
        return Verdict(decision=True, epoch_token=token, obligations=obligations)

    def _page(
        self,
        asking: Asking,
        kind: str,
        query: str,
        page: PageRequest,
        found: Callable[[str, int], Iterable[str]],
    ) -> ResultPage:
        """One page of what `found(after, size)` yields in order. Raises `request.invalid` for a token of another search."""
        key, bearer = self._ports.keyring.mac_key("page-token"), bearer_of(asking.caller)
        limit = _DEFAULT_PAGE if page.limit is None else page.limit
        start = PageToken(query=query, after="", limit=limit)
        if page.untrusted_token:
            start = PageToken.verified(page.untrusted_token, key, bearer)
            if start.query != query or page.limit not in (None, start.limit):
                raise InvalidRequestError("the page token is of another search")
        size = min(start.limit, MAX_PAGE)
        ids = list(islice(found(start.after, size + 1), size + 1))
        more, ids = len(ids) > size, ids[:size]
        self._record(asking, kind, query, 1, len(ids))
        last = replace(start, after=ids[-1]) if ids else start
        return ResultPage(ids=tuple(ids), next_token=last.signed(key, bearer) if more else "")

    def _record(
        self, asking: Asking, kind: str, digest: str, questions: int, permitted: int
    ) -> None:
        """One event for a whole request: what was asked by its digest, and how much of it was permitted."""
        details = {
            "kind": kind,
            "question": digest,
            "questions": questions,
            "permitted": permitted,
            "epoch": asking.epoch,
        }
        decision = "permit" if permitted else "deny"
        self._ports.recorder.record(EventType.ACCESS_EVALUATED, asking.caller, decision, details)
