"""A Llama checkpoint as `transformers` saves it, written as the GGUF file that llama.cpp reads."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType
from gguf.quants import quantize
from safetensors.torch import load_file

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
OUTER_NAMES = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
FILE_TYPES = {
    GGMLQuantizationType.F32: LlamaFileType.ALL_F32,
    GGMLQuantizationType.Q8_0: LlamaFileType.MOSTLY_Q8_0,
}


def write_gguf(folder: Path, path: Path, kind: GGMLQuantizationType) -> None:
    """Write one file without a vocabulary; matrices in `kind` (F32 or Q8_0), norms in 32 bits."""
    config = json.loads((folder / "config.json").read_text())
    num_heads, num_kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer = GGUFWriter(path, "llama")
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(num_heads)
    writer.add_head_count_kv(num_kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // num_heads)
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    heads_of = {"attn_q": num_heads, "attn_k": num_kv_heads}
    for name, tensor in load_file(folder / "model.safetensors").items():
        own_name = gguf_name(name)
        num_rotated = heads_of.get(own_name.split(".")[-2], 0)
        values = tensor.float().numpy()
        rows = interleaved(values, num_rotated) if num_rotated else values
        if rows.ndim == 1:
            writer.add_tensor(own_name, rows)
        else:
            writer.add_tensor(own_name, quantize(rows, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_name(name: str) -> str:
    """What GGUF calls a tensor of a Llama checkpoint."""
    if name in OUTER_NAMES:
        return OUTER_NAMES[name]
    layer, module = name.removeprefix("model.layers.").removesuffix(".weight").split(".", maxsplit=1)
    return f"blk.{layer}.{NAMES[module]}.weight"


def interleaved(weight: npt.NDArray[np.float32], num_heads: int) -> npt.NDArray[np.float32]:
    """Rows of a query or key matrix in llama.cpp's order: it rotates neighbours, `transformers` halves."""
    halves = weight.reshape(num_heads, 2, -1, weight.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))
