"""Train the picture screen: `python -m genworkers.training.train_picture_screen --help`.

The net learns from composed pictures of trained concepts (`picture_mixing.py`): which categories are in them, and, as
categories are rare and names are many, also what the one thing in a picture is called. It is calibrated on composed
pictures of held-out concepts and written with manifest and card. It goes on where it was interrupted.
"""

import argparse
import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genworkers.codecs.wordpiece import WordPiece
from genworkers.nets.encoder import load_minilm, minilm_folder
from genworkers.nets.picture_tagger import PictureTagger, PictureTaggerConfig
from genworkers.training.masked_losses import known_losses
from genworkers.training.picture_calibration import calibrate, recommend
from genworkers.training.picture_concepts import KNOWN
from genworkers.training.picture_mixing import SEVERAL, Mixed, Shelf, mixed
from genworkers.training.picture_screen_folder import write_screen
from genworkers.training.picture_table import PictureTable, read_picture_table
from genworkers.training.train_judges import Loss, fit

BATCH = 128
FRESH_EVERY = 2  # steps: to compose a batch takes as long as to learn from it
POOL_BATCHES = 16
CATEGORY_CHANCE = 0.5
NUM_HELD_OUT = 512  # pictures, for the log
NAME_WEIGHT = 0.4
NOT_NAMED = -1


def category_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The sum of the categories' mean losses over what is known.

    Args:
        logits: (B, C).
        labels: (B, C): YES, NO, or UNSURE, which counts for nothing.
    """
    losses, is_known = known_losses(logits, labels)
    return (losses.sum(0) / is_known.sum(0).clamp(min=1)).sum()


@dataclass(frozen=True)
class Names:
    """What trained rows are called, as vectors.

    Attributes:
        vectors: (N, 384) unit vectors of the names, by the text encoder, their mean taken away.
        of_row: (M,) the place of each row's name, NOT_NAMED for rows that are not trained on.
    """

    vectors: Tensor
    of_row: Tensor


def read_names(table: PictureTable, rows: Sequence[int], cache: Path) -> Names:
    """The names of these rows; their vectors come from the cache folder where they were made before."""
    names = sorted({table.names[row] for row in rows})
    places = {name: place for place, name in enumerate(names)}
    cached = cache / f"screen-names-{hashlib.sha256(chr(10).join(names).encode()).hexdigest()[:16]}.npy"
    if not cached.exists():
        np.save(cached, _name_vectors(names))
    vectors = torch.from_numpy(np.load(cached))
    of_row = torch.full((len(table.names),), NOT_NAMED)
    of_row[list(rows)] = torch.tensor([places[table.names[row]] for row in rows])
    return Names(F.normalize(vectors - vectors.mean(0), dim=1), of_row)


def _name_vectors(names: Sequence[str]) -> NDArray[np.float32]:
    folder = minilm_folder()
    encoder, wordpiece = load_minilm(folder).eval(), WordPiece(folder / "tokenizer.json")
    with torch.inference_mode():
        states = [encoder.encode([wordpiece.encode(name)])[0].mean(0) for name in names]
    return np.asarray(torch.stack(states).numpy())


class Pupil(nn.Module):
    """The tagger, and a head that says what a thing is called; the head is not kept.

    Frome et al. 2013, "DeViSE: A Deep Visual-Semantic Embedding Model" (NIPS 26), section 3: pictures into the space of
    words. Differs from the paper: softmax over all names instead of a hinge.
    """

    def __init__(self, tagger: PictureTagger, names: Names) -> None:
        super().__init__()
        self.tagger = tagger
        self.meaning = nn.Linear(tagger.num_features, names.vectors.shape[1])
        self.log_scale = nn.Parameter(torch.tensor(2.3))

    def loss(self, pictures: Tensor, labels: Tensor, name: Tensor, vectors: Tensor) -> Tensor:
        """Of both heads on a batch.

        Args:
            name: (B,) places in vectors, NOT_NAMED where unknown.
        """
        features = self.tagger.features(pictures.contiguous(memory_format=torch.channels_last))
        is_named = name != NOT_NAMED
        meant = F.normalize(self.meaning(features[is_named]).float(), dim=1)
        name_loss = F.cross_entropy(self.log_scale.clamp(max=4.0).exp() * meant @ vectors.T, name[is_named])
        return category_loss(self.tagger.out(features).float(), labels) + NAME_WEIGHT * name_loss


def loss_of(pupil: Pupil, table: PictureTable, names: Names, rows: Sequence[int]) -> Loss:
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
        pictures, labels, single = (
            torch.stack([getattr(pool[one // BATCH], part)[one % BATCH] for one in picked.tolist()])
            for part in ("pictures", "labels", "single")
        )
        name = torch.where(single == SEVERAL, NOT_NAMED, names.of_row[single])
        return pupil.loss(pictures, labels, name, names.vectors)

    return loss


def fixed_loss_of(net: PictureTagger, table: PictureTable, rows: Sequence[int]) -> Loss:
    """Loss on always the same composed pictures."""
    generator = torch.Generator().manual_seed(1)
    pictures = mixed(table, Shelf(table, rows), NUM_HELD_OUT, generator, category_chance=CATEGORY_CHANCE)

    def loss(_: torch.Generator) -> Tensor:
        return category_loss(net(pictures.pictures), pictures.labels)

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
    names = read_names(table, trained, options.cache)
    pupil = Pupil(net, names)
    num_steps = fit(
        pupil,
        loss_of(pupil, table, names, trained),
        fixed_loss_of(net, table, held_out),
        options.run,
        budget_min=options.budget_min,
        peak=options.peak,
    )
    training = {"num_steps": num_steps, "budget_min": options.budget_min, "batch": BATCH, "rows": len(trained)}
    calibrations = calibrate(net, table)
    write_screen(options.out, net, calibrations, recommend(net, calibrations, table), training)


if __name__ == "__main__":
    main()
