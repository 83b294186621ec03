"""Train what spark and drift are compared with, on the same pictures and words and with the same budgets:
`python -m genworkers.training.train_baselines dcgan --budget-min 40`, the same with `betavae`.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from genworkers.nets.baselines import NOISE_WIDTH, BetaVae, DcganDiscriminator, DcganGenerator
from genworkers.nets.vae import sample
from genworkers.training.drift_losses import information_cost, prior_error
from genworkers.training.latent_data import LatentSet, load_latents, load_tokenizer, seen_as
from genworkers.training.loop import Stateful, TimedRun

ADAM_RATE = 2e-4
BETA = 2.0
PRIOR_FROM_FRAC = 0.8


def batch_of(
    data: LatentSet, size: int, scene_frac: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pictures (B, 4, 64, 64) in -1..1, sentences and style weights, and their rows."""
    rows, view = data.pick(size, scene_frac, generator)
    pictures = seen_as(data.pictures[rows], view).float() / 127.5 - 1.0
    return pictures, data.sentence_of(rows, generator), data.weights_of_style(rows), rows


def train_dcgan(data: LatentSet, out: Path, budget_min: float, batch: int, scene_frac: float) -> None:
    """Non-saturating losses, Adam (0.5, 0.999), no averaging: as it was published."""
    net, judge = DcganGenerator(len(data.styles)), DcganDiscriminator(len(data.styles))
    net.words.learn_usual(data.sentences)
    judge.words.learn_usual(data.sentences)
    optimiser = torch.optim.Adam(net.parameters(), lr=ADAM_RATE, betas=(0.5, 0.999), fused=True)
    judge_optimiser = torch.optim.Adam(judge.parameters(), lr=ADAM_RATE, betas=(0.5, 0.999), fused=True)
    parts: dict[str, Stateful] = {
        "average": net,
        "judge": judge,
        "optimiser": optimiser,
        "judge_optimiser": judge_optimiser,
    }
    run = TimedRun(out, budget_min, parts)
    generator = torch.Generator().manual_seed(run.step)
    for _ in run.steps(dict):
        pictures, sentence, style, _ = batch_of(data, batch, scene_frac, generator)
        noise = torch.randn(batch, NOISE_WIDTH, generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            drawn = net(noise, sentence, style)
            judged_real, judged_drawn = judge(pictures, sentence, style), judge(drawn.detach(), sentence, style)
        judge_loss = F.softplus(-judged_real).mean() + F.softplus(judged_drawn).mean()
        judge_optimiser.zero_grad()
        judge_loss.backward()
        judge_optimiser.step()
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.softplus(-judge(drawn, sentence, style)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        run.note(judge=float(judge_loss.detach()), generator=float(loss.detach()))


def train_beta_vae(data: LatentSet, out: Path, budget_min: float, batch: int, scene_frac: float) -> None:
    """Squared error plus BETA times the information cost; in the last fifth the text prior alone."""
    net = BetaVae(len(data.styles))
    net.words.learn_usual(data.sentences)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    run = TimedRun(out, budget_min, {"average": net, "optimiser": optimiser})
    generator = torch.Generator().manual_seed(run.step)
    for spent_frac in run.steps(dict):
        pictures, sentence, style, _ = batch_of(data, batch, scene_frac, generator)
        if spent_frac < PRIOR_FROM_FRAC:
            with torch.autocast("cpu", torch.bfloat16):
                mean, log_variance = net.encode(pictures)
                painted = net.decode(sample(mean, log_variance, torch.randn(mean.shape, generator=generator)))
            # The usual unit-variance Gaussian on 0..255-like scales: squared error summed over the picture.
            error = 2.0 * (painted - pictures).square().sum((1, 2, 3)).mean()
            information = information_cost(mean, log_variance, 0.0)
            loss = error + BETA * information
            run.note(error=float(error.detach()), information=float(information.detach()))
        else:
            net.look.eval()
            with torch.no_grad():
                mean, log_variance = net.encode(pictures)
                places = sample(mean, log_variance, torch.randn(mean.shape, generator=generator))
            loss = prior_error(*net.prior(sentence, style), places)
            run.note(prior=float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def main() -> None:
    """Train one of them until its budget is spent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=["dcgan", "betavae"])
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--tokenizer", type=Path, default=Path("runs/tokenizer_final/resume.pt"))
    parser.add_argument("--out", type=Path, help="default: runs/WHICH")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--styles", nargs="+", default=["fluent-flat", "twemoji", "fluent-3d"], help="in order")
    parser.add_argument("--num-scenes", type=int, default=11700)
    parser.add_argument("--scene-frac", type=float, default=0.25, help="share of scenes")
    parser.add_argument("--budget-min", type=float, default=30.0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    tokenizer = load_tokenizer(options.tokenizer)
    data = load_latents(options.corpus, options.cache, options.styles, tokenizer, num_scenes=options.num_scenes)
    train = {"dcgan": train_dcgan, "betavae": train_beta_vae}[options.which]
    out = options.out or Path("runs") / options.which
    train(data, out, options.budget_min, options.batch, options.scene_frac)


if __name__ == "__main__":
    main()
