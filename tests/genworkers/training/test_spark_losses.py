"""Spark's losses, what both nets are shown, the signs of collapse, and one step of each net."""

import pytest
import torch

from genworkers.nets.gan import SparkConfig
from genworkers.training import collapse
from genworkers.training.spark_losses import gradient_penalty, jitter, judge_loss
from genworkers.training.spark_pair import RealBatch, Recipe, SparkPair

TINY = SparkConfig(widths=(16, 16), num_styles=2, sentence_width=12, noise_width=8, condition_width=16, num_blocks=1)


def test_jitter_moves_and_hides_and_lets_the_gradient_through() -> None:
    pictures = torch.ones(64, 2, 8, 8, requires_grad=True)
    seen = jitter(pictures, torch.Generator().manual_seed(0), max_shift=1, cut_frac=0.5)
    assert seen.shape == pictures.shape
    assert set(seen.detach().unique().tolist()) == {0.0, 1.0}
    hidden_frac = 1 - float(seen.detach().mean())
    assert 0.05 < hidden_frac < 0.45
    seen.sum().backward()
    assert pictures.grad is not None
    assert bool((pictures.grad.sum((1, 2, 3)) > 0).all())
    still = jitter(pictures, torch.Generator().manual_seed(0), max_shift=0, cut_frac=0.01)
    assert float((still != 1).float().mean()) <= 1 / 64


def test_the_judge_wants_real_above_drawn_and_the_generator_the_opposite() -> None:
    high, low = torch.full((4,), 3.0), torch.full((4,), -3.0)
    assert float(judge_loss(high, low)) < 0.01
    assert float(judge_loss(low, high)) > 5


def test_the_penalty_is_the_squared_slope() -> None:
    slope = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    penalty = gradient_penalty(lambda pictures: (pictures * slope).sum((1, 2, 3)), torch.zeros(5, 2, 1, 1))
    torch.testing.assert_close(penalty, torch.tensor(25.0))


def test_lost_modes_show() -> None:
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(60, 6, generator=generator)
    own = torch.arange(60)
    healthy, collapsed = real + 0.01 * torch.randn(60, 6, generator=generator), real[:1].repeat(60, 1)
    assert collapse.coverage(real, healthy) == 1.0
    assert collapse.coverage(real, collapsed) < 0.3
    assert collapse.nearest_concepts(healthy, real, own) == (1.0, 1.0)
    distinct, found = collapse.nearest_concepts(collapsed, real, own)
    assert max(distinct, found) < 0.05
    assert collapse.variety(real, real) == 0.0
    assert 0.8 < collapse.variety(real, torch.randn(60, 6, generator=generator)) < 1.2


@pytest.mark.slow
def test_a_pair_learns_one_batch_and_is_decided_by_its_seeds() -> None:
    finals = []
    for _ in range(2):
        torch.manual_seed(0)
        pair = SparkPair(TINY, TINY, Recipe(peak=3e-3))
        generator = torch.Generator().manual_seed(0)
        sentence, style = torch.randn(8, 12, generator=generator), torch.eye(2)[[0, 1] * 4]
        real = RealBatch(torch.randn(8, 4, 8, 8, generator=generator).tanh(), sentence, style)
        noise = pair.noise(8, generator)
        noted: dict[str, float] = {}
        for step in range(12):
            pair.set_rate(1.0)
            noted |= pair.judge_step(real, 0.0, generator)
            noted |= pair.generator_step(
                real,
                noise,
                step,
                generator,
                adversarial_weight=0.1,
                reconstruction=lambda drawn, real=real: (drawn - real.pictures).abs().mean(),  # type: ignore[misc]
            )
        assert set(noted) == {"judge", "mismatch", "slope", "generator", "reconstruction"}
        assert noted["reconstruction"] < 0.6
        finals.append(pair.average.state_dict())
    assert all(torch.equal(finals[0][name], finals[1][name]) for name in finals[0])
