"""Serving a decoder: pieces of many sequences in, logits out, keys and values kept in blocks of a shared cache.

Which block belongs to whom is decided above (`engine/blocks.py`); nothing here knows requests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from genworkers.nets.decoder import DecoderConfig


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens of one sequence to read next: a chunk of a prompt, or the one token written last.

    Args:
        ids: the tokens at positions start..start+len(ids)-1, at least one.
        start: how many tokens of the sequence the cache holds already.
        blocks: the sequence's cache blocks in order; position p lies in blocks[p // block_tokens]. They hold
            at least start + len(ids) positions, and no two pieces of one call share a block that is written to.
        wants_logits: whether the logits after the piece's last token are asked for.
        adapter: name of a LoRA adapter of this net, or "" for none.
    """

    ids: Sequence[int]
    start: int
    blocks: Sequence[int]
    wants_logits: bool = True
    adapter: str = ""


class PagedDecoder(Protocol):
    """A decoder with a paged cache on one device.

    The promise that all of serving rests on: the numbers of a piece never depend on the other pieces of the
    call, nor on how its sequence was cut into pieces. So a text is the same alone and in company, from a warm
    prefix and a cold one, and after it was preempted.
    """

    config: DecoderConfig
    num_blocks: int
    block_tokens: int

    @property
    def weights_bytes(self) -> int:
        """Memory that the weights take on the device."""

    @property
    def cache_bytes(self) -> int:
        """Memory that the cache of all blocks takes on the device."""

    def add_adapter(self, name: str, tensors: dict[str, Tensor], scale: float) -> None:
        """Make a LoRA adapter known: `y += scale * B(A(x))` at the linear layers that it names.

        Args:
            tensors: `{module path}.lora_A` (rank, in) and `{module path}.lora_B` (out, rank).
            scale: alpha / rank.

        Raises:
            ValueError: a path is not a linear layer of this net, or a shape does not fit.
        """

    def read(self, pieces: Sequence[Piece]) -> Tensor:
        """Read the pieces into the cache.

        Args:
            pieces: of different sequences, or consecutive chunks of one in order.

        Returns:
            (M, V) float32 logits on the CPU, one row for each piece that wants them, in order.

        Raises:
            ValueError: a position lies outside the context, or a block outside the cache.
        """
