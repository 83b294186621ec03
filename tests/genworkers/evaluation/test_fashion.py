"""Fashion-MNIST: the fold, and the area under the ROC curve against counting."""

import pytest
import torch

from genworkers.codecs.fashion_mnist import fold, unfold
from genworkers.evaluation.fashion import ClassModel, auroc
from genworkers.nets.vae import DriftConfig, DriftVae


def test_folding_loses_nothing() -> None:
    pictures = torch.randint(0, 256, (3, 28, 28), dtype=torch.uint8)
    folded = fold(pictures)
    assert folded.shape == (3, 16, 8, 8)
    assert torch.equal(unfold(folded), pictures)


def test_the_area_under_the_curve_is_the_chance_of_the_right_order() -> None:
    generator = torch.Generator().manual_seed(0)
    usual = torch.randint(0, 6, (40,), generator=generator).float()
    strange = torch.randint(2, 8, (30,), generator=generator).float()
    pairs = (strange[:, None] > usual).float() + 0.5 * (strange[:, None] == usual).float()
    assert abs(auroc(usual, strange) - float(pairs.mean())) < 1e-6
    assert auroc(torch.zeros(3), torch.ones(2)) == 1.0


@pytest.mark.slow
def test_both_scores_tell_what_a_net_knows_from_what_it_does_not() -> None:
    torch.manual_seed(0)
    net = DriftVae(
        DriftConfig(2, (8, 8), latent_width=4, num_styles=1, sentence_width=4, prior_width=8, num_paint_blocks=1)
    )
    known = torch.full((32, 2, 8, 8), 0.4) + 0.05 * torch.randn(32, 2, 8, 8)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(40):
        loss = (net.decode(net.encode(known)[0]) - known).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model = ClassModel(net.eval(), known)
    usual, strange = model.strangeness(known), model.strangeness(-known)
    for score in ("error_and_information", "error_and_distance"):
        assert auroc(usual[score], strange[score]) > 0.99
