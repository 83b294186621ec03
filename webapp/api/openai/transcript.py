"""What a job writes, as pieces that never repeat: the job's own event log, made into the deltas of its texts.

A job that another worker starts again writes the same words (its seed is fixed), so what was handed out is skipped.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import UUID

from channels.db import database_sync_to_async

from genworkers.contract.events import TextPiece, TokenLogprob
from webapp.api.openai import envelope
from webapp.api.openai.listening import Ending, Event, Gap, heard
from webapp.errors import not_found
from webapp.gallery import selectors as gallery
from webapp.gallery.models import Artifact, ArtifactFile


@dataclass(frozen=True)
class Delta:
    """What is new of one text; `finish_reason` is set in its last one.

    `token_offset` is where the first of `logprobs` starts in the text, in characters.
    """

    index: int
    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    token_offset: int = 0
    finish_reason: str = ""
    refusal: str = ""


@dataclass
class _Text:
    """One text: what was handed out, and how far the present attempt has come."""

    index: int
    sent: str = ""
    num_logprobs_sent: int = 0
    token_offset: int = 0
    num_chars: int = 0
    num_logprobs: int = 0
    num_tokens: int = 0
    finish_reason: str = ""

    def restart(self) -> None:
        self.num_chars = self.num_logprobs = self.num_tokens = 0
        self.finish_reason = ""

    def take(self, piece: TextPiece) -> Delta:
        """What this piece adds to what was handed out.

        Raises:
            AppError: job_diverged.
        """
        known = self.sent[self.num_chars : self.num_chars + len(piece.text)]
        if not piece.text.startswith(known):
            raise envelope.diverged()
        fresh = piece.logprobs[max(0, self.num_logprobs_sent - self.num_logprobs) :]
        delta = Delta(self.index, piece.text[len(known) :], tuple(fresh), self.token_offset)
        self.num_chars += len(piece.text)
        self.num_logprobs += len(piece.logprobs)
        self.num_tokens = piece.num_tokens
        self.finish_reason = piece.finish_reason
        self.sent += delta.text
        self.num_logprobs_sent += len(fresh)
        self.token_offset += sum(len(entry.token) for entry in fresh)
        return delta

    def take_whole(self, kept: "_Kept") -> Delta:
        """What the kept result adds to what was handed out.

        Raises:
            AppError: job_diverged.
        """
        if not kept.text.startswith(self.sent):
            raise envelope.diverged()
        delta = Delta(self.index, kept.text[len(self.sent) :])
        self.sent = kept.text
        self.num_tokens, self.finish_reason = kept.num_tokens, kept.finish_reason or "stop"
        return delta


@dataclass(frozen=True)
class _Kept:
    text: str
    num_tokens: int
    finish_reason: str


_EMPTY = _Kept("", 0, "stop")  # of several texts, one without a word is not kept


@dataclass
class Transcript:
    """The texts of one job as they come into being.

    Args:
        is_kept: the job goes on when the reader leaves.
    """

    job_id: UUID
    num_texts: int
    is_kept: bool
    num_prompt_tokens: int = 0
    _texts: list[_Text] = field(init=False)
    _has_gap: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._texts = [_Text(index) for index in range(self.num_texts)]

    @property
    def num_completion_tokens(self) -> int:
        """Tokens written so far, over all texts."""
        return sum(text.num_tokens for text in self._texts)

    async def deltas(self) -> AsyncGenerator[Delta | None, None]:
        """Everything new, in order, each text's last one with its `finish_reason`; None when nothing has happened.

        Raises:
            AppError: the job failed, expired, was cancelled, or was started again and wrote something else.
        """
        async with aclosing(heard(self.job_id, is_kept=self.is_kept)) as happenings:
            async for happening in happenings:
                match happening:
                    case None:
                        yield None
                    case Gap():
                        self._has_gap = True
                    case Ending():
                        for delta in await self._last_deltas(happening):
                            yield delta
                    case event:
                        for delta in self._read(event):
                            yield delta

    def _read(self, event: Event) -> list[Delta]:
        if self._has_gap:
            return []  # the kept result tells the rest
        if event["kind"] == "started":
            for text in self._texts:
                text.restart()
        if event["kind"] != "text":
            return []
        piece = TextPiece.model_validate(event, strict=False)
        self.num_prompt_tokens = piece.num_prompt_tokens or self.num_prompt_tokens
        delta = self._texts[piece.index].take(piece)
        return [delta] if delta.text or delta.logprobs else []

    async def _last_deltas(self, ending: Ending) -> list[Delta]:
        if ending.status == "succeeded":
            return await self._finished()
        if ending.status in ("blocked", "held"):
            reason = ending.message
            return [Delta(text.index, finish_reason="content_filter", refusal=reason) for text in self._texts]
        if ending.code == "nothing_written":  # to OpenAI's programs an empty text is an answer
            return [Delta(text.index, finish_reason="stop") for text in self._texts]
        raise ending.error()

    async def _finished(self) -> list[Delta]:
        late: list[Delta] = []
        if self._has_gap or not all(text.finish_reason for text in self._texts):
            kept = await database_sync_to_async(_kept_texts)(self.job_id)
            if not kept:
                raise not_found("text")
            late = [text.take_whole(kept.get(text.index, _EMPTY)) for text in self._texts]
        return late + [Delta(text.index, finish_reason=text.finish_reason) for text in self._texts]


def _kept_texts(job_id: UUID) -> dict[int, _Kept]:
    found = {}
    for artifact in Artifact.objects.filter(job_id=job_id, status=Artifact.Status.KEPT).prefetch_related("files"):
        with gallery.open_file(artifact, ArtifactFile.Role.ORIGINAL) as file:
            text: bytes = file.read()
        found[artifact.index] = _Kept(text.decode(), artifact.num_tokens or 0, artifact.finish_reason)
    return found
