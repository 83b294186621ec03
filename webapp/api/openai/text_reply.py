"""A text job in OpenAI's words: its transcript as one whole answer, or as the chunks of a stream."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any
from uuid import UUID

from webapp.api.openai.answers import Form, WholeText
from webapp.api.openai.generation import sse
from webapp.api.openai.model_list import fingerprint
from webapp.api.openai.transcript import Delta, Transcript
from webapp.api.openai.translation import Call


class TextReply:
    """How one text job is told.

    Args:
        job: its snapshot as JSON.
        is_kept: the job goes on when the reader leaves.
    """

    def __init__(self, call: Call, form: Form, job: dict[str, Any], *, is_kept: bool) -> None:
        self._call, self._form, self._job = call, form, job
        self._transcript = Transcript(UUID(job["id"]), call.request.num_texts, is_kept=is_kept)
        self._fingerprint = fingerprint(call.request.net, call.request.adapter)
        self._wholes = [WholeText(index) for index in range(call.request.num_texts)]

    def pieces(self) -> AsyncGenerator[Delta | None, None]:
        """Everything new, in order; None when nothing has happened.

        Raises:
            AppError: the job came to no good end.
        """
        return self._transcript.deltas()

    def add(self, piece: Delta) -> None:
        """Put a piece to the whole answer."""
        self._wholes[piece.index].add(piece)

    def whole(self) -> dict[str, Any]:
        """The answer, once every piece was added."""
        has_logprobs = self._call.request.num_logprobs is not None
        return self._head(self._form.object) | {
            "choices": [self._form.choice(whole, has_logprobs=has_logprobs) for whole in self._wholes],
            "usage": self._usage(),
        }

    def opening(self) -> list[str]:
        """What a stream says before the first piece."""
        openings = [self._form.opening(whole.index) for whole in self._wholes]
        return [self._chunk([opening]) for opening in openings if opening is not None]

    def event(self, piece: Delta) -> str:
        """One piece as a stream tells it."""
        return self._chunk([self._form.piece(piece)])

    def closing(self) -> list[str]:
        """What a stream says after the last piece."""
        return [self._chunk([], self._usage())] if self._call.has_usage_chunk else []

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> str:
        counts = {"usage": usage} if self._call.has_usage_chunk else {}
        return sse(self._head(self._form.chunk_object) | {"choices": choices} | counts)

    def _head(self, object_name: str) -> dict[str, Any]:
        return {
            "id": self._form.id_prefix + self._job["id"],
            "object": object_name,
            "created": int(datetime.fromisoformat(self._job["created_at"]).timestamp()),
            "model": self._call.model,
            "system_fingerprint": self._fingerprint,
        }

    def _usage(self) -> dict[str, int]:
        prompt, completion = self._transcript.num_prompt_tokens, self._transcript.num_completion_tokens
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
