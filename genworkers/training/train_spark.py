"""Train spark on the latents of a finished tokenizer: `python -m genworkers.training.train_spark --help`.

First the generator alone learns to hit the pictures, each with the noise that comes nearest; then the discriminator
joins. The budget is wall-clock time; run again with the same --out it goes on where the last checkpoint stood.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from genworkers.nets.gan import SparkConfig, SparkGenerator
from genworkers.training import collapse
from genworkers.training.latent_data import (
    LatentSet,
    load_latents,
    load_tokenizer,
    picture_error,
    seen_as,
)
from genworkers.training.loop import TimedRun
from genworkers.training.optim import wsd_factor
from genworkers.training.spark_pair import RealBatch, Recipe, SparkPair

NUM_WATCHED = 300
SHOWN_PER_BATCH = 8
SHOWN_EVERY = 4  # painting is the dearest part of a step
SHOWN_WEIGHT = 0.2  # about as strong a gradient as that of the latents' own error; 2.0 drowned it


def nearest_noise(
    pair: SparkPair, latents: Tensor, sentence: Tensor, style: Tensor, number: int, generator: torch.Generator
) -> Tensor:
    """Of `number` noises for each picture the one whose drawing comes nearest: (B, noise_width).

    Li, Malik 2018, "Implicit Maximum Likelihood Estimation" (arXiv:1809.09087), turned to conditions: no picture is
    left without a noise that draws it, so none is forgotten.
    """
    tried = [pair.noise(len(latents), generator) for _ in range(number)]
    with torch.no_grad():
        errors = [(pair.draw(noise, sentence, style) - latents).square().flatten(1).sum(1) for noise in tried]
    best = torch.stack(errors).argmin(0)
    return torch.stack(tried)[best, torch.arange(len(latents))]


def watch(net: SparkGenerator, data: LatentSet, trained: Tensor) -> dict[str, float]:
    """Signs of mode collapse: latents drawn for trained concepts in the first style, against the real ones."""
    rows = trained[(data.style[trained] == 0) & (data.concept[trained] >= 0)]
    asked = rows[:: max(1, len(rows) // NUM_WATCHED)][:NUM_WATCHED]
    own = (rows[None] == asked[:, None]).float().argmax(1)
    sentence, style = data.sentence_of(asked), data.weights_of_style(asked)
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        drawn = [
            net(torch.randn(len(asked), net.config.noise_width, generator=generator), sentence, style).flatten(1)
            for _ in range(2)
        ]
    real = data.latents[rows, 0].float().flatten(1)
    distinct, found = collapse.nearest_concepts(drawn[0], real, own)
    scores = {
        "distinct_concepts": distinct,
        "own_is_nearest": found,
        "coverage": collapse.coverage(real[own], drawn[0]),
        "variety": collapse.variety(drawn[0], drawn[1]),
    }
    return {name: round(value, 4) for name, value in scores.items()}


def main() -> None:
    """Train until the budget is spent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--tokenizer", type=Path, default=Path("runs/tokenizer_final/resume.pt"))
    parser.add_argument("--out", type=Path, default=Path("runs/spark"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--styles", nargs="+", default=["fluent-flat", "twemoji", "fluent-3d"], help="in order")
    parser.add_argument("--start", type=Path, help="the resume.pt of another run, whose nets to start from")
    parser.add_argument("--num-scenes", type=int, default=11700)
    parser.add_argument("--scene-frac", type=float, default=0.12, help="share of scenes in a batch")
    parser.add_argument("--joins-at-frac", type=float, default=0.55, help="when the discriminator joins")
    parser.add_argument("--adversarial-weight", type=float, default=0.1)
    parser.add_argument("--budget-min", type=float, default=30.0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    tokenizer = load_tokenizer(options.tokenizer)
    data = load_latents(options.corpus, options.cache, options.styles, tokenizer, num_scenes=options.num_scenes)
    trained = data.trained_rows

    config = SparkConfig(num_styles=len(options.styles))
    judge_config = SparkConfig(widths=(128, 64), num_styles=len(options.styles), condition_width=256, num_blocks=1)
    pair = SparkPair(config, judge_config, Recipe(peak=2e-3, momentum=0.5, has_muon=True))
    for net in (pair.generator, pair.average, pair.judge):
        net.words.learn_usual(data.sentences)
    if options.start is not None:
        state = torch.load(options.start, weights_only=True)
        pair.generator.load_state_dict(state["average"])
        pair.average.load_state_dict(state["average"])
        pair.judge.load_state_dict(state["judge"])
    run = TimedRun(options.out, options.budget_min, pair.parts)
    generator = torch.Generator().manual_seed(run.step)
    for spent_frac in run.steps(lambda: watch(pair.average, data, trained)):
        has_judge = spent_frac >= options.joins_at_frac
        warm = min(1.0, (run.step + 1) / 100)
        pair.set_rate(warm * wsd_factor(spent_frac, warmup_frac=0.0, cooldown_frac=0.7, floor=0.03))
        rows, view = data.pick(options.batch, options.scene_frac, generator)
        sentence, style = data.sentence_of(rows, generator), data.weights_of_style(rows)
        sentence[torch.rand(len(rows), generator=generator) < 0.05] = 0.0
        real = RealBatch(data.latents[rows, view].float(), sentence, style)
        wanted = seen_as(data.pictures[rows[:SHOWN_PER_BATCH]], view).float() / 255.0
        is_shown = run.step % SHOWN_EVERY == 0

        def reconstruction(
            drawn: Tensor, latents: Tensor = real.pictures, wanted: Tensor = wanted, is_shown: bool = is_shown
        ) -> Tensor:
            error = (drawn - latents).abs().mean()
            if is_shown:
                shown = picture_error(tokenizer, drawn[:SHOWN_PER_BATCH], wanted, generator)
                run.note(shown=float(shown.detach()))
                error = error + SHOWN_WEIGHT * shown
            return error

        if has_judge:
            run.note(**pair.judge_step(real, spent_frac, generator))
        noise = nearest_noise(pair, real.pictures, sentence, style, 2 if has_judge else 3, generator)
        run.note(
            **pair.generator_step(
                real,
                noise,
                run.step,
                generator,
                adversarial_weight=options.adversarial_weight if has_judge else 0.0,
                reconstruction=reconstruction,
            )
        )


if __name__ == "__main__":
    main()
