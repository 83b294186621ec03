"""Who appears in pictures of a role: nets draw it many times, a reader says man, woman or person variant.

The reader is fitted on the stickers themselves, which have all three variants of each role. What it cannot say: skin
tones are left out of the corpus (everybody is yellow), and a drawn variant is nobody's gender.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genworkers.checkpoints import load_manifest
from genworkers.evaluation.bias_prompts import PICTURE_ROLES
from genworkers.evaluation.bias_statistics import chi_square_p, effect_size, holm
from genworkers.evaluation.contestants import HOUSE_NETS, enter
from genworkers.evaluation.house_nets import Judges, batch_of
from genworkers.evaluation.screen_measures import bootstrapped_mean
from genworkers.training.judge_data import StickerTable, on_white

VARIANTS = ("man", "woman", "person")
NUM_SEEDS = 6
RIDGE = 10.0
Figures = dict[str, Any]
Floats = NDArray[np.float64]


def variant_keys(neutral_key: str) -> dict[str, str]:
    """The corpus's keys of the man, woman and person variants of a role."""
    if neutral_key.startswith("1f9d1"):
        return {
            "man": neutral_key.replace("1f9d1", "1f468"),
            "woman": neutral_key.replace("1f9d1", "1f469"),
            "person": neutral_key,
        }
    return {"man": f"{neutral_key}-200d-2642", "woman": f"{neutral_key}-200d-2640", "person": neutral_key}


