"""What drift's autoencoder and its text prior are trained on."""

import torch
from torch import Tensor

from genworkers.nets.vae import divergence


def information_cost(mean: Tensor, log_variance: Tensor, free_nats: float) -> Tensor:
    """Divergence from the unit Gaussian in nats a picture, a scalar; what a dimension spends below `free_nats` is free.

    Kingma et al. 2016, "Improving Variational Inference with Inverse Autoregressive Flow" (arXiv:1606.04934), section
    C.8: free bits keep dimensions alive that would otherwise be switched off before they are of use.
    """
    return divergence(mean, log_variance).mean(0).clamp(min=free_nats).sum()


def calibrated_error(painted: Tensor, target: Tensor) -> Tensor:
    """Nats a picture of a Gaussian whose one standard deviation is the best for this batch: a scalar.

    Rybkin, Daniilidis, Levine 2020, "Simple and Effective VAE Training with Calibrated Decoders" (arXiv:2006.13202),
    section 4: it weighs error and information cost without a weight to be found.
    """
    return 0.5 * target[0].numel() * (painted - target).square().mean().clamp(min=1e-6).log()


def prior_error(mean: Tensor, log_variance: Tensor, places: Tensor) -> Tensor:
    """How unlikely places (B, Z) are under the prior, in nats a dimension without the constant: a scalar."""
    return 0.5 * ((places - mean).square() * torch.exp(-log_variance) + log_variance).mean()
