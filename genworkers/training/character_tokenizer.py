"""Train the tokenizer of the characters net: `python -m genworkers.training.character_tokenizer --help`.

Every batch is newly composed from the layers. The budget is wall-clock time; run again with the same --out it goes on.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genworkers.nets.palette_tokenizer import PaletteTokenizer, PaletteTokenizerConfig
from genworkers.training.character_composer import Composer
from genworkers.training.character_layers import TRANSPARENT, load_layers
from genworkers.training.character_steps import Learner
from genworkers.training.loop import TimedRun

FIGURE_SHARE = 0.3  # of a figure's pixels that each step looks at
AROUND_SHARE = 0.1  # of the ground in tiles with figure
NUM_TESTED = 256


def compose_batch(composer: Composer, random: np.random.Generator, num: int, *, held_out: bool = False) -> Tensor:
    """Random characters on a transparent ground as palette numbers (num, 64, 64) int64."""
    characters = [replace(composer.draw(random, held_out=held_out), ground=TRANSPARENT) for _ in range(num)]
    return torch.from_numpy(np.stack([composer.paint(character) for character in characters])).long()


def choice_loss(net: PaletteTokenizer, part: Tensor) -> Tensor:
    """Cross-entropy of the chosen colours at random pixels of tiles with figure, most of them on the figure itself."""
    features, is_painted = net(part)
    figure, around = ((is_painted & where).flatten().nonzero()[:, 0] for where in (part != 0, part == 0))
    picked = torch.cat(
        [
            figure[torch.randint(len(figure), (int(FIGURE_SHARE * len(figure)),))],
            around[torch.randint(len(around), (int(AROUND_SHARE * len(around)),))],
        ]
    )
    return F.cross_entropy(net.choose(features.flatten(0, 2)[picked]).float(), part.flatten()[picked])


@torch.inference_mode()
def exactness(net: PaletteTokenizer, indices: Tensor) -> dict[str, float]:
    """Share of pixels of the figure, and of whole pictures, that come back in exactly their colour; codes in use."""
    codes = torch.cat([net.encode_indices(part) for part in indices.split(32)])
    painted = torch.cat([net.decode_indices(part) for part in codes.split(32)])
    is_same = painted == indices
    is_figure = indices != 0
    return {
        "figure_pixels": round(float(is_same[is_figure].float().mean()), 5),
        "pixels": round(float(is_same.float().mean()), 5),
        "pictures": round(float(is_same.flatten(1).all(1).float().mean()), 4),
        "codes_used": float(len(codes.unique())),
    }


def main() -> None:
    """Train until the budget is spent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/character-tokenizer"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--budget-min", type=float, default=22.0)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    composer = Composer(load_layers(options.corpus, options.cache))
    tested = compose_batch(composer, np.random.default_rng(1), NUM_TESTED, held_out=True)
    config = PaletteTokenizerConfig(num_colours=len(composer.frames.palette))
    net = PaletteTokenizer(config)
    net.start_from(torch.from_numpy(composer.frames.palette))
    learner = Learner(net, PaletteTokenizer(config), ("encoder.", "decoder."))
    run = TimedRun(options.out, options.budget_min, learner.parts)
    random = np.random.default_rng([2, run.step])
    for spent_frac in run.steps(lambda: exactness(learner.average, tested)):
        part = net.figure_part(compose_batch(composer, random, options.batch))
        with torch.autocast("cpu", torch.bfloat16):
            loss = choice_loss(net, part)
        learner.step(loss, spent_frac, run.step)
        run.note(loss=float(loss.detach()))


if __name__ == "__main__":
    main()
