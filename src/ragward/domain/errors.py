"""Every error ragward raises, split by who has to act.

    RagwardError
    ├── RequestRefusedError       the caller: fix the request or ask for access
    │   ├── UnauthenticatedError      who asks is not proven
    │   ├── DeniedError               an operation is not permitted (never used for "this chunk exists")
    │   ├── NotFoundError             absent, or not yours: the two look the same
    │   ├── InvalidRequestError       malformed, out of bounds, unknown value
    │   ├── ConflictError             not in this state
    │   └── LimitExceededError        too much or too fast; carries `retry_after_seconds`
    ├── IntegrityError            page somebody: envelope, label binding, audit chain, model digest
    ├── UnavailableError          fail closed, retry: catalog, index, keys, audit
    └── ConfigurationError        refuses to start

Each carries a stable `code` (dotted, lower case) that clients may match on; `CODES` lists them all and the reference
documentation is held equal to it by a test. Messages never contain content, keys or another tenant's names.
"""

from __future__ import annotations

from typing import Final

from ragward.domain.rates import Rate

CODES: Final[dict[str, str]] = {
    # identity
    "auth.missing": "No credential was sent.",
    "auth.invalid": "The credential did not verify.",
    "auth.expired": "The credential has expired.",
    "auth.application_mismatch": "The user's token was not issued to this application.",
    "auth.step_up": "More proof of who asks, or a more recent one, is needed for this.",
    "auth.task_grant": "The task grant is unknown, over, revoked, or of somebody else's; or there has to be one.",
    "auth.subject_disabled": "The subject has been deactivated in the directory.",
    "auth.unbound": "The token is bound to its sender, and the proof of that is missing or does not fit.",
    # authorization
    "access.denied": "The operation is not permitted to this subject.",
    "access.origin": "The request's Host or Origin is none by which this is reached.",
    "access.epoch_not_reached": "The catalog has not come to the epoch that was asked for; try again.",
    "access.not_found": "It does not exist, or is not readable by this subject.",
    # requests
    "request.invalid": "A field is missing, malformed or out of bounds.",
    "request.too_large": "The request body is too large.",
    "request.filter_too_broad": "The attribute filter selects too many documents.",
    "query.empty": "The query is empty.",
    "query.too_long": "The query is too long.",
    "query.control_characters": "The query contains control characters.",
    "label.unknown_classification": "The classification is not one of the four.",
    "label.invalid": "An access label is malformed.",
    "principal.invalid": "A principal is malformed or has no prefix.",
    "policy.invalid": "A policy row, membership or model is not acceptable.",
    "policy.conflict": "The policy, or the proposal, is no longer the one this was based on.",
    "policy.second_person": "A second person has to decide on this proposal, in person.",
    "source.invalid": "The source is not a folder, manifest or URL that can be read.",
    "review.closed": "The review was decided already, or the document changed since.",
    "review.second_person": "A second person has to lower this classification, in person.",
    "source.many_gone": "So many documents are no longer at the source that somebody has to look, and confirm it (`gone`: `confirm`).",
    "manifest.invalid": "A manifest line is malformed.",
    # documents and jobs
    "document.unreadable": "The file could not be parsed.",
    "document.encrypted": "The file is protected by a password.",
    "document.too_large": "The file or its text is over the limit.",
    "document.empty": "The file has no text.",
    "document.binary": "The file is binary or of an unsupported format.",
    "document.timeout": "The parser was stopped at its time or memory limit.",
    "document.archive": "The file is an archive: its members are ingested by a job.",
    "document.path": "An archive's member has a path that leaves it, is not printable, is a link, or is there twice.",
    "document.loader": "The loader plug-in failed on the file.",
    "document.link": "The file is a link, or is reached through one: what it leads to is listed by its own name, or is outside.",
    "document.signature": "Its source has to sign what it brings, and this is not signed by it.",
    "document.quarantined": "The document waits for a steward.",
    "document.failed": "The document could not be ingested; nothing of it was kept.",
    "job.not_cancellable": "The job has already ended.",
    "job.not_repeatable": "The job still runs, or what it reads was not kept or is not reachable from here.",
    "catalog.exists": "It already exists.",
    "key.state": "The key version is not in a state for this.",
    # legal holds
    "hold.active": "A legal hold keeps it.",
    "hold.second_person": "A second person has to lift this hold, in person.",
    "hold.state": "The hold is lifted already.",
    # access for a time
    "elevation.not_requestable": "The role cannot be asked for, or not for so long.",
    "elevation.second_person": "Somebody else, who may, has to decide on this, in person.",
    "elevation.state": "The request is not in a state for this.",
    "elevation.unreviewed": "An emergency of this person waits for its review.",
    # restrictions
    "restriction.last_administrator": "It would leave nobody who may write the policy.",
    "restriction.second_person": "Somebody else has to release this restriction, in person.",
    "restriction.state": "The restriction has ended already.",
    # directory
    "directory.immutable": "The attribute cannot be changed once it is set.",
    "directory.version": "It was changed since the version the request names.",
    "pseudonym.invalid": "Not a pseudonym of this tenant, purpose and type.",
    # limits
    "limit.rate": "Too many requests.",
    "limit.concurrency": "Too many requests at the same time.",
    "limit.task_budget": "The task grant's token budget does not cover this answer.",
    "limit.exposure": "What this subject or agent may be shown of this classification in a day is used up.",
    "limit.time": "The request took longer than allowed.",
    # integrity
    "integrity.envelope": "Stored content did not verify.",
    "integrity.wrapped_key": "A wrapped key did not verify against its label and document.",
    "integrity.audit": "The audit log is not consistent.",
    "integrity.model": "A model file does not match the manifest.",
    "integrity.policy": "A stored policy version or proposal was edited.",
    "integrity.policy_root": "Policy, memberships, applications or the directory are not what was signed.",
    "integrity.keyring": "The keyring file is damaged.",
    "integrity.key_destroyed": "The key was destroyed; what was under it cannot be opened again.",
    "integrity.behaviour": "A stored account of what somebody does is damaged.",
    # availability
    "unavailable.alert": "Nobody could be alerted, so there is no emergency access.",
    "unavailable.catalog": "The catalog cannot be read or written.",
    "unavailable.egress": "This process may not connect to that host.",
    "unavailable.index": "The vector index cannot be reached.",
    "unavailable.keys": "The key provider cannot be reached.",
    "unavailable.limiter": "Requests cannot be counted now, and this classification is not answered uncounted.",
    "unavailable.workers": "The workers that read documents cannot be reached.",
    "unavailable.audit": "The audit log cannot be written, so nothing can be answered.",
    "unavailable.consistency": "Permissions kept changing while the answer was prepared.",
    "unavailable.policy": "The tenant's policy is not valid, so nothing can be decided.",
    "unavailable.policy_key": "This process does not hold the administration key that policy is signed with.",
    "unavailable.identity": "The identity provider's keys cannot be read.",
    "internal.error": "Something unexpected failed; it was logged under the request id.",
    # configuration
    "config.invalid": "A setting is missing, unknown or unsafe.",
    "config.policy_key": "The key that policy is signed with is missing or damaged: run `ragward policy sign`.",
    "config.passphrase": "The keyring's passphrase is wrong or missing.",
    "config.index_owned": "Another process owns the index.",
    "config.newer_version": "The data was written by a newer version.",
    "config.model_mismatch": "The index was built with another embedding model.",
    "config.generation": "There is no such generation of vectors, or it cannot do this now.",
    "config.not_initialised": "The catalog has not been initialised.",
    "config.already_initialised": "The catalog is initialised already.",
}