def variants_in(keys: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Each key that has all three variants in the corpus, to its role (the neutral key) and its variant."""
    known = set(keys)
    found: dict[str, tuple[str, str]] = {}
    for neutral in sorted(known):
        own = variant_keys(neutral)
        if set(own.values()) <= known:
            found |= {key: (neutral, variant) for variant, key in own.items()}
    return found


@dataclass(frozen=True)
class Reader:
    """Says which variant a picture shows: ridge regression on features, one column a variant.

    Attributes:
        confusion: (3, 3): of real pictures of each variant (rows), the share read as each (columns), for roles that
            were left out while fitting.
        num: real pictures behind it.
    """

    weights: Floats
    middle: Floats
    confusion: Floats
    num: int

    def read(self, features: Floats) -> NDArray[np.int64]:
        """Places in VARIANTS (n,) of features (n, d)."""
        return np.asarray(((features - self.middle) @ self.weights).argmax(1))

    @property
    def accuracy(self) -> float:
        """Share of real pictures of left-out roles that are read right, all variants counting the same."""
        return float(np.diag(self.confusion).mean())


def fit_reader(features: Floats, variants: NDArray[np.int64], roles: Sequence[str], num_folds: int = 6) -> Reader:
    """A reader, and how well it reads roles that it was not fitted on.

    Args:
        features: (n, d).
        variants: (n,) places in VARIANTS.
        roles: of each picture; a role is left out whole.
    """
    fold_of = {role: place % num_folds for place, role in enumerate(sorted(set(roles)))}
    folds = np.array([fold_of[role] for role in roles])
    counts = np.zeros((3, 3))
    for fold in range(num_folds):
        learnt, left_out = folds != fold, folds == fold
        weights, middle = _ridge(features[learnt], variants[learnt])
        read = ((features[left_out] - middle) @ weights).argmax(1)
        np.add.at(counts, (variants[left_out], read), 1)
    weights, middle = _ridge(features, variants)
    return Reader(weights, middle, counts / counts.sum(1, keepdims=True), len(features))


def _ridge(features: Floats, variants: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Weights (d, 3) and the mean of the features, by the kernel trick: there are more features than pictures."""
    middle = features.mean(0)
    centred = features - middle
    targets = np.eye(3)[variants] - 1.0 / 3.0
    kernel = centred @ centred.T
    strength = RIDGE * np.trace(kernel) / len(kernel) / 100.0
    return centred.T @ np.linalg.solve(kernel + strength * np.eye(len(kernel)), targets), middle


@torch.inference_mode()
def features_of(judges: Judges, pictures: Tensor) -> Floats:
    """Maps of the judges' trunks at 8 cells a side, flattened: (n, d), of pictures (n, 3, 64, 64) on white."""
    rows = []
    for part in pictures.split(64):
        maps = [net.trunk(part)[1].flatten(1) for net in (judges.encoder, judges.detector)]
        rows.append(torch.cat([*maps, torch.nn.functional.avg_pool2d(part, 2).flatten(1)], 1))
    return np.asarray(torch.cat(rows).numpy(), dtype=np.float64)


def reader_of(judges: Judges, table: StickerTable) -> Reader:
    """The reader for the styles of a table: give only those that are to be read."""
    known = variants_in(table.keys)
    rows = [row for row, key in enumerate(table.keys) if key in known]
    roles, variants = zip(*(known[table.keys[row]] for row in rows), strict=True)
    features = features_of(judges, on_white(table.pictures[rows]))
    return fit_reader(features, np.array([VARIANTS.index(one) for one in variants]), roles)


def draw_roles(net: str, kept: Path, num_seeds: int, num_threads: int) -> tuple[Tensor, list[str]]:
    """Pictures (n, 3, 64, 64) of every role in every style of a net with several seeds, and the prompt of each."""
    styles = list(load_manifest(HOUSE_NETS / net).styles)
    prompts = [prompt for prompt in PICTURE_ROLES for _ in range(num_seeds)]
    path = kept / f"bias-{net}-{num_seeds}.npy"
    if not path.exists():
        contestant = enter(net, styles, num_threads=num_threads)
        batches = [
            batch_of(contestant.sample(prompts, range(place * len(prompts), (place + 1) * len(prompts)), style))
            for place, style in enumerate(styles)
        ]
        contestant.close()
        kept.mkdir(parents=True, exist_ok=True)
        np.save(path, (torch.cat(batches) * 255.0).round().to(torch.uint8).numpy())
    return torch.from_numpy(np.load(path)).float() / 255.0, prompts * len(styles)


def role_figures(read: Mapping[str, NDArray[np.int64]], reader: Reader) -> Figures:
    """For each prompt how often each variant was read, and whether that differs from a third each.

    A reader that errs would see no even thirds where there are some; it is compared with what it says of even thirds.

    Args:
        read: prompt to the variants (n,) that were read in its pictures.
    """
    expected = reader.confusion.mean(0)
    expected = np.maximum(expected, 1e-3) / np.maximum(expected, 1e-3).sum()
    figures: Figures = {}
    for prompt, variants in read.items():
        counts = np.bincount(variants, minlength=3)
        gap = (variants == VARIANTS.index("woman")).astype(float) - (variants == VARIANTS.index("man"))
        figures[prompt] = {
            "num": len(variants),
            **dict(zip(VARIANTS, counts.tolist(), strict=True)),
            "woman_minus_man": asdict(bootstrapped_mean(gap)),
            "effect_size": effect_size(counts.tolist(), expected.tolist()),
            "p": chi_square_p(counts.tolist(), expected.tolist()),
        }
    corrected = holm({prompt: own["p"] for prompt, own in figures.items()})
    for prompt, own in figures.items():
        own["p_holm"] = corrected[prompt]
    return figures


def picture_table(figures: Figures) -> str:
    """Markdown: one row a prompt."""
    lines = [
        "| prompt | n | man | woman | person | woman - man (95 %) | effect size | p (Holm) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for prompt, own in figures.items():
        gap = own["woman_minus_man"]
        shares = " | ".join(f"{own[variant] / own['num']:.2f}" for variant in VARIANTS)
        lines.append(
            f"| {prompt} | {own['num']} | {shares} | {gap['value']:+.2f} ({gap['low']:+.2f} to {gap['high']:+.2f}) | "
            f"{own['effect_size']:.2f} | {own['p_holm']:.3g} |"
        )
    return "\n".join(lines)
