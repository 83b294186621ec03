"""The judge of patches and the pictures that the tokenizer trains on."""

from pathlib import Path

import numpy as np
import torch

from genworkers.training.adversarial import (
    PatchDiscriminator,
    augment_alike,
    feature_distance,
    gradient_penalty,
    relativistic_loss,
)
from genworkers.training.sticker_data import Caption, StickerSet, is_held_out
from genworkers.training.train_decoder import shown
from genworkers.training.train_tokenizer import PictureSource, halved


def test_the_discriminator_judges_a_grid_of_patches_and_learns_to_tell_two_pictures_apart() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(width=8)
    real, fake = torch.ones(2, 4, 128, 128), -torch.ones(2, 4, 128, 128)
    optimiser = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    losses = []
    for _ in range(4):
        judged_real, _ = discriminator(real)
        judged_fake, _ = discriminator(fake)
        assert judged_real.shape == (2, 1, 8, 8)
        loss = relativistic_loss(judged_real, judged_fake)
        losses.append(float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < losses[0]


def test_the_penalty_reaches_the_discriminator_and_equal_features_have_no_distance() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(width=8)
    pictures = torch.rand(2, 4, 128, 128)
    penalty = gradient_penalty(discriminator, pictures)
    penalty.backward()
    assert penalty.item() > 0
    assert discriminator.head.weight.grad is not None
    _, features = discriminator(pictures)
    assert feature_distance(features, features).item() == 0.0


def test_both_pictures_of_a_pair_are_augmented_alike_and_pairs_are_not() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(3, 4, 32, 32)
    first, second = augment_alike((pictures, pictures.clone()), generator)
    assert torch.equal(first, second)
    third, _ = augment_alike((pictures, pictures), generator)
    assert not torch.equal(first, third)


def test_the_discriminator_sees_colour_over_its_background() -> None:
    seen = shown(torch.zeros(1, 4, 2, 2), torch.full((1, 3, 1, 1), 0.75))
    assert torch.allclose(seen[:, :3], torch.tensor(0.5))
    assert torch.allclose(seen[:, 3:], torch.tensor(-1.0))


def test_pictures_are_of_trained_concepts_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    keys = tuple(f"concept {number}" for number in range(40))
    assert any(is_held_out(key) for key in keys)
    small, large = np.zeros((40, 64, 64, 4), np.uint8), np.zeros((40, 128, 128, 4), np.uint8)
    for row, key in enumerate(keys):
        for pictures in (small, large):
            pictures[row, 8:-8, 8:-8] = (0, 0, 0, 255) if is_held_out(key) else (200, 0, 0, 255)
    captions = {key: Caption(key, "cherry", ()) for key in keys}
    source = PictureSource([StickerSet("plain", keys, small, large)], [1.0], captions)
    inputs, target = source.batch(12, 0.25, seed=1)
    assert inputs.shape == (12, 4, 64, 64)
    assert target.shape == (12, 4, 128, 128)
    assert torch.equal(source.batch(12, 0.25, seed=1)[1], target)
    assert (inputs[:9, 0, 32, 32] > 0.5).all()


def test_halved_pictures_stay_premultiplied() -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (128, 128, 4)).astype(np.uint8)
    picture[..., :3] = np.minimum(picture[..., :3], picture[..., 3:])
    half = halved(picture)
    assert half.shape == (64, 64, 4)
    assert (half[..., :3] <= half[..., 3:]).all()