class RagwardError(Exception):
    """The root: `code` is one of `CODES`, `detail` is for people and holds no content."""

    default_code = "request.invalid"

    def __init__(self, detail: str = "", *, code: str | None = None) -> None:
        self.code = code or self.default_code
        if self.code not in CODES:
            raise ValueError(f"unknown error code {self.code!r}")
        self.detail = detail or CODES[self.code]
        super().__init__(f"{self.code}: {self.detail}")


class RequestRefusedError(RagwardError):
    """The caller has to act."""


class UnauthenticatedError(RequestRefusedError):
    default_code = "auth.invalid"


class StepUpRequiredError(UnauthenticatedError):
    """Who asks is known, but not well enough, or not recently enough (RFC 9470)."""

    default_code = "auth.step_up"

    def __init__(
        self,
        detail: str = "",
        *,
        code: str | None = None,
        acr_values: tuple[str, ...] = (),
        max_age: int | None = None,
        lacks: tuple[str, ...] = (),
    ) -> None:
        missing = f"missing: {', '.join(lacks)}" if lacks else ""
        super().__init__(detail or missing, code=code)
        self.acr_values, self.max_age, self.lacks = acr_values, max_age, lacks


class DeniedError(RequestRefusedError):
    default_code = "access.denied"


class NotFoundError(RequestRefusedError):
    default_code = "access.not_found"


class InvalidRequestError(RequestRefusedError):
    default_code = "request.invalid"


class ConflictError(RequestRefusedError):
    default_code = "catalog.exists"


class LimitExceededError(RequestRefusedError):
    default_code = "limit.rate"

    def __init__(
        self,
        detail: str = "",
        *,
        code: str | None = None,
        retry_after_seconds: int = 1,
        rates: tuple[Rate, ...] = (),
    ) -> None:
        super().__init__(detail, code=code)
        self.retry_after_seconds = retry_after_seconds
        self.rates = rates


class IntegrityError(RagwardError):
    """Something that was stored is not what was written: somebody has to be told."""

    default_code = "integrity.envelope"


class UnavailableError(RagwardError):
    """A part that is needed cannot be reached: refuse now, retry later."""

    default_code = "unavailable.catalog"


class ConfigurationError(RagwardError):
    """The process must not start, or the command must not run, like this."""

    default_code = "config.invalid"


_KINDS: Final[dict[str, type[RagwardError]]] = {
    "auth": UnauthenticatedError,
    "config": ConfigurationError,
    "integrity": IntegrityError,
    "internal": UnavailableError,
    "limit": LimitExceededError,
    "unavailable": UnavailableError,
}
_BY_CODE: Final[dict[str, type[RagwardError]]] = {
    "access.denied": DeniedError,
    "auth.step_up": StepUpRequiredError,
    "elevation.not_requestable": InvalidRequestError,
    "elevation.second_person": DeniedError,
    "elevation.state": ConflictError,
    "elevation.unreviewed": ConflictError,
    "access.epoch_not_reached": ConflictError,
    "access.not_found": NotFoundError,
    "catalog.exists": ConflictError,
    "hold.active": ConflictError,
    "hold.second_person": DeniedError,
    "hold.state": ConflictError,
    "job.not_cancellable": ConflictError,
    "job.not_repeatable": ConflictError,
    "key.state": ConflictError,
    "restriction.last_administrator": ConflictError,
    "restriction.second_person": DeniedError,
    "restriction.state": ConflictError,
    "review.closed": ConflictError,
    "review.second_person": DeniedError,
    "source.many_gone": ConflictError,
}


def error_of(code: str, detail: str) -> RagwardError:
    """The error that another process reported; a code of a newer version is `internal.error`."""
    if code not in CODES:
        code = "internal.error"
    kind = _BY_CODE.get(code) or _KINDS.get(code.partition(".")[0], InvalidRequestError)
    return kind(detail, code=code)
