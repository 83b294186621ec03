"""Sizes of the text engine. No tensors here."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Precision: TypeAlias = Literal["float32", "bfloat16", "int8"]


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How much the text engine holds and how much it does at once.

    Args:
        memory_budget_bytes: what the weights and caches of all loaded nets may take together.
        cache_bytes: keys and values of one net; it gets more where this holds less than one whole context, and
            less where the budget does not allow it.
        block_tokens: positions in one block of the cache, a multiple of 16; a prefix is shared in whole blocks.
        max_running: sequences of one net that write or are being read at the same time.
        step_tokens: tokens of one step, those of prompts and those being written together. More reads prompts
            faster; fewer lets everybody else wait less for them.
        max_waiting: requests that one user may have waiting for one net before the next is refused.
        precision: of the weights, and of the cache, which is "bfloat16" under "int8". Nets stored in bfloat16 lose
            nothing in "bfloat16".
        num_threads: of a decoder on the CPU; 0 takes torch's number.

    Raises:
        ValueError: a size is out of range.
    """

    memory_budget_bytes: int = 4 * 2**30
    cache_bytes: int = 256 * 2**20
    block_tokens: int = 16
    max_running: int = 64
    step_tokens: int = 128
    max_waiting: int = 256
    precision: Precision = "bfloat16"
    num_threads: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes that cannot work."""
        for name in ("memory_budget_bytes", "cache_bytes", "max_running", "max_waiting"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.block_tokens < 1 or self.block_tokens % 16:
            raise ValueError(f"block_tokens must be a multiple of 16, got {self.block_tokens}")
        if self.step_tokens < self.max_running:
            raise ValueError(f"step_tokens must be at least max_running {self.max_running}, got {self.step_tokens}")
        if self.num_threads < 0:
            raise ValueError(f"num_threads must be 0 or more, got {self.num_threads}")
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, got {self.precision!r}")
