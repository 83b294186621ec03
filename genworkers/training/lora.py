"""Low-rank adapters: put on a decoder's linear layers for training, taken off as a folder that the engine serves.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models" (arXiv:2106.09685), section 4.1.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genworkers.checkpoints import sha256_of
from genworkers.contract.manifests import AdapterManifest, NetManifest
from genworkers.nets.decoder import Decoder

ADAPTER_MANIFEST = "adapter.json"
ADAPTER_WEIGHTS = "adapter.safetensors"


class LowRank(nn.Module):
    """Turns a frozen weight W into `W + alpha / rank * B @ A`; at first B is zero, so nothing changes.

    Differs from the paper: A's standard deviation is 1 / sqrt(in_features), so that A's output is of its input's size
    at any rank.

    Args:
        weight: (out_features, in_features).
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        out_features, in_features = weight.shape
        self.lora_A = nn.Parameter(torch.randn(rank, in_features, generator=generator) * in_features**-0.5)
        self.lora_B = nn.Parameter(torch.zeros(out_features, rank))
        self.scale = alpha / rank

    def forward(self, weight: Tensor) -> Tensor:
        """The adapted weight, of the same shape."""
        return weight + self.scale * (self.lora_B @ self.lora_A)


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """Size of an adapter.

    Args:
        rank: at least 1; of the two factors of every layer.
        alpha: above 0; the product of the factors is multiplied by alpha / rank.

    Raises:
        ValueError: a number is outside its range.
    """

    rank: int = 8
    alpha: float = 16.0

    def __post_init__(self) -> None:
        """Refuse sizes that mean nothing."""
        if self.rank < 1:
            raise ValueError(f"rank must be at least 1, got {self.rank}")
        if not 0 < self.alpha < float("inf"):
            raise ValueError(f"alpha must be above 0, got {self.alpha}")


def add_low_rank(net: Decoder, config: LoraConfig, *, seed: int = 0) -> dict[str, LowRank]:
    """Freeze the net and put an adapter on every linear layer of its blocks.

    Returns:
        The adapters by the path of their layer, for example "blocks.0.attention.qkv".
    """
    net.requires_grad_(requires_grad=False)
    generator = torch.Generator().manual_seed(seed)
    linears = {name: one for name, one in net.blocks.named_modules(prefix="blocks") if isinstance(one, nn.Linear)}
    adapters = {}
    for name, linear in linears.items():
        adapters[name] = LowRank(linear.weight, config.rank, config.alpha, generator)
        parametrize.register_parametrization(linear, "weight", adapters[name])
    return adapters


def merge_low_rank(net: Decoder) -> None:
    """Make the adapters part of the weights."""
    for module in net.blocks.modules():
        if isinstance(module, nn.Linear) and parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)


def save_adapter(
    folder: Path, adapters: dict[str, LowRank], config: LoraConfig, base: NetManifest, training: dict[str, Any]
) -> AdapterManifest:
    """Write `adapter.safetensors` and, last, `adapter.json`.

    Args:
        folder: its last name becomes the adapter's name; made if missing.
        base: of the net that it was trained on.
        training: data, steps, losses; free form.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{layer}.{name}": value.detach().float().contiguous()
        for layer, adapter in adapters.items()
        for name, value in adapter.named_parameters()
    }
    path = folder / ADAPTER_WEIGHTS
    save_file(tensors, path)
    manifest = AdapterManifest(
        name=folder.resolve().name,
        base=base.name,
        base_sha256=base.sha256,
        rank=config.rank,
        alpha=config.alpha,
        targets=sorted(adapters),
        sha256=sha256_of(path),
    )
    content = json.dumps(manifest.model_dump() | {"training": training}, indent=2, ensure_ascii=False)
    (folder / ADAPTER_MANIFEST).write_text(content + "\n", encoding="utf-8")
    return manifest
