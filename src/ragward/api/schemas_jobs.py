"""What jobs take and tell over REST."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from ragward.api.schemas import ItemModel, Name, Principal, Strict
from ragward.domain.errors import InvalidRequestError
from ragward.domain.jobs import Gone, JobRecord, SourceRequest

GoneChoice = Literal["ask", "confirm", "keep"]


class JobRequest(Strict):
    """A manifest, or a folder, below one of the installation's named roots.

    Of a folder, `corpus` and either `granted` or `posix` hold for every file in it."""

    root: str = Field(min_length=1, max_length=100)
    manifest: str | None = Field(None, min_length=1, max_length=500)
    folder: str | None = Field(
        None, min_length=1, max_length=500, description="`.` is the root itself."
    )
    corpus: Name | None = None
    granted: list[Principal] = Field(default_factory=list, max_length=1000)
    posix: bool = Field(
        False, description="Each file is readable by whom its owner and mode let read."
    )
    access_only: bool = Field(
        False, description="Only access lists are read and applied; no document is."
    )
    gone: GoneChoice = Field(
        "ask",
        description="Documents that are no longer there are marked, and suspiciously many are a 409; `confirm` marks however many, `keep` none.",
    )

    def source(self) -> SourceRequest:
        """As the domain has it. Raises `request.invalid`."""
        if (self.manifest is None) == (self.folder is None):
            raise InvalidRequestError("give either a manifest or a folder")
        return SourceRequest(
            location=self.manifest or self.folder or "",
            is_manifest=self.manifest is not None,
            corpus=self.corpus,
            granted=tuple(self.granted),
            posix=self.posix,
            root=self.root,
            access_only=self.access_only,
            gone=Gone(self.gone),
        )


class RetryRequest(Strict):
    """How to run it again."""

    gone: GoneChoice = Field("ask", description="As for a new job; `ask` is as it was before.")


class JobModel(BaseModel):
    """How far a job is."""

    job_id: str
    state: str
    total: int
    done: int
    counts: dict[str, int]
    errors: list[ItemModel] = Field(description="What failed or waits in quarantine.")
    notes: list[ItemModel] = Field(
        description="What went in with a remark, such as names of an access list that nobody has."
    )
    created_at: int
    updated_at: int

    @classmethod
    def of(cls, job: JobRecord) -> JobModel:
        """From the domain's."""
        return cls(
            job_id=job.job_id,
            state=job.state.value,
            total=job.total,
            done=job.done,
            counts=dict(job.counts),
            errors=[ItemModel.of(item) for item in job.errors],
            notes=[ItemModel.of(item) for item in job.notes],
            created_at=job.created_at,
            updated_at=job.updated_at,
        )


class JobLine(BaseModel):
    """A job in a list."""

    job_id: str
    state: str
    requested_by: str
    total: int
    done: int
    counts: dict[str, int]
    created_at: int
    updated_at: int

    @classmethod
    def of(cls, job: JobRecord) -> JobLine:
        """From the domain's."""
        return cls(
            job_id=job.job_id,
            state=job.state.value,
            requested_by=job.requested_by,
            total=job.total,
            done=job.done,
            counts=dict(job.counts),
            created_at=job.created_at,
            updated_at=job.updated_at,
        )


class JobList(BaseModel):
    """Jobs, the newest first."""

    jobs: list[JobLine]
