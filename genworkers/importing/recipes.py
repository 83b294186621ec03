"""Where each tensor of our decoder comes from in the published checkpoints: names, order of rows, transposition."""

from dataclasses import dataclass

from genworkers.nets.decoder import DecoderConfig


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one of our tensors is made.

    Args:
        sources: tensors whose rows follow one another in ours.
        num_rows: of each of them; () for one that has all.
        is_transposed: it is stored as (in, out) instead of (out, in).
    """

    sources: tuple[str, ...]
    num_rows: tuple[int, ...] = ()
    is_transposed: bool = False


def gpt2_recipes(config: DecoderConfig) -> dict[str, Recipe]:
    """Of `GPT2LMHeadModel`, whose linear layers are stored transposed (its "Conv1D")."""
    names = {"embed.weight": "wte.weight", "position.weight": "wpe.weight"}
    recipes = {ours: Recipe((theirs,)) for ours, theirs in names.items()}
    for layer in range(config.num_layers):
        for ours, theirs in (("attention_norm", "ln_1"), ("mlp_norm", "ln_2")):
            for kind in ("weight", "bias"):
                recipes[f"blocks.{layer}.{ours}.{kind}"] = Recipe((f"h.{layer}.{theirs}.{kind}",))
        for ours, theirs in (
            ("attention.qkv", "attn.c_attn"),
            ("attention.out", "attn.c_proj"),
            ("mlp.up", "mlp.c_fc"),
            ("mlp.down", "mlp.c_proj"),
        ):
            recipes[f"blocks.{layer}.{ours}.weight"] = Recipe((f"h.{layer}.{theirs}.weight",), is_transposed=True)
            recipes[f"blocks.{layer}.{ours}.bias"] = Recipe((f"h.{layer}.{theirs}.bias",))
    for kind in ("weight", "bias"):
        recipes[f"final_norm.{kind}"] = Recipe((f"ln_f.{kind}",))
    if not config.is_tied:
        recipes["unembed.weight"] = Recipe(("lm_head.weight",))
    return recipes


def llama_recipes(config: DecoderConfig) -> dict[str, Recipe]:
    """Of `LlamaForCausalLM`, `Qwen2ForCausalLM` and `Qwen3ForCausalLM`."""
    recipes = {"embed.weight": Recipe(("model.embed_tokens.weight",))}
    query_rows, key_rows = config.num_heads * config.head_width, config.num_kv_heads * config.head_width
    for layer in range(config.num_layers):
        ours, theirs = f"blocks.{layer}", f"model.layers.{layer}"
        attention, mlp = f"{theirs}.self_attn", f"{theirs}.mlp"
        recipes[f"{ours}.attention_norm.weight"] = Recipe((f"{theirs}.input_layernorm.weight",))
        recipes[f"{ours}.mlp_norm.weight"] = Recipe((f"{theirs}.post_attention_layernorm.weight",))
        for kind in ("weight", "bias"):
            if kind == "weight" or config.has_qkv_bias:
                recipes[f"{ours}.attention.qkv.{kind}"] = Recipe(
                    tuple(f"{attention}.{part}_proj.{kind}" for part in "qkv"), (query_rows, key_rows, key_rows)
                )
            if kind == "weight" or config.has_out_bias:
                recipes[f"{ours}.attention.out.{kind}"] = Recipe((f"{attention}.o_proj.{kind}",))
            if kind == "weight" or config.has_mlp_bias:
                recipes[f"{ours}.mlp.gate_up.{kind}"] = Recipe(
                    (f"{mlp}.gate_proj.{kind}", f"{mlp}.up_proj.{kind}"), (config.mlp_width, config.mlp_width)
                )
                recipes[f"{ours}.mlp.down.{kind}"] = Recipe((f"{mlp}.down_proj.{kind}",))
        if config.qk_norm == "before_rope":
            recipes[f"{ours}.attention.query_norm.weight"] = Recipe((f"{attention}.q_norm.weight",))
            recipes[f"{ours}.attention.key_norm.weight"] = Recipe((f"{attention}.k_norm.weight",))
    recipes["final_norm.weight"] = Recipe(("model.norm.weight",))
    if not config.is_tied:
        recipes["unembed.weight"] = Recipe(("lm_head.weight",))
    return recipes
