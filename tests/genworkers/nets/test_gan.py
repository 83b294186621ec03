"""Spark's generator and discriminator: shapes, what they depend on, and that both can learn."""

import pytest
import torch
import torch.nn.functional as F

from genworkers.nets.conditions import ConditionReader
from genworkers.nets.gan import SparkConfig, SparkDiscriminator, SparkGenerator

TINY = SparkConfig(widths=(16, 16), num_styles=2, sentence_width=12, noise_width=8, condition_width=16, num_blocks=1)


@pytest.mark.parametrize(("widths", "px"), [((16,), 4), ((16, 16), 8), ((32, 16, 16, 16), 32)])
def test_a_picture_has_the_size_that_its_widths_say(widths: tuple[int, ...], px: int) -> None:
    config = SparkConfig(1, widths, num_styles=2, sentence_width=12, noise_width=8, condition_width=16, num_blocks=1)
    pictures = SparkGenerator(config)(torch.randn(3, 8), torch.randn(3, 12), torch.eye(2)[[0, 1, 0]])
    assert pictures.shape == (3, 1, px, px) == (3, 1, config.picture_px, config.picture_px)
    assert float(pictures.detach().abs().max()) <= 1
    assert SparkDiscriminator(config)(pictures, torch.randn(3, 12), torch.eye(2)[[0, 1, 0]]).shape == (3,)


@pytest.mark.slow
def test_one_batch_overfits() -> None:
    torch.manual_seed(0)
    net = SparkGenerator(TINY)
    noise, sentence, style = torch.randn(4, 8), torch.randn(4, 12), torch.eye(2)[[0, 1, 0, 1]]
    target = torch.rand(4, 4, 8, 8) * 1.6 - 0.8
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(250):
        loss = F.l1_loss(net(noise, sentence, style), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.08


@pytest.mark.slow
def test_the_discriminator_learns_which_words_fit() -> None:
    torch.manual_seed(0)
    judge = SparkDiscriminator(TINY)
    pictures, sentence, style = torch.randn(8, 4, 8, 8).tanh(), torch.randn(8, 12), torch.eye(2)[[0, 1] * 4]
    optimiser = torch.optim.Adam(judge.parameters(), lr=3e-3)
    for _ in range(80):
        right, wrong = judge(pictures, sentence, style), judge(pictures, sentence.roll(1, 0), style)
        loss = F.softplus(wrong - right).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.1


def test_the_same_noise_and_words_draw_the_same_and_all_three_inputs_count() -> None:
    torch.manual_seed(0)
    net = SparkGenerator(SparkConfig()).eval()
    for block in net.blocks:
        torch.nn.init.normal_(block.get_submodule("contract").weight, std=0.02)  # type: ignore[arg-type]
    noise, sentence, style = torch.randn(1, 64), torch.randn(1, 384), torch.eye(3)[:1]
    with torch.inference_mode():
        plain = net(noise, sentence, style)
        assert torch.equal(plain, net(noise, sentence, style))
        torch.testing.assert_close(plain, net(noise, 7 * sentence, style))  # only the sentence's direction counts
        assert not torch.allclose(plain, net(torch.randn(1, 64), sentence, style))
        assert not torch.allclose(plain, net(noise, torch.randn(1, 384), style))
        assert not torch.allclose(plain, net(noise, sentence, torch.eye(3)[1:2]))
        assert bool(net(noise, torch.zeros(1, 384), style).isfinite().all())


def test_what_sentences_have_in_common_is_taken_away() -> None:
    torch.manual_seed(0)
    reader = ConditionReader(12, 2, 16)
    common, style = torch.full((12,), 5.0), torch.zeros(40, 2)
    sentences = common + 0.1 * torch.randn(40, 12)
    with torch.inference_mode():
        before = reader(sentences, style).std(0).mean()
        reader.learn_usual(sentences)
        after = reader(sentences, style)
    assert float(after.std(0).mean()) > 10 * float(before)
    assert "middle" in reader.state_dict()
