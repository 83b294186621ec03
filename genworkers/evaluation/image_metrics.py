"""How near two sets of pictures are, as pure functions on their features: FD, KID, precision to coverage, memorisation.

A feature array is (n, d), one row a picture. Nothing here knows where features come from; `house_nets.py` makes them.
Absolute values belong to the net that made the features and compare with no other net's: report them beside the floor
that real pictures reach against real pictures.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean and the standard deviation of the subsets it was averaged over."""

    mean: float
    std: float


@dataclass(frozen=True)
class Overlap:
    """How two sets cover each other; see `precision_to_coverage`."""

    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True)
class Memorisation:
    """How much closer to the training pictures samples are than new real pictures are.

    Attributes:
        near_frac: share of samples nearer to a training picture than the quantile of held-out pictures.
        expected_frac: the quantile: what samples as new as held-out pictures would have.
        median_ratio: median nearest distance of samples over that of held-out pictures; 1 is as new, 0 a copy.
        authentic_frac: share of samples that are further from their nearest training picture than that one is from its
            own nearest (Alaa et al. 2022, "How Faithful is your Synthetic Data?", arXiv:2102.08921).
        held_out_authentic_frac: the same for held-out pictures.
    """

    near_frac: float
    expected_frac: float
    median_ratio: float
    authentic_frac: float
    held_out_authentic_frac: float


def frechet_distance(ours: Features, real: Features) -> float:
    """Squared Fréchet distance between Gaussians fitted to both sets.

    Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium"
    (arXiv:1706.08500): |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). Differs from the paper: the features are ours.
    It is biased upwards when n is small, so compare only equal n.

    Raises:
        ValueError: the widths differ, or a set has no more rows than columns.
    """
    _check_widths(ours, real)
    for features in (ours, real):
        if len(features) <= features.shape[1]:
            raise ValueError(
                f"need more than {features.shape[1]} pictures for {features.shape[1]}-wide features, got "
                f"{len(features)}"
            )
    covariances = [np.atleast_2d(np.cov(features, rowvar=False)) for features in (ours, real)]
    root = _square_root(covariances[0])
    eigenvalues = np.linalg.eigvalsh(root @ covariances[1] @ root)
    shared = np.sqrt(np.clip(eigenvalues, 0.0, None)).sum()
    offset = np.square(ours.mean(0) - real.mean(0)).sum()
    return float(offset + np.trace(covariances[0]) + np.trace(covariances[1]) - 2.0 * shared)


def kernel_distance(
    ours: Features, real: Features, *, subset: int = 500, num_subsets: int = 10, seed: int = 0
) -> Estimate:
    """KID: the unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3, over random subsets.

    Bińkowski et al. 2018, "Demystifying MMD GANs" (arXiv:1801.01401), section 4. It may be slightly negative.

    Args:
        subset: rows drawn from each set without repeats each time; at most the smaller set is used.

    Raises:
        ValueError: the widths differ, or a set has fewer than two rows.
    """
    _check_widths(ours, real)
    size = min(subset, len(ours), len(real))
    if size < 2:
        raise ValueError(f"need 2 pictures or more in each set, got {len(ours)} and {len(real)}")
    random = np.random.default_rng(seed)
    values = []
    for _ in range(num_subsets):
        first = ours[random.choice(len(ours), size, replace=False)]
        second = real[random.choice(len(real), size, replace=False)]
        within = sum(_sum_without_diagonal(_cubic_kernel(part, part)) for part in (first, second))
        values.append(within / (size * (size - 1)) - 2.0 * _cubic_kernel(first, second).mean())
    return Estimate(float(np.mean(values)), float(np.std(values)))


