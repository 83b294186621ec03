"""A spark generator and its discriminator in training: one step of each, for latents of stickers and small pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genworkers.nets.gan import SparkConfig, SparkDiscriminator, SparkGenerator
from genworkers.training.optim import move_average
from genworkers.training.spark_losses import gradient_penalty, jitter, judge_loss


@dataclass(frozen=True)
class Recipe:
    """How a pair is trained.

    Attributes:
        peak, judge_peak: highest learning rates of the generator and of the discriminator.
        momentum: Adam's first beta for the generator; 0 as in the paper where it learns from the judge alone.
        has_muon: whether Muon steps the generator's matrices; for those that learn from more than the judge.
        penalty_weight: gamma of R1 and R2 at the start; it falls tenfold until the end.
        penalty_every: judge steps from one penalty to the next, which is that much heavier.
        mismatch_weight: of the judge's loss on real pictures under another's sentence.
        max_shift, cut_frac: what `jitter` does.
        average_decay: of the average of the generator's weights.
    """

    peak: float = 5e-4
    judge_peak: float = 5e-4
    momentum: float = 0.0
    has_muon: bool = False
    penalty_weight: float = 1.0
    penalty_every: int = 4
    mismatch_weight: float = 0.5
    max_shift: int = 1
    cut_frac: float = 0.4
    average_decay: float = 0.998


@dataclass(frozen=True)
class RealBatch:
    """Real pictures (B, C, px, px) in -1..1 with their sentences (B, W) and style weights (B, S)."""

    pictures: Tensor
    sentence: Tensor
    style: Tensor


class SparkPair:
    """The two nets, the average of the generator's weights, and their optimisers.

    Huang, Gokaslan, Kuleshov, Tompkin 2024, "The GAN is dead; long live the GAN!" (arXiv:2501.05441), section 2: a
    relativistic pairing loss with R1 and R2 and nothing else. Differs from the paper: the penalties come every few
    steps (lazily, as in StyleGAN2), real pictures under a wrong sentence count as drawn (Reed et al. 2016,
    "Generative Adversarial Text to Image Synthesis", arXiv:1605.05396, section 4.2), and a caller may add a
    reconstruction loss of its own.
    """

    def __init__(self, config: SparkConfig, judge_config: SparkConfig, recipe: Recipe) -> None:
        self.recipe = recipe
        self.generator = SparkGenerator(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.judge = SparkDiscriminator(judge_config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = SparkGenerator(config)
        self.average.load_state_dict(self.generator.state_dict())
        self.average.eval()
        betas = (recipe.momentum, 0.98)
        matrices = [weights for weights in self.generator.parameters() if recipe.has_muon and weights.ndim == 2]
        others = [weights for weights in self.generator.parameters() if not recipe.has_muon or weights.ndim != 2]
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "optimiser": torch.optim.Adam(others, lr=recipe.peak, betas=betas, fused=True)
        }
        if matrices:
            self.optimisers["muon"] = torch.optim.Muon(
                matrices, lr=recipe.peak, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
            )
        self.judge_optimiser = torch.optim.Adam(
            self.judge.parameters(), lr=recipe.judge_peak, betas=(0.0, 0.98), fused=True
        )
        self._num_judged = 0

    @property
    def parts(self) -> dict[str, Any]:
        """What a checkpoint of the training has to hold."""
        return {
            "net": self.generator,
            "judge": self.judge,
            "average": self.average,
            **self.optimisers,
            "judge_optimiser": self.judge_optimiser,
        }

    def set_rate(self, factor: float) -> None:
        """Set all learning rates to a share of their peaks."""
        rates = [(optimiser, self.recipe.peak) for optimiser in self.optimisers.values()]
        for optimiser, peak in [*rates, (self.judge_optimiser, self.recipe.judge_peak)]:
            for group in optimiser.param_groups:
                group["lr"] = peak * factor

    def noise(self, number: int, generator: torch.Generator) -> Tensor:
        """(number, noise_width) of it."""
        return torch.randn(number, self.generator.config.noise_width, generator=generator)

    def draw(self, noise: Tensor, sentence: Tensor, style: Tensor) -> Tensor:
        """The generator in training, in half precision where that helps."""
        with torch.autocast("cpu", torch.bfloat16):
            drawn: Tensor = self.generator(noise, sentence, style)
        return drawn

    def judge_step(self, real: RealBatch, spent_frac: float, generator: torch.Generator) -> dict[str, float]:
        """Teach the judge on one batch; what is noted is the loss and, in its turn, the gradient's squared length."""
        recipe = self.recipe
        with torch.no_grad():
            drawn = self.draw(self.noise(len(real.pictures), generator), real.sentence, real.style)
        seen_real, seen_drawn = self._jitter(real.pictures, generator), self._jitter(drawn, generator)
        judge = self._judge_under(real.sentence, real.style)
        judged_real = judge(seen_real)
        loss = judge_loss(judged_real, judge(seen_drawn))
        noted = {"judge": float(loss.detach())}
        if recipe.mismatch_weight:
            wrong = self._judge_under(real.sentence.roll(1, 0), real.style.roll(1, 0))
            mismatch = judge_loss(judged_real, wrong(seen_real))
            noted["mismatch"] = float(mismatch.detach())
            loss = loss + recipe.mismatch_weight * mismatch
        if self._num_judged % recipe.penalty_every == 0:
            weight = recipe.penalty_weight * 0.1**spent_frac * recipe.penalty_every / 2
            slopes = gradient_penalty(judge, seen_real) + gradient_penalty(judge, seen_drawn)
            noted["slope"] = float(slopes.detach())
            loss = loss + weight * slopes
        self._num_judged += 1
        self.judge_optimiser.zero_grad()
        loss.backward()
        self.judge_optimiser.step()
        return noted

    def generator_step(
        self,
        real: RealBatch,
        noise: Tensor,
        step: int,
        generator: torch.Generator,
        *,
        adversarial_weight: float,
        reconstruction: Callable[[Tensor], Tensor] | None = None,
    ) -> dict[str, float]:
        """Teach the generator on one batch.

        Args:
            step: number of steps before, for the average.
            reconstruction: from what was drawn to a loss that is added as it is.
        """
        drawn = self.draw(noise, real.sentence, real.style)
        loss, noted = torch.zeros(()), {}
        if adversarial_weight:
            judge = self._judge_under(real.sentence, real.style)
            with torch.no_grad():
                judged_real = judge(self._jitter(real.pictures, generator))
            fooled = judge_loss(judge(self._jitter(drawn, generator)), judged_real)
            noted["generator"] = float(fooled.detach())
            loss = loss + adversarial_weight * fooled
        if reconstruction is not None:
            error = reconstruction(drawn)
            noted["reconstruction"] = float(error.detach())
            loss = loss + error
        self.generator.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), 5.0)
        for optimiser in self.optimisers.values():
            optimiser.step()
        move_average(self.average, self.generator, step, self.recipe.average_decay)
        return noted

    def _judge_under(self, sentence: Tensor, style: Tensor) -> Callable[[Tensor], Tensor]:
        def judge(pictures: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                judged: Tensor = self.judge(pictures, sentence, style)
            return judged

        return judge

    def _jitter(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        return jitter(pictures, generator, max_shift=self.recipe.max_shift, cut_frac=self.recipe.cut_frac)
