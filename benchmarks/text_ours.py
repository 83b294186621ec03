"""Our side of the text benchmark: the bare paged decoder, and the engine as the workers serve it."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from genworkers.contract.text import TextRequest
from genworkers.engine.config import EngineConfig, Precision
from genworkers.engine.loading import Checkpoints, paged_decoder
from genworkers.engine.sequence import TextStep
from genworkers.engine.text_engine import TextEngine
from genworkers.engine.ticket import Ticket
from genworkers.nets.paged_decoder import Piece
from genworkers.text_checkpoints import open_text_checkpoint

Ids = list[int]
DEADLINE_S = 600.0
POLL_S = 60.0


class BareWriter:
    """The decoder alone, greedy, one sequence."""

    def __init__(self, folder: Path, precision: Precision, num_threads: int) -> None:
        checkpoint = open_text_checkpoint(folder)
        config = EngineConfig(precision=precision, num_threads=num_threads)
        num_blocks = -(-checkpoint.config.context_tokens // config.block_tokens)
        self._decoder = paged_decoder(checkpoint, num_blocks, config)
        self._blocks = range(num_blocks)
        self._step_tokens = config.step_tokens
        self.weights_bytes = self._decoder.weights_bytes

    def write(self, prompt: Ids, num_tokens: int) -> Ids:
        """Exactly so many tokens after the prompt."""
        written = [self.read(prompt)]
        while len(written) < num_tokens:
            written.append(self._next(written[-1:], len(prompt) + len(written) - 1))
        return written

    def read(self, prompt: Ids) -> int:
        """The likeliest token after a prompt, which is read in steps as long as the engine's."""
        token = 0
        for start in range(0, len(prompt), self._step_tokens):
            token = self._next(prompt[start : start + self._step_tokens], start)
        return token

    def _next(self, ids: Ids, start: int) -> int:
        return int(self._decoder.read([Piece(ids, start, self._blocks)])[0].argmax())


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request of a crowd, so many seconds after the first."""

    at_s: float
    prompt: str
    num_tokens: int


@dataclass(frozen=True, slots=True)
class CrowdTiming:
    """How a crowd was served.

    Args:
        total_s: from the first arrival to the last token of the last request.
        first_token_s: what each request waited for its first token.
    """

    total_s: float
    first_token_s: list[float]


class EngineWriter:
    """The text engine with one net, asked through `submit` like by the workers' tasks."""

    def __init__(self, folder: Path, precision: Precision, num_threads: int) -> None:
        config = EngineConfig(precision=precision, num_threads=num_threads)
        self._name = folder.name
        self._engine = TextEngine(Checkpoints({folder.name: folder}.get, lambda _: {}, config), config)
        self._engine.start()
        self._engine.load(self._name)

    def close(self) -> None:
        """Stop the thread and free net and cache."""
        self._engine.close()

    def submit(self, prompt: str, num_tokens: int, *, is_greedy: bool = True, user: str = "bench") -> Ticket[TextStep]:
        """Ask for exactly so many tokens; not greedy means drawn with the settings that the studio starts with."""
        request = TextRequest(
            prompt=prompt,
            format="raw",
            net=self._name,
            max_tokens=num_tokens,
            temperature=0.0 if is_greedy else TextRequest.model_fields["temperature"].default,
        )
        return self._engine.submit(request, seed=1, deadline_s=DEADLINE_S, user=user)

    def write(self, prompt: str, num_tokens: int, *, is_greedy: bool = True) -> str:
        """The text of exactly so many tokens."""
        ticket = self.submit(prompt, num_tokens, is_greedy=is_greedy)
        steps: list[TextStep] = []
        while not ticket.is_done:
            steps += ticket.read(POLL_S)
        _check(steps, num_tokens)
        return "".join(step.text for step in steps)

    def serve(self, arrivals: Sequence[Arrival]) -> CrowdTiming:
        """Send each request at its time, each from a thread of its own like the workers' tasks, and read all."""
        first_token_s = [0.0] * len(arrivals)
        began = time.perf_counter()

        def ask(index: int, arrival: Arrival) -> None:
            time.sleep(max(0.0, began + arrival.at_s - time.perf_counter()))
            sent_s = time.perf_counter()
            ticket = self.submit(arrival.prompt, arrival.num_tokens, user=f"user-{index}")
            steps = ticket.read(POLL_S)
            first_token_s[index] = time.perf_counter() - sent_s
            while not ticket.is_done:
                steps += ticket.read(POLL_S)
            _check(steps, arrival.num_tokens)

        with ThreadPoolExecutor(len(arrivals)) as threads:
            asked = [threads.submit(ask, index, arrival) for index, arrival in enumerate(arrivals)]
            for one in asked:
                one.result()
        return CrowdTiming(time.perf_counter() - began, first_token_s)


def _check(steps: Sequence[TextStep], num_tokens: int) -> None:
    """A text that ended early would make the engine look fast."""
    if steps[-1].num_tokens != num_tokens:
        raise RuntimeError(f"{num_tokens} tokens were asked for, {steps[-1].num_tokens} came")


def poisson_arrivals(lengths: Sequence[int], prompts: Sequence[str], mean_gap_s: float, seed: int) -> list[Arrival]:
    """Requests whose gaps are drawn from an exponential distribution; the first comes at once."""
    generator = torch.Generator().manual_seed(seed)
    gaps = torch.empty(len(lengths)).exponential_(1 / mean_gap_s, generator=generator)
    at_s = (gaps.cumsum(0) - gaps[0]).tolist()
    return [Arrival(at, prompt, num_tokens) for at, prompt, num_tokens in zip(at_s, prompts, lengths, strict=True)]
