"""A decoder of a few thousand random weights and its tokenizer, for tests of everything around it."""

import torch

from genworkers.codecs.text_bpe import TextCodec, train_bpe
from genworkers.nets.decoder import Decoder, DecoderConfig

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
