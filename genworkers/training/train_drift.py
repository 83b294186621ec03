"""Train drift on the latents of a finished tokenizer: `python -m genworkers.training.train_drift --help`.

First the autoencoder, then with it frozen the text prior that says where a sentence lies. The budget is wall-clock
time; run again with the same --out it goes on where the last checkpoint stood.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from genworkers.nets.vae import DriftConfig, DriftVae, divergence, sample
from genworkers.training.drift_losses import calibrated_error, information_cost, prior_error
from genworkers.training.latent_data import (
    LatentSet,
    load_latents,
    load_tokenizer,
    picture_error,
    seen_as,
)
from genworkers.training.loop import TimedRun
from genworkers.training.optim import move_average, wsd_factor

PRIOR_FROM_FRAC = 0.8
SHOWN_PER_BATCH = 8
SHOWN_EVERY = 4  # painting is the dearest part of a step
SHOWN_WEIGHT = 500.0


def scores_of(net: DriftVae, data: LatentSet) -> dict[str, float]:
    """Error, information and prior on held-out pictures and on as many trained ones."""
    scores: dict[str, float] = {}
    held_out = data.is_held_out.nonzero()[:, 0]
    trained = data.trained_rows
    net.eval()
    with torch.inference_mode():
        for name, rows in (("held_out", held_out), ("trained", trained[:: max(1, len(trained) // len(held_out))])):
            latents = data.latents[rows, 0].float()
            mean, log_variance = net.encode(latents)
            expected = net.prior(data.sentence_of(rows), data.weights_of_style(rows))
            scores[f"{name}_error"] = float((net.decode(mean) - latents).square().mean())
            scores[f"{name}_nats"] = float(divergence(mean, log_variance).sum(1).mean())
            scores[f"{name}_prior"] = float(prior_error(*expected, mean))
    return {name: round(value, 4) for name, value in scores.items()}


def prior_step(net: DriftVae, data: LatentSet, places: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
    """The prior's loss on a batch of places that the frozen encoder found: (M, Z) means and log-variances."""
    rows = torch.randint(len(places[0]), (256,), generator=generator)
    originals = data.trained_rows[rows]
    sentence, style = data.sentence_of(originals, generator), data.weights_of_style(originals)
    sentence = sentence + 0.1 * sentence.std() * torch.randn(sentence.shape, generator=generator)
    sentence[torch.rand(len(rows), generator=generator) < 0.05] = 0.0
    mean, log_variance = places[0][rows], places[1][rows]
    wanted = sample(mean, log_variance, torch.randn(mean.shape, generator=generator))
    return prior_error(*net.prior(sentence, style), wanted)


def places_of(net: DriftVae, latents: Tensor) -> tuple[Tensor, Tensor]:
    """Where pictures (M, 4, 8, 8) lie: means and log-variances (M, Z)."""
    parts = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for part in latents.split(512):
            parts.append(net.encode(part.float()))
    means, log_variances = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return means, log_variances


def main() -> None:
    """Train until the budget is spent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--tokenizer", type=Path, default=Path("runs/tokenizer_final/resume.pt"))
    parser.add_argument("--out", type=Path, default=Path("runs/drift"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--styles", nargs="+", default=["fluent-flat", "twemoji", "fluent-3d"], help="in order")
    parser.add_argument("--start", type=Path, help="the resume.pt of another run, whose net to start from")
    parser.add_argument("--num-scenes", type=int, default=11700)
    parser.add_argument("--scene-frac", type=float, default=0.25, help="share of scenes in a batch")
    parser.add_argument("--budget-min", type=float, default=20.0)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--peak", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    tokenizer = load_tokenizer(options.tokenizer)
    data = load_latents(options.corpus, options.cache, options.styles, tokenizer, num_scenes=options.num_scenes)

    config = DriftConfig(num_styles=len(options.styles))
    net = DriftVae(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.words.learn_usual(data.sentences)
    if options.start is not None:
        net.load_state_dict(torch.load(options.start, weights_only=True)["average"])
    average = DriftVae(config)
    average.load_state_dict(net.state_dict())
    prior_parts = (net.words, net.prior_hidden, net.prior_out)
    prior = [parameter for part in prior_parts for parameter in part.parameters()]
    is_prior = {id(parameter) for parameter in prior}
    rest = [parameter for parameter in net.parameters() if id(parameter) not in is_prior]
    optimiser = torch.optim.AdamW(rest, lr=options.peak, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    prior_optimiser = torch.optim.AdamW(prior, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.05, fused=True)
    parts = {"net": net, "average": average, "optimiser": optimiser, "prior_optimiser": prior_optimiser}
    run = TimedRun(options.out, options.budget_min, parts)
    generator = torch.Generator().manual_seed(run.step)
    places: tuple[Tensor, Tensor] | None = None
    for spent_frac in run.steps(lambda: scores_of(average, data)):
        if spent_frac >= PRIOR_FROM_FRAC:
            if places is None:
                places = places_of(average, data.latents[data.trained_rows, 0])
            own_frac = (spent_frac - PRIOR_FROM_FRAC) / (1 - PRIOR_FROM_FRAC)
            factor = wsd_factor(own_frac, warmup_frac=0.02, cooldown_frac=0.6, floor=0.02)
            prior_optimiser.param_groups[0]["lr"] = 1e-3 * factor
            loss = prior_step(net, data, places, generator)
            prior_optimiser.zero_grad()
            loss.backward()
            prior_optimiser.step()
            with torch.no_grad():
                for name, value in net.named_parameters():
                    if id(value) in is_prior:
                        average.get_parameter(name).lerp_(value, 0.01)
            run.note(prior=float(loss.detach()))
            continue
        factor = wsd_factor(spent_frac / PRIOR_FROM_FRAC, warmup_frac=0.0, cooldown_frac=0.5, floor=0.02)
        optimiser.param_groups[0]["lr"] = options.peak * factor * min(1.0, (run.step + 1) / 100)
        rows, view = data.pick(options.batch, options.scene_frac, generator)
        target = data.latents[rows, view].float()
        with torch.autocast("cpu", torch.bfloat16):
            mean, log_variance = net.encode(target)
            painted = net.decode(sample(mean, log_variance, torch.randn(mean.shape, generator=generator)))
        error = calibrated_error(painted, target)
        information = information_cost(mean, log_variance, free_nats=0.1)
        warm = min(1.0, spent_frac / 0.2)
        loss = error + warm * information
        if run.step % SHOWN_EVERY == 0:
            wanted = seen_as(data.pictures[rows[:SHOWN_PER_BATCH]], view).float() / 255.0
            shown = picture_error(tokenizer, painted[:SHOWN_PER_BATCH], wanted, generator)
            run.note(shown=float(shown.detach()))
            loss = loss + SHOWN_WEIGHT * shown
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(rest, 200.0)
        optimiser.step()
        move_average(average, net, run.step, 0.998)
        run.note(error=float(error.detach()), information=float(information.detach()))


if __name__ == "__main__":
    main()
