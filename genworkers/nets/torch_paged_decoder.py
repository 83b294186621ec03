"""A decoder with a paged cache in plain torch: for GPUs, and for CPUs without a compiler.

`PagedDecoder` says what it promises. It is kept by shapes that never change: rows go through the net in groups of a
fixed number, and a row attends over a number of positions that its own position alone decides.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genworkers.nets.decoder import Block, Decoder, DecoderConfig
from genworkers.nets.paged_checks import check_cache, check_pieces, checked_tensors, low_rank_pairs, tensor_shapes
from genworkers.nets.paged_decoder import Piece

SHORTEST_SPAN = 64  # positions


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that go through the net together; the first `num_rows` are real, the others fill it up.

    Args:
        ids: (G,) int64.
        positions: (G,) int64.
        slots: (num_rows,) where the rows' keys and values go.
        spans: for each number of positions that is looked at: the rows that do and, (their number, positions),
            the slots of their keys and which of them they may see. All are filled up to G rows.
        adapters: name of each row's adapter.
    """

    ids: Tensor
    positions: Tensor
    num_rows: int
    slots: Tensor
    spans: list[tuple[list[int], Tensor, Tensor]]
    adapters: list[str]


class TorchPagedDecoder:
    """Serves a decoder with torch. Not for several threads at a time.

    Args:
        tensors: every parameter under its name in `Decoder`, as a mapping or one by one.
        num_blocks: of the cache.
        block_tokens: positions in a block.
        dtype: of weights and cache.
        device: of weights and cache.

    Raises:
        ValueError: a size is out of range, a tensor is missing, unknown or has another shape.
    """

    def __init__(
        self,
        config: DecoderConfig,
        tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]],
        *,
        num_blocks: int,
        block_tokens: int = 16,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        check_cache(num_blocks, block_tokens, 1)
        self.config = config
        self.num_blocks = num_blocks
        self.block_tokens = block_tokens
        self._device = torch.device(device)
        self._group_rows = 8 if self._device.type == "cpu" else 32
        self._shapes = tensor_shapes(config)
        with torch.device("meta"):
            self._net = Decoder(config)
        for name, tensor in checked_tensors(self._shapes, tensors):
            parent, _, own_name = name.rpartition(".")
            own = nn.Parameter(tensor.detach().to(self._device, dtype, copy=True), requires_grad=False)
            setattr(self._net.get_submodule(parent), own_name, own)
        self._net.fill_tables()
        self._net.to(self._device)
        # One slot more than there are positions stays zero: rows look there instead of beyond their end.
        shape = (config.num_layers, num_blocks * block_tokens + 1, config.num_kv_heads, config.head_width)
        self._keys = torch.zeros(shape, dtype=dtype, device=self._device)
        self._values = torch.zeros_like(self._keys)
        self._adapters: dict[str, dict[str, tuple[Tensor, Tensor, float]]] = {}
        self._hooked: set[str] = set()
        self._present: Group | None = None

    @property
    def weights_bytes(self) -> int:
        """Memory that the weights take, adapters included."""
        pairs = [pair for layers in self._adapters.values() for pair in layers.values()]
        tensors = [*self._net.parameters(), *(tensor for pair in pairs for tensor in pair[:2])]
        return sum(tensor.nbytes for tensor in tensors)

    @property
    def cache_bytes(self) -> int:
        """Memory that the cache of all blocks takes."""
        return self._keys.nbytes + self._values.nbytes

    def add_adapter(self, name: str, tensors: dict[str, Tensor], scale: float) -> None:
        """See `PagedDecoder`."""
        if not name or name in self._adapters:
            raise ValueError(f"the adapter {name!r} exists already")
        pairs = low_rank_pairs(self._shapes, tensors)
        dtype = self._keys.dtype
        self._adapters[name] = {
            path: (first.to(self._device, dtype), second.to(self._device, dtype), scale)
            for path, (first, second) in pairs.items()
        }
        for path in sorted(pairs.keys() - self._hooked):
            self._net.get_submodule(path).register_forward_hook(partial(self._add_low_rank, path))
            self._hooked.add(path)

    @torch.inference_mode()
    def read(self, pieces: Sequence[Piece]) -> Tensor:
        """See `PagedDecoder`."""
        check_pieces(pieces, self.config, self.num_blocks, self.block_tokens, self._adapters)
        rows = [(piece, i) for piece in pieces for i in range(len(piece.ids))]
        hidden = []  # of the rows whose logits are wanted, (D) each
        for begin in range(0, len(rows), self._group_rows):
            some = rows[begin : begin + self._group_rows]
            read = self._read_group(self._group(some))
            hidden += [
                read[row] for row, (piece, i) in enumerate(some) if piece.wants_logits and i == len(piece.ids) - 1
            ]
        logits = torch.empty(len(hidden), self.config.vocab_size)
        for begin in range(0, len(hidden), self._group_rows):
            wanted = hidden[begin : begin + self._group_rows]
            filled = torch.stack(wanted + wanted[:1] * (self._group_rows - len(wanted)))
            logits[begin : begin + len(wanted)] = self._net.head(filled)[: len(wanted)]
        return logits

    def _group(self, rows: list[tuple[Piece, int]]) -> Group:
        """Say to the device where the rows are and what they see."""
        positions = [piece.start + i for piece, i in rows]
        spans: dict[int, list[int]] = defaultdict(list)
        for row, position in enumerate(positions):
            spans[self._span(position)].append(row)
        seen = []
        for span, members in spans.items():
            filled = members + members[:1] * (self._group_rows - len(members))
            slots = [self._slots(rows[row][0], positions[row] + 1, span) for row in filled]
            may_see = [[at <= positions[row] for at in range(span)] for row in filled]
            seen.append((members, self._tensor(slots), self._tensor(may_see)))
        num_filled = self._group_rows - len(rows)
        return Group(
            ids=self._tensor([piece.ids[i] for piece, i in rows] + [0] * num_filled),
            positions=self._tensor(positions + [0] * num_filled),
            num_rows=len(rows),
            slots=self._tensor([self._slot(piece, piece.start + i) for piece, i in rows]),
            spans=seen,
            adapters=[piece.adapter for piece, _ in rows] + [""] * num_filled,
        )

    def _tensor(self, numbers: object) -> Tensor:
        return torch.tensor(numbers, device=self._device)

    def _span(self, position: int) -> int:
        """How many positions a row there looks at: the next power of two, at most the context."""
        return min(self.config.context_tokens, max(SHORTEST_SPAN, 1 << position.bit_length()))

    def _slot(self, piece: Piece, position: int) -> int:
        return piece.blocks[position // self.block_tokens] * self.block_tokens + position % self.block_tokens

    def _slots(self, piece: Piece, num_seen: int, span: int) -> list[int]:
        return [self._slot(piece, at) for at in range(num_seen)] + [self._keys.shape[1] - 1] * (span - num_seen)

    def _read_group(self, group: Group) -> Tensor:
        """(G, D) normalised last residual stream."""
        self._present = group
        net, ids = self._net, group.ids[:, None]  # (G, 1)
        angles = net.angles(group.positions[:, None, None])  # (G, 1, 1, head_width/2)
        if angles is not None:
            angles = angles[0].to(self._keys.dtype), angles[1].to(self._keys.dtype)
        x = net.embedded(ids, group.positions[:, None])  # (G, 1, D)
        for layer, block in enumerate(net.blocks):
            block = cast(Block, block)
            queries, keys, values = block.attention.project(block.attention_norm(x), angles, ids)
            self._keys[layer, group.slots] = keys[: group.num_rows, :, 0]
            self._values[layer, group.slots] = values[: group.num_rows, :, 0]
            attended = torch.zeros_like(queries)  # (G, num_heads, 1, head_width)
            for members, slots, may_see in group.spans:
                filled = members + members[:1] * (self._group_rows - len(members))
                mixed = block.attention.attend(
                    queries[filled],
                    self._keys[layer, slots].transpose(1, 2),  # (G, num_kv_heads, span, head_width)
                    self._values[layer, slots].transpose(1, 2),
                    may_see[:, None, None],
                )
                attended[members] = mixed[: len(members)]
            x = x + block.attention.finish(attended)
            x = x + block.mlp(block.mlp_norm(x))
        last: Tensor = net.final_norm(x[:, 0])
        return last

    def _add_low_rank(self, path: str, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        """After a linear layer: what the rows' adapters add to it; computed for all rows, kept for their own."""
        assert self._present is not None
        for name in sorted(set(self._present.adapters) & self._adapters.keys()):
            if path in self._adapters[name]:
                first, second, scale = self._adapters[name][path]
                is_its = self._tensor([adapter == name for adapter in self._present.adapters])[:, None, None]
                added = F.linear(F.linear(inputs[0], first), second) * scale
                output = torch.where(is_its, output + added, output)
        return output
