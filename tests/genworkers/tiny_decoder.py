"""A decoder of a few thousand random weights and its tokenizer, for tests of everything around it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genworkers.codecs.text_bpe import TextCodec, train_bpe
from genworkers.nets.decoder import Block, Decoder, DecoderConfig
from genworkers.nets.paged_decoder import Piece

SENTENCES = ["Once upon a time there was a brave little boat.", "The boat sailed home. Ünïcödé 🚀 too."]


def tiny_codec() -> TextCodec:
    """A byte-level tokenizer with a few merges."""
    return train_bpe(SENTENCES * 3, 300)


def tiny_decoder(vocab_size: int, *, context_tokens: int = 64, seed: int = 0) -> Decoder:
    """Random weights, scaled so that the next token is far from certain and far from uniform."""
    config = DecoderConfig(
        vocab_size=vocab_size,
        context_tokens=context_tokens,
        width=32,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_width=8,
        mlp_width=64,
    )
    net = Decoder(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            scale = 0.3 if parameter.ndim == 2 else 0.1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale + (parameter.ndim == 1))
    return net.eval()


class PlainPagedDecoder:
    """A paged decoder that reads one token at a time: slow, and its promise is plain to see."""

    def __init__(self, net: Decoder, num_blocks: int, block_tokens: int) -> None:
        self.net = net
        self.config = net.config
        self.num_blocks = num_blocks
        self.block_tokens = block_tokens
        config = net.config
        self._keys = torch.full(
            (config.num_layers, config.num_kv_heads, num_blocks * block_tokens, config.head_width), torch.nan
        )
        self._values = self._keys.clone()

    @property
    def weights_bytes(self) -> int:
        """Of float32 weights."""
        return sum(parameter.numel() * 4 for parameter in self.net.parameters())

    @property
    def cache_bytes(self) -> int:
        """Of float32 keys and values."""
        return 2 * self._keys.numel() * 4

    def add_adapter(self, name: str, tensors: dict[str, Tensor], scale: float) -> None:
        """No adapter fits this net."""
        raise ValueError(f"{name} names no layer of this net")

    @torch.inference_mode()
    def read(self, pieces: Sequence[Piece]) -> Tensor:
        """See `PagedDecoder.read`."""
        rows = []
        for piece in pieces:
            for position, token_id in enumerate(piece.ids, piece.start):
                hidden = self._read_one(token_id, position, piece.blocks)
            if piece.wants_logits:
                rows.append(self.net.head(self.net.final_norm(hidden))[0, 0])
        return torch.stack(rows) if rows else torch.empty(0, self.config.vocab_size)

    def _read_one(self, token_id: int, position: int, blocks: Sequence[int]) -> Tensor:
        size = self.block_tokens
        places = [blocks[at // size] * size + at % size for at in range(position + 1)]
        ids, at = torch.tensor([[token_id]]), torch.tensor([position])
        x = self.net.embedded(ids, at)  # (1, 1, D)
        for layer, block in enumerate(self.net.blocks):
            assert isinstance(block, Block)
            queries, keys, values = block.attention.project(block.attention_norm(x), self.net.angles(at), ids)
            self._keys[layer, :, places[-1]] = keys[0, :, 0]
            self._values[layer, :, places[-1]] = values[0, :, 0]
            attended = block.attention.attend(
                queries, self._keys[None, layer, :, places], self._values[None, layer, :, places]
            )
            x = x + block.attention.finish(attended)
            x = x + block.mlp(block.mlp_norm(x))
        return x
