"""Small random checkpoints of the four families, as the transformers package saves them, and tokenizers for them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

VOCAB_SIZE = 400
CONTEXT_TOKENS = 128
SENTENCES = [
    "Once upon a time there was a brave little boat, and it wasn't afraid of 1234567 waves.",
    "Ünïcödé 🚀 naïve café, 漢字かな, l'été; \t tabs,\n\nnewlines and   spaces. THEY'LL DON'T we've",
]
CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful boat.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# The way Llama 3 and Qwen 3 templates are built: trimmed contents, thoughts left out of what was said before.
HEADERS = """{{- bos_token }}
{%- for message in messages %}
    {%- set content = message.content | trim %}
    {%- if message.role == 'assistant' and '</think>' in content %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + content + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n<think>\\n' }}
{%- endif %}
"""
LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
QWEN_WORDS = LLAMA3_WORDS.replace(r"\p{N}{1,3}", r"\p{N}")


@dataclass(frozen=True)
class Variant:
    """One kind of checkpoint: the model type and what differs from its defaults."""

    model_type: str
    settings: dict[str, Any] = field(default_factory=dict)


def _sizes(**more: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT_TOKENS,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "initializer_range": 0.15,
        **more,
    }


LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
GPT2_SIZES = {
    "vocab_size": VOCAB_SIZE,
    "n_positions": CONTEXT_TOKENS,
    "n_embd": 48,
    "n_layer": 3,
    "n_head": 4,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "initializer_range": 0.15,
}
VARIANTS = {
    "gpt2": Variant("gpt2", GPT2_SIZES),
    "gpt2-untied-wide-mlp": Variant("gpt2", GPT2_SIZES | {"n_inner": 100, "tie_word_embeddings": False}),
    "llama-scaled-rope": Variant("llama", _sizes(rope_parameters=LLAMA3_ROPE, tie_word_embeddings=False)),
    "smollm2": Variant("llama", _sizes(rope_theta=100_000.0, tie_word_embeddings=True)),
    "llama-biased": Variant("llama", _sizes(attention_bias=True, mlp_bias=True, num_key_value_heads=6)),
    "qwen2": Variant("qwen2", _sizes(rope_theta=1_000_000.0, tie_word_embeddings=False)),
    "qwen2-tied": Variant("qwen2", _sizes(tie_word_embeddings=True)),
    "qwen3": Variant("qwen3", _sizes(head_dim=16, tie_word_embeddings=True)),
    "qwen3-untied": Variant("qwen3", _sizes(head_dim=10, num_key_value_heads=3)),
}


def make_model(variant: Variant) -> Any:
    """A random net in float32 whose norms and biases are not what they start as."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(variant.model_type, **variant.settings))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
            elif "embed_tokens" in name or "wte" in name:
                parameter.mul_(2)
    return model.float().eval()


def make_tokenizer(kind: str) -> Tokenizer:
    """A small tokenizer cut as those of a family are: "gpt2", "llama3", "smollm2" or "qwen"."""
    tokenizer = Tokenizer(models.BPE())
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False)
    parts = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if kind == "gpt2":
        tokenizer.pre_tokenizer = whole
    elif kind == "smollm2":
        digits = pre_tokenizers.Digits(individual_digits=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, whole])
    else:
        words = pre_tokenizers.Split(Regex(LLAMA3_WORDS if kind == "llama3" else QWEN_WORDS), "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, parts])
    if kind == "qwen":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    specials = {
        "gpt2": ["<|startoftext|>", "<|endoftext|>"],
        "llama3": ["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"],
        "smollm2": ["<|endoftext|>", "<|im_end|>", "<|im_start|>"],
        "qwen": ["<|endoftext|>", "<|im_end|>", "<|im_start|>"],
    }[kind]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=380, special_tokens=specials, initial_alphabet=alphabet, show_progress=False, min_frequency=1
    )
    tokenizer.train_from_iterator(SENTENCES * 3, trainer)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ("<think>", "</think>")])
    if kind == "llama3":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)]
        )
    return tokenizer


TEMPLATE_OF = {"gpt2": None, "llama3": HEADERS, "smollm2": CHATML, "qwen": CHATML}
BOS_OF = {"gpt2": "<|startoftext|>", "llama3": "<|begin_of_text|>", "smollm2": "<|endoftext|>", "qwen": None}
EOS_OF = {"gpt2": "<|endoftext|>", "llama3": "<|eot_id|>", "smollm2": "<|im_end|>", "qwen": "<|im_end|>"}


def save_tokenizer(kind: str, folder: Path) -> PreTrainedTokenizerFast:
    """Save it as transformers does, and give what transformers makes of it."""
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=make_tokenizer(kind), bos_token=BOS_OF[kind], eos_token=EOS_OF[kind]
    )
    if TEMPLATE_OF[kind] is not None:
        wrapped.chat_template = TEMPLATE_OF[kind]
    wrapped.save_pretrained(folder)
    return wrapped
