"""One request on its way through the text engine: its tokens so far, its text, its end. No tensors here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

from genworkers.contract.events import TokenLogprob
from genworkers.engine.blocks import BlockTable
from genworkers.engine.ticket import Ticket

FinishReason: TypeAlias = Literal["stop", "length", "cancelled", "deadline"]
Draw = TypeVar("Draw")


@dataclass(frozen=True, slots=True)
class TextStep:
    """What one step of the engine adds to a text.

    Args:
        text: new text, possibly empty.
        num_tokens: tokens written so far.
        finish_reason: set on the last step.
        num_prompt_tokens: of the prompt as the net reads it.
        num_cached_tokens: those of them whose keys and values were there already.
        mark_strength: how strongly the text is marked so far, see `Trail.strength`; 0 without a mark.
        logprob: of the token written in this step, where the request asks for it. A token that is held back or cut
            away by a stop string is reported all the same.
    """

    text: str
    num_tokens: int
    finish_reason: FinishReason | None = None
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    mark_strength: float = 0.0
    logprob: TokenLogprob | None = None


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
        if not self._stops:
            return text
        pending = self._held + text
        hits = [at for stop in self._stops if (at := pending.find(stop)) >= 0]
        if hits:
            self.is_hit, self._held = True, ""
            return pending[: min(hits)]
        held = max(self._overlap(pending, stop) for stop in self._stops)
        self._held = pending[len(pending) - held :]
        return pending[: len(pending) - held]

    def flush(self) -> str:
        """What was held back in vain."""
        held, self._held = self._held, ""
        return held

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        """Length of the longest end of the text that is a beginning of the stop string."""
        at = text.find(stop[0], max(0, len(text) - len(stop) + 1))
        while at >= 0:
            if stop.startswith(text[at:]):
                return len(text) - at
            at = text.find(stop[0], at + 1)
        return 0


@dataclass(slots=True, eq=False)
class TextSequence(Generic[Draw]):
    """One row of the batch.

    Args:
        ids: the prompt as the net reads it; the written tokens are added to them.
        max_tokens: the most tokens to write.
        context_tokens: the most tokens that prompt and answer may have together.
        end_ids: the tokens that end an answer.
        draw: how the engine draws; opaque here.
        user: whose request it is; the device is shared fairly between users.
        arrival: the scheduler's number for it; who came later has a higher one.
        table: its blocks of the cache.
        num_read: tokens whose keys and values are in the cache.
        num_cached_tokens: of the prompt, found in the cache when the sequence was admitted first.
        mark_strength: of the text so far, told with each step.
    """

    ids: list[int]
    max_tokens: int
    context_tokens: int
    end_ids: frozenset[int]
    draw: Draw
    ticket: Ticket[TextStep]
    detokenizer: Detokenizer
    stops: StopStrings
    user: str = ""
    arrival: int = 0
    table: BlockTable = field(default_factory=BlockTable)
    num_read: int = 0
    num_cached_tokens: int = 0
    mark_strength: float = 0.0
    num_tokens: int = 0
    finish_reason: FinishReason | None = None
    num_prompt_tokens: int = field(init=False)

    def __post_init__(self) -> None:
        """Remember where the answer begins."""
        self.num_prompt_tokens = len(self.ids)

    @property
    def num_unread(self) -> int:
        """Tokens to read before the next one can be drawn; 1 for who writes."""
        return len(self.ids) - self.num_read

    @property
    def most_tokens(self) -> int:
        """How many positions of the cache it can come to need."""
        return min(self.num_prompt_tokens + self.max_tokens, self.context_tokens)

    def accept(self, token_id: int, logprob: TokenLogprob | None = None) -> None:
        """Take the next token, hand its text to the caller, and end if this was the last."""
        if token_id in self.end_ids:
            self.end("stop")
            return
        self.ids.append(token_id)
        self.num_tokens += 1
        text = self.stops.push(self.detokenizer.push(token_id))
        if self.stops.is_hit:
            self._finish(text, "stop", logprob)
        elif self.num_tokens >= self.max_tokens or len(self.ids) >= self.context_tokens:
            self._finish(text + self._rest(), "length", logprob)
        else:
            self._put(text, None, logprob)

    def end(self, reason: FinishReason) -> None:
        """End here and hand over the text that was held back."""
        self._finish(self._rest(), reason, None)

    def _rest(self) -> str:
        return self.stops.push(self.detokenizer.flush()) + self.stops.flush()

    def _put(self, text: str, reason: FinishReason | None, logprob: TokenLogprob | None) -> None:
        self.ticket.put(
            TextStep(
                text,
                self.num_tokens,
                reason,
                self.num_prompt_tokens,
                self.num_cached_tokens,
                self.mark_strength,
                logprob,
            )
        )

    def _finish(self, text: str, reason: FinishReason, logprob: TokenLogprob | None) -> None:
        self.finish_reason = reason
        self._put(text, reason, logprob)
        self.ticket.finish(reason)
