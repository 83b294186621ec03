"""From logits of the picture screen to probabilities: fitted on composed pictures that the net has not learnt from."""

import numpy as np
import torch
from numpy.typing import NDArray

from genworkers.contract.safety import PictureCategory
from genworkers.nets.picture_tagger import PictureTagger
from genworkers.screening.calibration import Calibration, fit_isotonic
from genworkers.training.picture_concepts import UNSURE, YES
from genworkers.training.picture_mixing import Shelf, mixed
from genworkers.training.picture_table import PictureTable

PRIOR_FRAC = 0.05  # how often each category is taken to occur, whatever the composed pictures hold
NUM_PICTURES = 6000
BATCH = 100
CATEGORY_CHANCE = 0.5
MIN_CONCEPTS = 10  # of a category, for a line of its own making; with fewer it is Platt's curve
KNOTS = np.linspace(-16.0, 16.0, 65)
NEWTON_STEPS = 50

Floats = NDArray[np.float64]


def calibrate(
    net: PictureTagger, table: PictureTable, num_pictures: int = NUM_PICTURES
) -> dict[PictureCategory, Calibration]:
    """One calibration for each of the net's categories.

    The pictures hold held-out concepts, and trained ones in held-out styles: some categories have no held-out concept.
    """
    held_out = table.rows(held_out_concepts=True, held_out_sources=False)
    rows = [*held_out, *(row for out in (True, False) for row in _of_held_out_sources(table, out))]
    shelf = Shelf(table, rows)
    generator = torch.Generator().manual_seed(2)
    logits, labels = [], []
    net.eval()
    with torch.inference_mode():
        for _ in range(num_pictures // BATCH):
            batch = mixed(table, shelf, BATCH, generator, category_chance=CATEGORY_CHANCE)
            logits.append(net(batch.pictures.contiguous(memory_format=torch.channels_last)).numpy())
            labels.append(batch.labels.numpy())
    all_logits, all_labels = np.concatenate(logits).astype(np.float64), np.concatenate(labels)
    found: dict[PictureCategory, Calibration] = {}
    for place, category in enumerate(net.config.categories):
        is_known = all_labels[:, place] != UNSURE
        own, is_positive = all_logits[is_known, place], all_labels[is_known, place] == YES
        num_concepts = len({table.concepts[row] for row in held_out if table.labels[row, place] == YES})
        fit = fit_isotonic if num_concepts >= MIN_CONCEPTS else fit_platt
        found[category] = with_prior(fit(own, is_positive), float(is_positive.mean()), PRIOR_FRAC)
    return found


def fit_platt(logits: Floats, is_positive: NDArray[np.bool_]) -> Calibration:
    """A logistic curve of two numbers, for few examples.

    Platt 1999, "Probabilistic Outputs for Support Vector Machines", section 2.2, with its targets that keep away from
    0 and 1; by Newton's method. Differs from the paper: a curve that would fall is made flat, and a small ridge keeps
    the slope finite where the classes are parted.

    Args:
        logits: (M).
        is_positive: (M), with both kinds.
    """
    num_positives = int(is_positive.sum())
    num_negatives = len(is_positive) - num_positives
    targets = np.where(is_positive, (num_positives + 1) / (num_positives + 2), 1 / (num_negatives + 2))
    features = np.stack([logits, np.ones_like(logits)], 1)
    weights = np.array([1.0, 0.0])
    for _ in range(NEWTON_STEPS):
        chances = _sigmoid(features @ weights)
        slope = features.T @ (chances - targets) + 1e-3 * weights
        curvature = (features * (chances * (1 - chances))[:, None]).T @ features + 1e-3 * np.eye(2)
        weights = weights - np.linalg.solve(curvature, slope)
    chances = _sigmoid(max(weights[0], 0.0) * KNOTS + weights[1])
    return Calibration(tuple(KNOTS.tolist()), tuple(chances.tolist()))


def with_prior(calibration: Calibration, prior_frac: float, new_prior_frac: float) -> Calibration:
    """The same calibration where the category is more or less frequent: Bayes' rule on the odds.

    Args:
        prior_frac, new_prior_frac: share of positives, above 0 and below 1: where it was fitted, and where it is used.
    """
    factor = new_prior_frac / (1 - new_prior_frac) * (1 - prior_frac) / prior_frac
    chances = [chance * factor / (chance * factor + 1 - chance) for chance in calibration.chances]
    return Calibration(calibration.logits, tuple(chances))


def _of_held_out_sources(table: PictureTable, held_out_concepts: bool) -> list[int]:
    return table.rows(held_out_concepts=held_out_concepts, held_out_sources=True)


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -30.0, 30.0))))
