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
from genworkers.training.character_tiles import typical_tiles
from genworkers.training.loop import TimedRun

SHOWN_FRAC = 0.3  # of the tiles that each step paints
NUM_TESTED = 256
NUM_LOOKED_AT = 1024  # characters whose tiles decide what is typical


def compose_batch(composer: Composer, random: np.random.Generator, num: int, *, held_out: bool = False) -> Tensor:
    """Random characters on a transparent ground as palette numbers (num, 64, 64) int64."""
    characters = [replace(composer.draw(random, held_out=held_out), ground=TRANSPARENT) for _ in range(num)]
    return torch.from_numpy(np.stack([composer.paint(character) for character in characters])).long()


def find_typical_tiles(net: PaletteTokenizer, composer: Composer, palette: Tensor) -> Tensor:
    """Typical tiles (K, pixels, 4) of many composed characters; one seen often weighs more, but not in proportion."""
    random = np.random.default_rng(3)
    part = net.figure_part(compose_batch(composer, random, NUM_LOOKED_AT))
    tiles = net.tiles_of(part).flatten(0, 2)
    tiles = tiles[(tiles != tiles[:, :1]).any(1)]
    distinct, counts = tiles.unique(dim=0, return_counts=True)
    straight = palette.float() / 255.0
    looks = torch.cat([straight[:, :3] * straight[:, 3:], straight[:, 3:]], 1)[distinct]
    generator = torch.Generator().manual_seed(3)
    return typical_tiles(looks, counts.float().sqrt(), net.config.num_figure_codes, generator)


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
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    composer = Composer(load_layers(options.corpus, options.cache))
    tested = compose_batch(composer, np.random.default_rng(1), NUM_TESTED, held_out=True)
    config = PaletteTokenizerConfig(num_colours=len(composer.frames.palette))
    net = PaletteTokenizer(config)
    palette = torch.from_numpy(composer.frames.palette)
    net.start_from(palette, find_typical_tiles(net, composer, palette))
    learner = Learner(net, PaletteTokenizer(config), ("decoder.",))
    run = TimedRun(options.out, options.budget_min, learner.parts)
    random = np.random.default_rng([2, run.step])
    for spent_frac in run.steps(lambda: exactness(learner.average, tested)):
        part = net.figure_part(compose_batch(composer, random, options.batch))
        with torch.autocast("cpu", torch.bfloat16):
            logits, wanted = net(part, SHOWN_FRAC)
        loss = F.cross_entropy(logits.flatten(0, 1).float(), wanted.flatten())
        learner.step(loss, spent_frac, run.step)
        run.note(loss=float(loss.detach()))


if __name__ == "__main__":
    main()
