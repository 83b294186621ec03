"""Who goes first on the device. First come, first served; everybody on the device moves each step. No tensors here."""

from collections import deque
from dataclasses import dataclass
from typing import Generic

from genworkers.engine.config import EngineConfig
from genworkers.engine.sequence import Sampling, TextSequence


@dataclass(frozen=True, slots=True)
class PromptChunk(Generic[Sampling]):
    """A piece of a prompt to read: positions start..end-1."""

    sequence: TextSequence[Sampling]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Plan(Generic[Sampling]):
    """The work of one step: first the chunks, then one token of each writer."""

    chunks: list[PromptChunk[Sampling]]
    writers: list[TextSequence[Sampling]]


class Scheduler(Generic[Sampling]):
    """Moves sequences from waiting into slots and out again, and plans each step.

    A chunk's borders depend on the prompt alone, never on who else is there: the same prompt is always
    computed in the same pieces.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._free_slots = list(range(config.num_slots - 1, -1, -1))
        self.waiting: deque[TextSequence[Sampling]] = deque()
        self.running: list[TextSequence[Sampling]] = []

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits and nobody runs."""
        return not self.waiting and not self.running

    @property
    def sequences(self) -> list[TextSequence[Sampling]]:
        """Everybody, those on the device first."""
        return [*self.running, *self.waiting]

    def add(self, sequence: TextSequence[Sampling]) -> None:
        """Queue a sequence behind those who came before."""
        self.waiting.append(sequence)

    def plan(self) -> Plan[Sampling]:
        """Admit who fits, then say what the next step does.

        At most `prefill_step_tokens` of prompts are read in a step, oldest first, so that a long prompt
        never holds up those who write.
        """
        while self.waiting and self._free_slots:
            sequence = self.waiting.popleft()
            sequence.slot = self._free_slots.pop()
            self.running.append(sequence)
        writers = [sequence for sequence in self.running if sequence.is_prefilled]
        chunks: list[PromptChunk[Sampling]] = []
        budget_tokens = self._config.prefill_step_tokens
        for sequence in self.running:
            start = sequence.num_read
            while start < len(sequence.prompt_ids):
                end = min(start + self._config.prefill_chunk_tokens, len(sequence.prompt_ids))
                if end - start > budget_tokens:
                    return Plan(chunks, writers)
                chunks.append(PromptChunk(sequence, start, end))
                budget_tokens -= end - start
                start = end
        return Plan(chunks, writers)

    def remove(self, sequence: TextSequence[Sampling]) -> None:
        """Forget a sequence that has ended, wherever it stands; its slot is free at once."""
        if sequence in self.running:
            self.running.remove(sequence)
            self._free_slots.append(sequence.slot)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
