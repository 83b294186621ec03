"""The baselines as samplers, so that they sit the same exam as nets that the engine serves: prompts to pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from genworkers.codecs.image_bytes import Pixels, unpremultiply
from genworkers.codecs.wordpiece import WordPiece
from genworkers.nets.baselines import NOISE_WIDTH, BetaVae, DcganGenerator
from genworkers.nets.encoder import load_minilm, minilm_folder
from genworkers.nets.vae import sample

Sampler = Callable[[Sequence[str], Sequence[int], str], list[Pixels]]
Draw = Callable[[Tensor, Tensor, Tensor], Tensor]


def dcgan_sampler(run: Path, styles: Sequence[str]) -> Sampler:
    """The DCGAN of a training run.

    Args:
        run: its resume.pt.
        styles: names by which the styles are asked for, in the order of the training.
    """
    net = DcganGenerator(len(styles))
    net.load_state_dict(torch.load(run, weights_only=True)["average"])
    net.eval()
    return _sampler(lambda noise, sentence, style: net(noise, sentence, style), NOISE_WIDTH, styles)


def beta_vae_sampler(run: Path, styles: Sequence[str]) -> Sampler:
    """The beta-VAE of a training run, at places that its text prior draws; arguments as `dcgan_sampler`."""
    net = BetaVae(len(styles))
    net.load_state_dict(torch.load(run, weights_only=True)["average"])
    net.eval()

    def draw(noise: Tensor, sentence: Tensor, style: Tensor) -> Tensor:
        return net.decode(sample(*net.prior(sentence, style), noise))

    return _sampler(draw, net.unfold.in_features, styles)


def _sampler(draw: Draw, noise_width: int, styles: Sequence[str]) -> Sampler:
    folder = minilm_folder()
    encoder, wordpiece = load_minilm(folder).eval(), WordPiece(folder / "tokenizer.json")

    @torch.inference_mode()
    def sampled(prompts: Sequence[str], seeds: Sequence[int], style: str) -> list[Pixels]:
        weights = torch.zeros(1, len(styles))
        weights[0, list(styles).index(style)] = 1.0
        pictures = []
        for prompt, seed in zip(prompts, seeds, strict=True):
            sentence = encoder.encode([wordpiece.encode(prompt)])[0].mean(0, keepdim=True)
            noise = torch.randn(1, noise_width, generator=torch.Generator().manual_seed(seed))
            painted = (draw(noise, sentence, weights)[0] + 1.0) / 2.0
            pictures.append(unpremultiply(painted.permute(1, 2, 0).numpy()))
        return pictures

    return sampled
