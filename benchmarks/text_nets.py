"""The nets that the text benchmark runs: Llama shapes with random weights, saved as all tools expect."""

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END = "<|end|>"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SPACE = "\u0120"  # how byte-level BPE spells a space


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a Llama net with a tied head."""

    name: str
    vocab_size: int
    context_tokens: int
    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    mlp_width: int


TINY = Shape("tiny", 512, 1024, 64, 2, 2, 1, 128)  # to see whether everything runs
SHAPES = (
    Shape("17M", 8192, 1024, 384, 8, 6, 6, 1024),
    Shape("134M", 49152, 2048, 576, 30, 9, 3, 1536),  # SmolLM2-135M
)


def save_net(shape: Shape, folder: Path) -> None:
    """Write `config.json`, `model.safetensors` and a tokenizer into the folder.

    The weights are random, seeded and stored in bfloat16, so that every 32-bit and 16-bit contestant has the same ones.
    The embedding of the token that ends a text is zero, so its logit is never among the highest: no text ends early.
    """
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.width,
        intermediate_size=shape.mlp_width,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_kv_heads,
        max_position_embeddings=shape.context_tokens,
        tie_word_embeddings=True,
        initializer_range=0.05,
        bos_token_id=None,
        eos_token_id=shape.vocab_size - 1,
    )
    net = LlamaForCausalLM(config)
    with torch.no_grad():
        net.model.embed_tokens.weight[shape.vocab_size - 1] = 0.0
    net.bfloat16().save_pretrained(folder)
    tokenizer_of(shape.vocab_size).save_pretrained(folder)


def tokenizer_of(vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE of single bytes and pairs of them; " a" to " z" are one token each."""
    bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
    spaced = [(SPACE, letter) for letter in LETTERS]
    others = [(left, right) for left in bytes_ for right in bytes_ if (left, right) not in set(spaced)]
    merges = (spaced + others)[: vocab_size - len(bytes_) - 1]
    tokens = [*bytes_, *(left + right for left, right in merges)]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END, special=True)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END)


def prompt_of(num_tokens: int, seed: int) -> str:
    """A text that is exactly so many tokens to `tokenizer_of`."""
    generator = torch.Generator().manual_seed(seed)
    return "".join(f" {LETTERS[index]}" for index in torch.randint(len(LETTERS), (num_tokens,), generator=generator))
