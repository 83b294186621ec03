"""The measures of picture sets against closed forms and known degenerate cases."""

import numpy as np
import pytest

from genworkers.evaluation.image_metrics import (
    Features,
    Memory,
    distances,
    frechet_distance,
    kernel_distance,
    precision_to_coverage,
)


def normal(n: int, d: int, *, mean: float = 0.0, std: float = 1.0, seed: int = 0) -> Features:
    return np.random.default_rng(seed).normal(mean, std, (n, d))


def with_moments(mean: Features, covariance: Features, n: int = 400, seed: int = 0) -> Features:
    """A sample whose own mean and covariance are exactly these."""
    raw = normal(n, len(mean), seed=seed)
    raw -= raw.mean(0)
    whitened = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
    return np.asarray(whitened @ np.linalg.cholesky(covariance).T + mean, dtype=np.float64)


def test_frechet_distance_of_two_gaussians_has_its_closed_form() -> None:
    first = with_moments(np.array([1.0, 0.0, -2.0]), np.diag([1.0, 4.0, 9.0]))
    second = with_moments(np.array([0.0, 2.0, -2.0]), np.diag([4.0, 1.0, 9.0]), seed=1)
    # |mean difference|^2 = 1 + 4; each axis adds (difference of standard deviations)^2 = 1 + 1 + 0
    assert frechet_distance(first, second) == pytest.approx(7.0, abs=1e-8)


def test_frechet_distance_of_gaussians_that_do_not_commute() -> None:
    first_covariance = np.array([[2.0, 1.0], [1.0, 2.0]])
    second_covariance = np.diag([1.0, 5.0])
    first = with_moments(np.zeros(2), first_covariance)
    second = with_moments(np.zeros(2), second_covariance, seed=1)
    # for 2x2, tr sqrt(M) = sqrt(tr M + 2 sqrt(det M))
    product = first_covariance @ second_covariance
    shared = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    assert frechet_distance(first, second) == pytest.approx(4 + 6 - 2 * shared, abs=1e-8)
    assert frechet_distance(second, first) == pytest.approx(frechet_distance(first, second), abs=1e-8)


def test_frechet_distance_of_a_set_to_itself_is_zero_even_with_a_constant_feature() -> None:
    features = normal(50, 4)
    features[:, 2] = 3.0
    assert frechet_distance(features, features) == pytest.approx(0.0, abs=1e-6)


def test_frechet_distance_refuses_too_few_pictures() -> None:
    with pytest.raises(ValueError, match="more than 8 pictures"):
        frechet_distance(normal(8, 8), normal(50, 8))
    with pytest.raises(ValueError, match="one d"):
        frechet_distance(normal(50, 8), normal(50, 7))


def test_kernel_distance_is_unbiased() -> None:
    values = [
        kernel_distance(normal(60, 6, seed=2 * i), normal(60, 6, seed=2 * i + 1), num_subsets=1).mean
        for i in range(200)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0.0


def test_kernel_distance_grows_with_the_distance_of_the_means() -> None:
    real = normal(300, 6)
    near, far = (kernel_distance(normal(300, 6, mean=mean, seed=1), real).mean for mean in (0.3, 1.0))
    assert 0.0 < near < far


def test_kernel_distance_of_three_points_by_hand() -> None:
    ours, real = np.array([[0.0], [1.0]]), np.array([[2.0], [0.0]])
    # within ours (0*1+1)^3 = 1, within real 1, between: k(0,2)=1, k(0,0)=1, k(1,2)=27, k(1,0)=1 -> mean 7.5
    assert kernel_distance(ours, real, num_subsets=3).mean == pytest.approx(1 + 1 - 15)
    with pytest.raises(ValueError, match="2 pictures or more"):
        kernel_distance(ours[:1], real)


def test_equal_sets_cover_each_other() -> None:
    features = normal(300, 5)
    overlap = precision_to_coverage(features, features)
    assert overlap.precision == overlap.recall == overlap.coverage == 1.0
    assert overlap.density == pytest.approx(1.2, abs=0.01)  # k others and itself, over k


def test_two_samples_of_one_law_have_density_one_and_the_known_coverage() -> None:
    overlap = precision_to_coverage(normal(1500, 4, seed=1), normal(1500, 4))
    assert overlap.density == pytest.approx(1.0, abs=0.05)
    assert overlap.coverage == pytest.approx(1 - 2**-5, abs=0.02)
    assert overlap.precision > 0.9


def test_far_sets_do_not_overlap() -> None:
    overlap = precision_to_coverage(normal(100, 4, mean=50.0), normal(100, 4))
    assert (overlap.precision, overlap.recall, overlap.density, overlap.coverage) == (0.0, 0.0, 0.0, 0.0)


def test_a_collapsed_generator_is_precise_and_covers_nothing() -> None:
    real = normal(300, 4)
    collapsed = np.repeat(real[:1], 300, axis=0) + normal(300, 4, std=1e-6, seed=1)
    overlap = precision_to_coverage(collapsed, real)
    assert overlap.precision == 1.0
    assert overlap.recall < 0.02
    assert overlap.coverage < 0.1
    with pytest.raises(ValueError, match="more than k=5"):
        precision_to_coverage(real[:5], real)


def test_order_changes_nothing() -> None:
    ours, real = normal(100, 4, mean=0.5), normal(120, 4, seed=1)
    mixed = ours[np.random.default_rng(3).permutation(100)]
    assert frechet_distance(mixed, real) == pytest.approx(frechet_distance(ours, real))
    assert precision_to_coverage(mixed, real) == precision_to_coverage(ours, real)
    memory = Memory(real, real)
    assert memory.compare(mixed) == memory.compare(ours)


def test_copies_of_training_pictures_are_memorised() -> None:
    trained, held_out = normal(300, 6), normal(200, 6, seed=1)
    found = Memory(trained, held_out).compare(trained[:100])
    assert found.near_frac == 1.0
    assert found.median_ratio == pytest.approx(0.0, abs=1e-6)
    assert found.authentic_frac == 0.0


def test_new_pictures_are_as_near_as_held_out_ones() -> None:
    found = Memory(normal(300, 6), normal(2000, 6, seed=1)).compare(normal(2000, 6, seed=2))
    assert found.near_frac == pytest.approx(0.05, abs=0.02)
    assert found.median_ratio == pytest.approx(1.0, abs=0.05)
    assert found.authentic_frac == pytest.approx(found.held_out_authentic_frac, abs=0.05)
    with pytest.raises(ValueError, match="two training pictures"):
        Memory(normal(1, 2), normal(3, 2))


def test_distances_are_euclidean_and_never_negative_inside_the_root() -> None:
    assert distances(np.array([[0.0, 3.0]]), np.array([[4.0, 0.0], [0.0, 3.0]])).tolist() == [[5.0, 0.0]]
