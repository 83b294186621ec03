"""One request on its way through the text engine: its tokens so far, its text, its end. No tensors here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

from genworkers.engine.ticket import Ticket

FinishReason: TypeAlias = Literal["stop", "length", "cancelled", "deadline"]
Sampling = TypeVar("Sampling")


@dataclass(frozen=True, slots=True)
class TextStep:
    """What one step of the engine adds to a text.

    Args:
        text: new text, possibly empty.
        num_tokens: tokens written so far.
        finish_reason: set on the last step.
    """

    text: str
    num_tokens: int
    finish_reason: FinishReason | None = None


class Detokenizer(Protocol):
    """Turns token ids into text one at a time."""

    def push(self, token_id: int) -> str:
        """Text that is certain after this id."""

    def flush(self) -> str:
        """Text that still waited for more bytes."""


class StopStrings:
    """Cuts a growing text before the first stop string, wherever token borders fall.

    Text that may still become a stop string is held back.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.is_hit = False

    def push(self, text: str) -> str:
        """New text in, text that may be shown out; nothing after a hit."""
        if self.is_hit:
            return ""
        pending = self._held + text
        hits = [at for stop in self._stops if (at := pending.find(stop)) >= 0]
        if hits:
            self.is_hit, self._held = True, ""
            return pending[: min(hits)]
        held = max((self._overlap(pending, stop) for stop in self._stops), default=0)
        self._held = pending[len(pending) - held :]
        return pending[: len(pending) - held]

    def flush(self) -> str:
        """What was held back in vain."""
        held, self._held = self._held, ""
        return held

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        """Length of the longest end of the text that is a beginning of the stop string."""
        return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)


@dataclass(slots=True, eq=False)
class TextSequence(Generic[Sampling]):
    """One row of the batch.

    Args:
        prompt_ids: in chat format.
        max_tokens: the most tokens to write.
        context_tokens: the most tokens that prompt and answer may have together.
        end_id: the token that ends an answer.
        seed: of the draws.
        sampling: how the engine draws; opaque here.
    """

    prompt_ids: Sequence[int]
    max_tokens: int
    context_tokens: int
    end_id: int
    seed: int
    sampling: Sampling
    ticket: Ticket[TextStep]
    detokenizer: Detokenizer
    stops: StopStrings
    slot: int = -1
    num_read: int = 0
    last_token: int = -1
    num_tokens: int = 0
    finish_reason: FinishReason | None = None

    @property
    def is_prefilled(self) -> bool:
        """Whether the whole prompt has been read."""
        return self.num_read >= len(self.prompt_ids)

    def accept(self, token_id: int) -> None:
        """Take the next token, hand its text to the caller, and end if this was the last."""
        if token_id == self.end_id:
            self.end("stop")
            return
        self.last_token = token_id
        self.num_tokens += 1
        text = self.stops.push(self.detokenizer.push(token_id))
        if self.stops.is_hit:
            self._finish(text, "stop")
        elif self.num_tokens >= self.max_tokens or len(self.prompt_ids) + self.num_tokens >= self.context_tokens:
            self._finish(text + self._rest(), "length")
        else:
            self.ticket.put(TextStep(text, self.num_tokens))

    def end(self, reason: FinishReason) -> None:
        """End here and hand over the text that was held back."""
        self._finish(self._rest(), reason)

    def _rest(self) -> str:
        return self.stops.push(self.detokenizer.flush()) + self.stops.flush()

    def _finish(self, text: str, reason: FinishReason) -> None:
        self.finish_reason = reason
        self.ticket.put(TextStep(text, self.num_tokens, reason))
        self.ticket.finish(reason)
