"""Sharpen a finished tokenizer's decoder against a discriminator: `python -m genworkers.training.train_decoder --help`.

The encoder is frozen, so that codes mean what they meant. The budget is wall-clock time.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from genworkers.nets.fsq_tokenizer import FsqTokenizer, TokenizerConfig
from genworkers.training.adversarial import (
    PatchDiscriminator,
    augment_alike,
    feature_distance,
    gradient_penalty,
    relativistic_loss,
)
from genworkers.training.loop import TimedRun
from genworkers.training.optim import move_average
from genworkers.training.sticker_data import load_stickers, read_captions
from genworkers.training.train_tokenizer import (
    PictureSource,
    augment,
    learning_rate_at,
    peak_signal_to_noise,
    reconstruction_loss,
    to_tensor,
)

PENALTY_EVERY_STEPS = 4  # lazy R1 and R2: Karras et al. 2020 (arXiv:1912.04958), appendix B
FEATURE_WEIGHT = 2.0
NUM_SCORED = 24  # held-out pictures of each style at a checkpoint


def shown(premultiplied: Tensor, background: Tensor) -> Tensor:
    """(B, 4, H, W) premultiplied 0..1 as the discriminator sees it: over (B, 3, 1, 1) colours, with alpha, -1..1."""
    alpha = premultiplied[:, 3:]
    return torch.cat([premultiplied[:, :3] + (1.0 - alpha) * background, alpha], 1) * 2.0 - 1.0


def main() -> None:
    """Train until the budget is spent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--tokenizer", type=Path, default=Path("runs/tokenizer/resume.pt"))
    parser.add_argument("--out", type=Path, default=Path("runs/decoder"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--styles", nargs="+", default=["fluent-flat"], help="STYLE or STYLE:WEIGHT")
    parser.add_argument("--scenes", type=float, default=0.35, help="share of composed scenes in a batch")
    parser.add_argument("--budget-min", type=float, default=12.0)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--peak", type=float, default=3e-4, help="highest learning rate of the decoder")
    parser.add_argument("--adversarial", type=float, default=0.4, help="its gradient's norm, as a share of the error's")
    parser.add_argument("--penalty", type=float, default=1.0, help="gamma of R1 and R2")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    named = [text.partition(":") for text in options.styles]
    source = PictureSource(
        [load_stickers(options.corpus, style, options.cache) for style, _, _ in named],
        [float(weight or 1.0) for _, _, weight in named],
        read_captions(options.corpus),
    )
    net = FsqTokenizer(TokenizerConfig()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.load_state_dict(torch.load(options.tokenizer, weights_only=True)["average"])
    net.encoder.requires_grad_(False)
    average = FsqTokenizer(TokenizerConfig())
    average.load_state_dict(net.state_dict())
    discriminator = PatchDiscriminator().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    painter = torch.optim.Adam(net.decoder.parameters(), lr=options.peak, betas=(0.5, 0.99), fused=True)
    judge = torch.optim.Adam(discriminator.parameters(), lr=2 * options.peak, betas=(0.0, 0.99), fused=True)
    parts = {"net": net, "average": average, "discriminator": discriminator, "painter": painter, "judge": judge}
    run = TimedRun(options.out, options.budget_min, parts)
    generator = torch.Generator().manual_seed(run.step)

    def scores() -> dict[str, dict[str, float]]:
        return {
            stickers.style: peak_signal_to_noise(
                average,
                to_tensor(stickers.small[held_out[:NUM_SCORED]]),
                to_tensor(stickers.large[held_out[:NUM_SCORED]]),
            )
            for stickers, held_out in zip(source.sets, source.held_out, strict=True)
        }

    for spent_frac in run.steps(scores):
        for optimiser, peak in ((painter, options.peak), (judge, 2 * options.peak)):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate_at(spent_frac, run.step, peak)
        inputs, target = augment(*source.batch(options.batch, options.scenes, run.step), generator)
        background = torch.rand(len(target), 3, 1, 1, generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            painted, _ = net(inputs.contiguous(memory_format=torch.channels_last))
        painted = painted.float()
        # Gradients stop here: what the two losses want of the pixels is weighed before it reaches the decoder.
        pixels = painted.detach().requires_grad_()
        real, fake = augment_alike((shown(target, background), shown(pixels, background)), generator)
        with torch.autocast("cpu", torch.bfloat16):
            fake_judged, fake_features = discriminator(fake)
            with torch.no_grad():
                real_judged, real_features = discriminator(real)
            wanted = relativistic_loss(fake_judged, real_judged)
            distance = feature_distance(fake_features, real_features)
        error = reconstruction_loss(pixels, target, background)
        (towards_target,) = torch.autograd.grad(error, pixels)
        (towards_real,) = torch.autograd.grad(wanted + FEATURE_WEIGHT * distance, pixels)
        share = options.adversarial * towards_target.norm() / towards_real.norm().clamp(min=1e-12)
        painter.zero_grad()
        painted.backward(towards_target + share * towards_real)
        torch.nn.utils.clip_grad_norm_(net.decoder.parameters(), 1.0)
        painter.step()

        judge.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            judged = relativistic_loss(discriminator(real)[0], discriminator(fake.detach())[0])
        judged.backward()
        if run.step % PENALTY_EVERY_STEPS == 0:
            half = len(real) // 2
            penalty = gradient_penalty(discriminator, real[:half]) + gradient_penalty(discriminator, fake[:half])
            (0.5 * options.penalty * PENALTY_EVERY_STEPS * penalty).backward()
            run.note(penalty=float(penalty.detach()))
        judge.step()
        move_average(average, net, run.step, 0.995)
        run.note(error=float(error.detach()), distance=float(distance.detach()), judged=float(judged.detach()))


if __name__ == "__main__":
    main()
