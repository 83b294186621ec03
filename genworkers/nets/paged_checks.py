"""What paged decoders refuse: tensors that do not fit the net, pieces outside the cache, adapters of another net."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from genworkers.nets.decoder import Decoder, DecoderConfig
from genworkers.nets.paged_decoder import Piece

MOST_RANK = 512


def tensor_shapes(config: DecoderConfig) -> dict[str, torch.Size]:
    """Shape of every parameter of such a decoder, under its name."""
    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in Decoder(config).state_dict().items()}


def checked_tensors(
    shapes: Mapping[str, torch.Size], tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]
) -> Iterator[tuple[str, Tensor]]:
    """The tensors one by one.

    Raises:
        ValueError: one is unknown, comes twice or has another shape; or, at the end, some are missing.
    """
    missing = set(shapes)
    for name, tensor in tensors.items() if isinstance(tensors, Mapping) else tensors:
        if name not in missing:
            raise ValueError(f"tensor {name!r} is unknown or comes twice")
        missing.remove(name)
        if tensor.shape != shapes[name]:
            raise ValueError(f"tensor {name!r} must have shape {list(shapes[name])}, got {list(tensor.shape)}")
        yield name, tensor
    if missing:
        raise ValueError(f"tensors are missing: {sorted(missing)}")


def check_cache(num_blocks: int, block_tokens: int, unit_tokens: int) -> None:
    """Refuse a cache of no blocks, or blocks that are not whole units.

    Raises:
        ValueError: with the value and the allowed range.
    """
    if num_blocks < 1:
        raise ValueError(f"num_blocks must be at least 1, got {num_blocks}")
    if block_tokens < 1 or block_tokens % unit_tokens:
        raise ValueError(f"block_tokens must be a multiple of {unit_tokens}, got {block_tokens}")


def check_pieces(
    pieces: Sequence[Piece], config: DecoderConfig, num_blocks: int, block_tokens: int, adapters: Collection[str]
) -> None:
    """Refuse pieces that would be read from or written to where nothing is.

    Raises:
        ValueError: with the value and the allowed range.
    """
    for piece in pieces:
        end = piece.start + len(piece.ids)
        if not piece.ids:
            raise ValueError("a piece must hold at least one token")
        if piece.start < 0 or end > config.context_tokens:
            raise ValueError(f"positions must be 0..{config.context_tokens - 1}, got {piece.start}..{end - 1}")
        if min(piece.ids) < 0 or max(piece.ids) >= config.vocab_size:
            raise ValueError(f"token ids must be 0..{config.vocab_size - 1}, got {list(piece.ids)}")
        if len(piece.blocks) * block_tokens < end:
            raise ValueError(f"{end} positions need more than {len(piece.blocks)} blocks of {block_tokens}")
        if min(piece.blocks) < 0 or max(piece.blocks) >= num_blocks:
            raise ValueError(f"blocks must be 0..{num_blocks - 1}, got {list(piece.blocks)}")
        if piece.adapter and piece.adapter not in adapters:
            raise ValueError(f"no adapter {piece.adapter!r}; known are {sorted(filter(None, adapters))}")


def low_rank_pairs(shapes: Mapping[str, torch.Size], tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """The two float32 matrices of each linear layer that an adapter changes, under the layer's path.

    Returns:
        lora_A (rank, in) and lora_B (out, rank), on the CPU.

    Raises:
        ValueError: a path is not a linear layer of this net, a matrix is missing, or a shape does not fit.
    """
    pairs = {}
    for path in sorted({name.removesuffix(".lora_A").removesuffix(".lora_B") for name in tensors}):
        shape = shapes.get(f"{path}.weight")
        if not path.startswith("blocks.") or shape is None or len(shape) != 2 or path.endswith("value_embed"):
            raise ValueError(f"{path!r} is not a linear layer of this net")
        try:
            first, second = tensors[f"{path}.lora_A"], tensors[f"{path}.lora_B"]
        except KeyError as error:
            raise ValueError(f"the adapter has no tensor {error}") from error
        rank = first.shape[0]
        if first.shape != (rank, shape[1]) or second.shape != (shape[0], rank) or not 1 <= rank <= MOST_RANK:
            raise ValueError(
                f"{path!r} needs matrices (rank, {shape[1]}) and ({shape[0]}, rank) with rank 1..{MOST_RANK}, "
                f"got {list(first.shape)} and {list(second.shape)}"
            )
        pairs[path] = first.detach().float().cpu().contiguous(), second.detach().float().cpu().contiguous()
    return pairs
