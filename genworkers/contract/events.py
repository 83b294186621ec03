"""What a worker tells of a job while it runs, and how it ended."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from genworkers.contract.base import Strict


class Queued(Strict):
    """The job waits for a worker; `attempt` counts the runs before."""

    kind: Literal["queued"] = "queued"
    attempt: int = 0
    reason: str = ""


class Started(Strict):
    """A worker holds the job. Whatever an earlier attempt showed is void."""

    kind: Literal["started"] = "started"
    attempt: int
    num_steps: int
    seed: int


class TokenLogprob(Strict):
    """One written token: its `token_text`, its log-probability in nats, and the likeliest tokens in its place."""

    token: str
    logprob: float
    top: list[tuple[str, float]] = Field(default_factory=list)


class TextPiece(Strict):
    """The next words of one text of the job, in order; each text's last piece has a `finish_reason`.

    `num_tokens` counts from the start of this attempt.
    """

    kind: Literal["text"] = "text"
    index: int = 0
    text: str
    num_tokens: int
    num_prompt_tokens: int = 0
    finish_reason: str = ""
    logprobs: list[TokenLogprob] = Field(default_factory=list)


class Preview(Strict):
    """One picture after one step, small, as a data URL; undecided tiles are transparent."""

    kind: Literal["preview"] = "preview"
    index: int
    step: int
    num_steps: int
    num_decided: int
    num_tiles: int
    image: str


class Stored(Strict):
    """An artifact is in the gallery."""

    kind: Literal["stored"] = "stored"
    artifact_id: str
    index: int


class Succeeded(Strict):
    """The job ended and everything it made is in the gallery."""

    kind: Literal["succeeded"] = "succeeded"


class Failed(Strict):
    """The job ended without a result; `message` says why and what to do."""

    kind: Literal["failed"] = "failed"
    code: str
    message: str


class Cancelled(Strict):
    """Somebody with the right to do so stopped the job."""

    kind: Literal["cancelled"] = "cancelled"


class Expired(Strict):
    """The deadline passed before the job was done."""

    kind: Literal["expired"] = "expired"


class Blocked(Strict):
    """A rule of the workspace refused the prompt or the result; nothing was kept."""

    kind: Literal["blocked"] = "blocked"
    message: str


class Held(Strict):
    """The result waits for a reviewer; it is stored but not shown."""

    kind: Literal["held"] = "held"
    message: str


JobEvent: TypeAlias = Annotated[
    Queued | Started | TextPiece | Preview | Stored | Succeeded | Failed | Cancelled | Expired | Blocked | Held,
    Field(discriminator="kind"),
]
JOB_EVENT: TypeAdapter[JobEvent] = TypeAdapter(JobEvent)
FINAL_EVENT_KINDS = frozenset({"succeeded", "failed", "cancelled", "expired", "blocked", "held"})
