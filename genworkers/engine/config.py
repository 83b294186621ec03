"""Sizes of the text engine. No tensors here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How much the text engine does at once.

    Args:
        num_slots: sequences on the device at the same time; each reserves a whole context of cache.
        prefill_chunk_tokens: a prompt is read in pieces of this many tokens.
        prefill_step_tokens: prompt tokens read between two steps of those who already write.
        max_waiting: requests that may wait for a slot before new ones are refused.

    Raises:
        ValueError: a size is below 1, or a chunk exceeds the step.
    """

    num_slots: int = 8
    prefill_chunk_tokens: int = 128
    prefill_step_tokens: int = 256
    max_waiting: int = 256

    def __post_init__(self) -> None:
        """Refuse sizes that cannot work."""
        for name in ("num_slots", "prefill_chunk_tokens", "prefill_step_tokens", "max_waiting"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.prefill_chunk_tokens > self.prefill_step_tokens:
            raise ValueError(
                f"prefill_chunk_tokens must be 1..{self.prefill_step_tokens}, got {self.prefill_chunk_tokens}"
            )
