"""How words and styles enter spark, drift and their baselines: one vector for both."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConditionReader(nn.Module):
    """A sentence vector and style weights as one vector; a sentence of zeros means "no words".

    Sentence vectors of the text encoder all point in about the same direction. What they have in common is taken away
    and each number is scaled to its usual size, as `learn_usual` has seen them, so that a net sees their differences.
    """

    middle: Tensor
    spread: Tensor

    def __init__(self, sentence_width: int, num_styles: int, width: int) -> None:
        super().__init__()
        self.register_buffer("middle", torch.zeros(sentence_width))
        self.register_buffer("spread", torch.ones(sentence_width))
        self.sentence_in = nn.Linear(sentence_width, width)
        self.styles = nn.Parameter(torch.randn(num_styles, width) * 0.3)

    def learn_usual(self, sentences: Tensor) -> None:
        """Take the mean and the standard deviation of known sentences (T, sentence_width), before any training."""
        sized = _sized(sentences.float())
        self.middle.copy_(sized.mean(0))
        self.spread.copy_(sized.std(0).clamp(min=1e-3))

    def forward(self, sentence: Tensor, style: Tensor) -> Tensor:
        """Sentences (B, sentence_width), of any length, and style weights (B, S) to (B, width)."""
        words: Tensor = self.sentence_in((_sized(sentence) - self.middle) / self.spread)
        return words + style @ self.styles


def _sized(sentence: Tensor) -> Tensor:
    return F.normalize(sentence, dim=-1) * math.sqrt(sentence.shape[-1])
