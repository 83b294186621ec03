"""The baselines as samplers: pictures of the right kind, decided by prompt, seed and style."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from genworkers.evaluation.samplers import beta_vae_sampler, dcgan_sampler
from genworkers.nets.baselines import BetaVae, DcganGenerator

pytestmark = pytest.mark.slow  # both read the text encoder's weights


@pytest.mark.parametrize(("net", "sampler"), [(DcganGenerator, dcgan_sampler), (BetaVae, beta_vae_sampler)])
def test_a_baseline_draws_as_asked(net: type[nn.Module], sampler: type, tmp_path: Path) -> None:
    torch.manual_seed(0)
    run = tmp_path / "resume.pt"
    torch.save({"average": net(2).state_dict()}, run)
    sample = sampler(run, ["flat", "bold"])
    first, other_seed, other_words = sample(["a cat", "a cat", "a red car"], [1, 2, 1], "flat")
    assert first.shape == (64, 64, 4)
    assert first.dtype == np.uint8
    assert np.array_equal(first, sample(["a cat"], [1], "flat")[0])
    for other in (other_seed, other_words, sample(["a cat"], [1], "bold")[0]):
        assert not np.array_equal(first, other)
