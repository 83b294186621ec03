"""A decoder on the CPU in compiled code (`native/`): one call reads the tokens of many sequences through all layers.

`PagedDecoder` says what it promises. Weights are packed once, in float32, bfloat16 or int8.
"""

import ctypes
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from genworkers.nets.decoder import DecoderConfig
from genworkers.nets.layers import rotary_table
from genworkers.nets.native_library import Rows, Sizes, load
from genworkers.nets.paged_checks import check_cache, check_pieces, checked_tensors, low_rank_pairs, tensor_shapes
from genworkers.nets.paged_decoder import Piece

Precision = Literal["float32", "bfloat16", "int8"]

CHUNK_TOKENS = 16


class NativePagedDecoder:
    """Serves a decoder from packed weights. Not for several threads at a time.

    Args:
        tensors: every parameter under its name in `Decoder`, as a mapping or one by one; each is packed before
            the next is taken, so that no second copy of the net is ever in memory.
        num_blocks: of the cache.
        block_tokens: positions in a block, a multiple of 16.
        precision: of the weights. The cache is float32 for "float32" and bfloat16 otherwise; sums are float32.
            "int8" has one scale for each output.
        num_threads: 0 takes torch's number.

    Raises:
        ValueError: a size is out of range, a tensor is missing, unknown or has another shape.
        MemoryError: weights and cache do not fit.
        NativeUnavailableError: the library cannot be compiled.
    """

    def __init__(
        self,
        config: DecoderConfig,
        tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]],
        *,
        num_blocks: int,
        block_tokens: int = CHUNK_TOKENS,
        precision: Precision = "float32",
        num_threads: int = 0,
    ) -> None:
        self._handle: int | None = None
        check_cache(num_blocks, block_tokens, CHUNK_TOKENS)
        if precision not in get_args(Precision):
            raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, got {precision!r}")
        if num_threads < 0:
            raise ValueError(f"num_threads must be 0 or more, got {num_threads}")
        self.config = config
        self.num_blocks = num_blocks
        self.block_tokens = block_tokens
        self.precision = precision
        self._library = load()
        self._adapters: dict[str, int] = {"": -1}
        cosines, sines = torch.empty(0), torch.empty(0)
        if config.position == "rope":
            cosines, sines = rotary_table(
                config.context_tokens, config.head_width, config.rope_theta, config.rope_scaling
            )
        sizes = _sizes(config, num_blocks, block_tokens, precision, num_threads or torch.get_num_threads())
        self._handle = self._library.tessera_new(ctypes.byref(sizes), cosines.data_ptr(), sines.data_ptr())
        if self._handle is None:
            raise MemoryError(f"no memory for a cache of {num_blocks} blocks")
        self._shapes = tensor_shapes(config)
        self._pack(tensors)

    @property
    def weights_bytes(self) -> int:
        """Memory that the packed weights take."""
        return int(self._library.tessera_weights_bytes(self._open()))

    @property
    def cache_bytes(self) -> int:
        """Memory that the cache of all blocks takes."""
        return int(self._library.tessera_cache_bytes(self._open()))

    def close(self) -> None:
        """Free weights, cache and threads; nothing can be read any more."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._library.tessera_free(handle)

    def __del__(self) -> None:
        self.close()

    def add_adapter(self, name: str, tensors: dict[str, Tensor], scale: float) -> None:
        """See `PagedDecoder`."""
        if name in self._adapters:
            raise ValueError(f"the adapter {name!r} exists already")
        pairs = low_rank_pairs(self._shapes, tensors)
        number = self._library.tessera_add_adapter(self._open())
        for path, (first, second) in pairs.items():
            rank, inputs = first.shape
            code = self._library.tessera_set_adapter(
                self._handle,
                number,
                path.encode(),
                first.data_ptr(),
                second.data_ptr(),
                rank,
                inputs,
                second.shape[0],
                scale,
            )
            _refuse(code, path)
        self._adapters[name] = number

    def read(self, pieces: Sequence[Piece]) -> Tensor:
        """See `PagedDecoder`."""
        check_pieces(pieces, self.config, self.num_blocks, self.block_tokens, self._adapters)
        ids, positions, tables, blocks, adapters, wanted = (array(kind) for kind in "iiqiii")
        for piece in pieces:
            num_tokens = len(piece.ids)
            ids.extend(piece.ids)
            positions.extend(range(piece.start, piece.start + num_tokens))
            tables.extend([len(blocks)] * num_tokens)
            blocks.extend(piece.blocks)
            adapters.extend([self._adapters[piece.adapter]] * num_tokens)
            if piece.wants_logits:
                wanted.append(len(ids) - 1)
        logits = torch.empty(len(wanted), self.config.vocab_size)
        addresses = (numbers.buffer_info()[0] for numbers in (ids, positions, tables, blocks, adapters, wanted))
        rows = Rows(len(ids), len(wanted), *addresses, logits.data_ptr())
        self._library.tessera_read(self._open(), ctypes.byref(rows))
        return logits

    def _open(self) -> int:
        if self._handle is None:
            raise ValueError("the decoder was closed")
        return self._handle

    def _pack(self, tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]) -> None:
        for name, tensor in checked_tensors(self._shapes, tensors):
            is_bfloat = tensor.dtype == torch.bfloat16
            given = tensor.detach().to("cpu", torch.bfloat16 if is_bfloat else torch.float32).contiguous()
            rows, columns = given.shape if given.ndim == 2 else (1, given.numel())
            code = self._library.tessera_set(
                self._handle, name.encode(), given.data_ptr(), int(is_bfloat), rows, columns
            )
            _refuse(code, name)


def _refuse(code: int, name: str) -> None:
    if code == 1:
        raise ValueError(f"tensor {name!r} has no place in this net")
    if code == 2:
        raise MemoryError(f"no memory for tensor {name!r}")


def _sizes(config: DecoderConfig, num_blocks: int, block_tokens: int, precision: Precision, num_threads: int) -> Sizes:
    return Sizes(
        vocab_size=config.vocab_size,
        context_tokens=config.context_tokens,
        width=config.width,
        num_layers=config.num_layers,
        num_heads=config.num_heads,
        num_kv_heads=config.num_kv_heads,
        head_width=config.head_width,
        mlp_width=config.mlp_width,
        has_layer_norm=config.norm == "layer",
        has_rope=config.position == "rope",
        activation=("relu2", "gelu_tanh", "swiglu").index(config.activation),
        qk_norm=("none", "before_rope", "after_rope_free").index(config.qk_norm),
        is_tied=config.is_tied,
        has_embed_norm=config.has_embed_norm,
        num_blocks=num_blocks,
        block_tokens=block_tokens,
        storage=("float32", "bfloat16", "int8").index(precision),
        num_threads=num_threads,
        norm_eps=config.norm_eps,
        logit_cap=config.logit_cap,
    )
