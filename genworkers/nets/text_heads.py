"""The heads of the text screen: what the text encoder saw and a bag of n-grams in, one logit for each category out."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class TextHeadsConfig:
    """Sizes.

    Args:
        encoder_layers: after how many layers of the encoder its states are read.
        state_width: width of a state.
        num_buckets: into how many n-grams are hashed; a power of two.
    """

    num_categories: int = 9
    encoder_layers: int = 3
    state_width: int = 384
    num_buckets: int = 65_536
    bag_width: int = 32
    hidden_width: int = 128
    dropout: float = 0.3


def pooled(states: Tensor) -> Tensor:
    """Mean and maximum of one text's states (T, D), each scaled to mean 0 and variance 1: (2 D) float32."""
    both = torch.stack([states.float().mean(0), states.float().amax(0)])
    return F.layer_norm(both, both.shape[1:]).flatten()


class TextHeads(nn.Module):
    """A bag of n-gram vectors (Joulin et al. 2016, arXiv:1607.01759) beside pooled states, through one hidden layer.

    Either input may be left out: states as zeros, the bag as no n-grams.
    """

    def __init__(self, config: TextHeadsConfig) -> None:
        super().__init__()
        self.config = config
        self.bag = nn.EmbeddingBag(config.num_buckets, config.bag_width, mode="mean")
        nn.init.normal_(self.bag.weight, std=0.1)
        self.hidden = nn.Linear(2 * config.state_width + config.bag_width, config.hidden_width)
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(config.hidden_width, config.num_categories)

    def forward(self, states: Tensor, buckets: Tensor, begins: Tensor) -> Tensor:
        """Logits (B, categories).

        Args:
            states: (B, 2 D), each row from `pooled`.
            buckets: (N) int64, the n-grams of all texts one after another.
            begins: (B) int64, where each text's n-grams begin.
        """
        bags = self.bag(buckets, begins)
        hidden = F.gelu(self.hidden(torch.cat([states, bags], dim=-1)))  # (B, H)
        logits: Tensor = self.out(self.dropout(hidden))
        return logits
