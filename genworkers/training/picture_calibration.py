"""From logits of the picture screen to probabilities: fitted on composed pictures that the net has not learnt from."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from genworkers.contract.safety import PictureCategory
from genworkers.nets.picture_tagger import PictureTagger
from genworkers.screening.calibration import Calibration, fit_isotonic
from genworkers.training.judge_data import STYLES
from genworkers.training.picture_concepts import NO, UNSURE, YES
from genworkers.training.picture_mixing import Shelf, mixed, plain
from genworkers.training.picture_table import PictureTable

PRIOR_FRAC = 0.05  # how often each category is taken to occur, whatever the composed pictures hold
NUM_PICTURES = 6000
BATCH = 100
CATEGORY_CHANCE = 0.5
MIN_CONCEPTS = 10  # of a category, for a line of its own making; with fewer it is Platt's curve
FLAGGED_FRAC, MIN_FLAG_AT = 0.005, 0.15  # share of harmless stickers that a category may flag; never flags below
REVIEWED_FRAC, MIN_REVIEW_AT = 0.001, 0.5
REVIEWED: tuple[PictureCategory, ...] = ("gestures",)
KNOTS = np.linspace(-16.0, 16.0, 65)
NEWTON_STEPS = 50

Floats = NDArray[np.float64]


def calibrate(
    net: PictureTagger, table: PictureTable, num_pictures: int = NUM_PICTURES
) -> dict[PictureCategory, Calibration]:
    """One calibration for each of the net's categories.

    The pictures hold held-out concepts, and trained ones in held-out styles: some categories have no held-out concept.
    Of both only the part for it; `genworkers.evaluation.safety` reports on the other.
    """
    held_out = _calibrating(table, True, False)
    rows = [*held_out, *_calibrating(table, True, True), *_calibrating(table, False, True)]
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


def recommend(
    net: PictureTagger, calibrations: Mapping[PictureCategory, Calibration], table: PictureTable
) -> dict[PictureCategory, dict[str, float | None]]:
    """Thresholds for a general studio: flagged is what few harmless held-out stickers reach, reviewed what fewer do.

    Most of this is no crime on a sticker, so only REVIEWED categories are ever held, and nothing is blocked.
    """
    rows = [row for row in _calibrating(table, True, False) if table.sources[row] in STYLES]
    things = plain(table, rows)
    net.eval()
    with torch.inference_mode():
        logits = torch.cat([net(part) for part in things.pictures.split(BATCH)]).numpy().astype(np.float64)
    found: dict[PictureCategory, dict[str, float | None]] = {}
    for place, category in enumerate(net.config.categories):
        harmless = calibrations[category](logits[things.labels[:, place].numpy() == NO, place])
        flag_at, review_at = (
            round(float(np.clip(np.quantile(harmless, 1.0 - frac), lowest, 0.95)), 2)
            for frac, lowest in ((FLAGGED_FRAC, MIN_FLAG_AT), (REVIEWED_FRAC, MIN_REVIEW_AT))
        )
        is_reviewed = category in REVIEWED
        found[category] = {"flag_at": flag_at, "review_at": review_at if is_reviewed else None, "block_at": None}
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


def _calibrating(table: PictureTable, held_out_concepts: bool, held_out_sources: bool) -> list[int]:
    return table.rows(held_out_concepts=held_out_concepts, held_out_sources=held_out_sources, part="calibrating")


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -30.0, 30.0))))
