"""A decoder on the CPU in compiled code (`native/`): one call reads the tokens of many sequences through all layers.

`PagedDecoder` says what it promises. Weights are packed once, in float32, bfloat16 or int8.
"""

import ctypes
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Literal, get_args

import torch
from torch import Tensor

from genworkers.nets.decoder import Decoder, DecoderConfig
from genworkers.nets.layers import rotary_table
from genworkers.nets.native_library import Rows, Sizes, load
from genworkers.nets.paged_decoder import Piece

Precision = Literal["float32", "bfloat16", "int8"]

CHUNK_TOKENS = 16
MOST_RANK = 512


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
        if num_blocks < 1:
            raise ValueError(f"num_blocks must be at least 1, got {num_blocks}")
        if block_tokens < 1 or block_tokens % CHUNK_TOKENS:
            raise ValueError(f"block_tokens must be a multiple of {CHUNK_TOKENS}, got {block_tokens}")
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
        with torch.device("meta"):
            self._shapes = {name: tensor.shape for name, tensor in Decoder(config).state_dict().items()}
        self._pack(iter(tensors.items()) if isinstance(tensors, Mapping) else iter(tensors))

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
        layers = _adapter_layers(self._shapes, name, self._adapters, tensors)
        number = self._library.tessera_add_adapter(self._open())
        for path, (first, second) in layers.items():
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
        for piece in pieces:
            self._check(piece)
        ids = torch.tensor([token for piece in pieces for token in piece.ids], dtype=torch.int32)
        positions = torch.tensor(
            [piece.start + i for piece in pieces for i in range(len(piece.ids))], dtype=torch.int32
        )
        starts = accumulate((len(piece.blocks) for piece in pieces), initial=0)
        tables = torch.tensor(
            [start for piece, start in zip(pieces, starts, strict=False) for _ in piece.ids], dtype=torch.int64
        )
        blocks = torch.tensor([block for piece in pieces for block in piece.blocks], dtype=torch.int32)
        adapters = torch.tensor(
            [self._adapters[piece.adapter] for piece in pieces for _ in piece.ids], dtype=torch.int32
        )
        ends = accumulate(len(piece.ids) for piece in pieces)
        wanted = torch.tensor(
            [end - 1 for piece, end in zip(pieces, ends, strict=True) if piece.wants_logits], dtype=torch.int32
        )
        logits = torch.empty(len(wanted), self.config.vocab_size)
        rows = Rows(
            len(ids),
            len(wanted),
            *(tensor.data_ptr() for tensor in (ids, positions, tables, blocks, adapters, wanted, logits)),
        )
        self._library.tessera_read(self._open(), ctypes.byref(rows))
        return logits

    def _open(self) -> int:
        if self._handle is None:
            raise ValueError("the decoder was closed")
        return self._handle

    def _check(self, piece: Piece) -> None:
        """What the compiled code takes on trust."""
        end = piece.start + len(piece.ids)
        if not piece.ids:
            raise ValueError("a piece must hold at least one token")
        if piece.start < 0 or end > self.config.context_tokens:
            raise ValueError(f"positions must be 0..{self.config.context_tokens - 1}, got {piece.start}..{end - 1}")
        if min(piece.ids) < 0 or max(piece.ids) >= self.config.vocab_size:
            raise ValueError(f"token ids must be 0..{self.config.vocab_size - 1}, got {list(piece.ids)}")
        if len(piece.blocks) * self.block_tokens < end:
            raise ValueError(f"{end} positions need more than {len(piece.blocks)} blocks of {self.block_tokens}")
        if min(piece.blocks) < 0 or max(piece.blocks) >= self.num_blocks:
            raise ValueError(f"blocks must be 0..{self.num_blocks - 1}, got {list(piece.blocks)}")
        if piece.adapter not in self._adapters:
            raise ValueError(f"no adapter {piece.adapter!r}; known are {sorted(self._adapters)[1:]}")

    def _pack(self, tensors: Iterator[tuple[str, Tensor]]) -> None:
        missing = set(self._shapes)
        for name, tensor in tensors:
            if name not in missing:
                raise ValueError(f"tensor {name!r} is unknown or comes twice")
            missing.remove(name)
            if tensor.shape != self._shapes[name]:
                raise ValueError(
                    f"tensor {name!r} must have shape {list(self._shapes[name])}, got {list(tensor.shape)}"
                )
            is_bfloat = tensor.dtype == torch.bfloat16
            given = tensor.detach().to("cpu", torch.bfloat16 if is_bfloat else torch.float32).contiguous()
            rows, columns = given.shape if given.ndim == 2 else (1, given.numel())
            code = self._library.tessera_set(
                self._handle, name.encode(), given.data_ptr(), int(is_bfloat), rows, columns
            )
            _refuse(code, name)
        if missing:
            raise ValueError(f"tensors are missing: {sorted(missing)}")


def _refuse(code: int, name: str) -> None:
    if code == 1:
        raise ValueError(f"tensor {name!r} has no place in this net")
    if code == 2:
        raise MemoryError(f"no memory for tensor {name!r}")


def _adapter_layers(
    shapes: Mapping[str, torch.Size], name: str, known: Mapping[str, int], tensors: Mapping[str, Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """The two float32 matrices of each linear layer that an adapter changes, checked against the net's shapes."""
    if name in known:
        raise ValueError(f"the adapter {name!r} exists already")
    layers = {}
    for path in sorted({key.removesuffix(".lora_A").removesuffix(".lora_B") for key in tensors}):
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
        layers[path] = first.detach().float().cpu().contiguous(), second.detach().float().cpu().contiguous()
    return layers


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