def precision_to_coverage(ours: Features, real: Features, k: int = 5) -> Overlap:
    """Precision and recall (Kynkäänniemi et al. 2019, arXiv:1904.06991), density and coverage (Naeem et al. 2020,
    arXiv:2002.09797), all by balls around each picture that reach its k-th nearest other picture of its own set.

    precision: share of ours inside some real ball. recall: share of real inside some ball of ours. density: how many
    real balls hold one of ours, over k. coverage: share of real whose ball holds one of ours.

    Raises:
        ValueError: the widths differ, or a set has no more than k rows.
    """
    _check_widths(ours, real)
    if min(len(ours), len(real)) <= k:
        raise ValueError(f"need more than k={k} pictures in each set, got {len(ours)} and {len(real)}")
    real_radii, our_radii = (_kth_nearest_other(features, k) for features in (real, ours))
    between = distances(ours, real)  # (n, m)
    in_real_ball = between <= real_radii
    return Overlap(
        precision=float(in_real_ball.any(1).mean()),
        recall=float((between <= our_radii[:, None]).any(0).mean()),
        density=float(in_real_ball.sum() / (k * len(ours))),
        coverage=float(in_real_ball.any(0).mean()),
    )


class Memory:
    """What a net was trained on, to see how much of it comes back.

    Args:
        trained: training pictures.
        held_out: real pictures that were not trained on.
        quantile: of the held-out distances, 0..1: a sample nearer than that counts as near a training picture.

    Raises:
        ValueError: the widths differ, there are fewer than two training pictures, or none held out.
    """

    def __init__(self, trained: Features, held_out: Features, quantile: float = 0.05) -> None:
        _check_widths(held_out, trained)
        if not len(held_out) or len(trained) < 2:
            raise ValueError(f"need held-out and two training pictures, got {len(held_out)} and {len(trained)}")
        self._trained = trained
        self._quantile = quantile
        self._own_radii = _kth_nearest_other(trained, 1)
        self._held_out_nearest, self._held_out_authentic_frac = self._look_up(held_out)

    def compare(self, ours: Features) -> Memorisation:
        """How near samples come to the training pictures, beside how near held-out pictures do.

        Raises:
            ValueError: the widths differ, or there are no samples.
        """
        _check_widths(ours, self._trained)
        if not len(ours):
            raise ValueError("need at least one sample")
        nearest, authentic_frac = self._look_up(ours)
        return Memorisation(
            near_frac=float((nearest < np.quantile(self._held_out_nearest, self._quantile)).mean()),
            expected_frac=self._quantile,
            median_ratio=float(np.median(nearest) / max(float(np.median(self._held_out_nearest)), 1e-12)),
            authentic_frac=authentic_frac,
            held_out_authentic_frac=self._held_out_authentic_frac,
        )

    def _look_up(self, features: Features) -> tuple[Features, float]:
        """Distance of each row to its nearest training picture, and the share that is authentic."""
        between = distances(features, self._trained)
        nearest = between.min(1)
        return nearest, float((nearest > self._own_radii[between.argmin(1)]).mean())


def distances(first: Features, second: Features) -> Features:
    """Euclidean distances (n, m) between the rows of two sets."""
    squares = np.square(first).sum(1)[:, None] + np.square(second).sum(1) - 2.0 * first @ second.T
    return np.asarray(np.sqrt(np.clip(squares, 0.0, None)), dtype=np.float64)


def _kth_nearest_other(features: Features, k: int) -> Features:
    between = distances(features, features)
    np.fill_diagonal(between, np.inf)  # the distance to itself does not count
    return np.asarray(np.partition(between, k - 1, axis=1)[:, k - 1], dtype=np.float64)


def _cubic_kernel(first: Features, second: Features) -> Features:
    return np.asarray((first @ second.T / first.shape[1] + 1.0) ** 3, dtype=np.float64)


def _sum_without_diagonal(kernel: Features) -> float:
    return float(kernel.sum() - np.trace(kernel))


def _square_root(covariance: Features) -> Features:
    eigenvalues, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.clip(eigenvalues, 0.0, None))) @ vectors.T, dtype=np.float64)


def _check_widths(first: Features, second: Features) -> None:
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"feature arrays must be (n, d) with one d, got {first.shape} and {second.shape}")
