"""Train the picture screen: `python -m genworkers.training.train_picture_screen --help`.

The net learns from composed pictures of trained concepts (`picture_mixing.py`), is calibrated on composed pictures of
held-out ones and written as `manifest.json`, `card.md` and `net.safetensors`. It goes on where it was interrupted.
"""

import argparse
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from genworkers.nets.picture_tagger import PictureTagger, PictureTaggerConfig
from genworkers.training.picture_concepts import KNOWN, UNSURE, YES
from genworkers.training.picture_mixing import Mixed, Shelf, mixed
from genworkers.training.picture_screen_folder import write_screen
from genworkers.training.picture_table import PictureTable, read_picture_table
from genworkers.training.train_judges import Loss, fit

BATCH = 128
FRESH_EVERY = 3  # steps: to compose a batch takes as long as to learn from it
POOL_BATCHES = 24
CATEGORY_CHANCE = 0.5
NUM_HELD_OUT = 512  # pictures, for the log


def masked_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy over what is known: the sum of the categories' means.

    Args:
        logits: (B, C).
        labels: (B, C): YES, NO, or UNSURE, which counts for nothing.
    """
    is_known = (labels != UNSURE).float()
    losses = F.binary_cross_entropy_with_logits(logits, (labels == YES).float(), reduction="none")
    return ((losses * is_known).sum(0) / is_known.sum(0).clamp(min=1.0)).sum()


def loss_of(net: PictureTagger, table: PictureTable, rows: Sequence[int]) -> Loss:
    """Loss on a batch from a pool of composed pictures, into which new ones come all the time."""
    shelf = Shelf(table, rows)
    pool: deque[Mixed] = deque(maxlen=POOL_BATCHES)
    steps = 0

    def loss(generator: torch.Generator) -> Tensor:
        nonlocal steps
        if steps % FRESH_EVERY == 0:
            pool.append(mixed(table, shelf, BATCH, generator, category_chance=CATEGORY_CHANCE))
        steps += 1
        picked = torch.randint(len(pool) * BATCH, (BATCH,), generator=generator)
        pictures = torch.stack([pool[one // BATCH].pictures[one % BATCH] for one in picked.tolist()])
        labels = torch.stack([pool[one // BATCH].labels[one % BATCH] for one in picked.tolist()])
        return masked_loss(net(pictures.contiguous(memory_format=torch.channels_last)), labels)

    return loss


def fixed_loss_of(net: PictureTagger, table: PictureTable, rows: Sequence[int]) -> Loss:
    """Loss on always the same composed pictures."""
    generator = torch.Generator().manual_seed(1)
    pictures = mixed(table, Shelf(table, rows), NUM_HELD_OUT, generator, category_chance=CATEGORY_CHANCE)

    def loss(_: torch.Generator) -> Tensor:
        return masked_loss(net(pictures.pictures), pictures.labels)

    return loss


def main() -> None:
    """Train, calibrate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--run", type=Path, default=Path("runs/picture_screen"))
    parser.add_argument("--out", type=Path, default=Path("genworkers/weights/screens/picture"))
    parser.add_argument("--budget-min", type=float, default=20.0)
    parser.add_argument("--peak", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    table = read_picture_table(options.corpus, options.cache)
    trained = table.rows(held_out_concepts=False, held_out_sources=False)
    held_out = table.rows(held_out_concepts=True, held_out_sources=False)
    net = PictureTagger(PictureTaggerConfig(KNOWN))
    num_steps = fit(
        net,
        loss_of(net, table, trained),
        fixed_loss_of(net, table, held_out),
        options.run,
        budget_min=options.budget_min,
        peak=options.peak,
    )
    training = {"num_steps": num_steps, "budget_min": options.budget_min, "batch": BATCH, "rows": len(trained)}
    write_screen(options.out, net, table, training)


if __name__ == "__main__":
    main()
