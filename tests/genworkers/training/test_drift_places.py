"""What is found in a latent space: attributes from captions, directions, and a map whose neighbours are alike."""

import pytest
import torch

from genworkers.training.drift_places import (
    ATTRIBUTES,
    direction_between,
    lay_out,
    quantiles_of,
    told_apart,
)

BY_NAME = {attribute.name: attribute for attribute in ATTRIBUTES}


@pytest.mark.parametrize(
    ("name", "caption", "end"),
    [
        ("redder", "a red apple", 1),
        ("redder", "a blue apple", -1),
        ("redder", "an apple on a red background", 0),
        ("redder", "a red apple left of a blue cat", 0),
        ("happier", "grinning face, smile", 1),
        ("happier", "crying face, sad, smile", 0),
        ("larger", "a tiny heart", -1),
        ("more of them", "four cats", 1),
        ("more of them", "one cat", -1),
        ("on a ground", "a cat with a green background", 1),
        ("on a ground", "a cat", -1),
        ("more to the right", "apple on right side", 1),
        ("higher", "a cat in the lower left corner", -1),
        ("higher", "a cat on the left", 0),
    ],
)
def test_captions_say_where_a_picture_stands(name: str, caption: str, end: int) -> None:
    assert BY_NAME[name].end_of(caption) == end


def test_a_direction_is_one_standard_deviation_long_and_tells_its_ends_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    ends = torch.tensor([1, -1, 0] * 100)
    places = torch.randn(300, 8, generator=generator)
    places[:, 3] += 2.0 * ends
    direction = direction_between(places, ends)
    assert float(direction[3] / direction.norm()) > 0.9
    torch.testing.assert_close(direction.norm(), (places @ (direction / direction.norm())).std())
    assert told_apart(places, ends, direction) > 0.95
    assert told_apart(places, ends, -direction) < 0.05
    with pytest.raises(ValueError, match="got 100 and 0"):
        direction_between(places, ends.clamp(min=0))


def test_neighbours_on_the_map_are_alike_and_nothing_stands_twice() -> None:
    generator = torch.Generator().manual_seed(0)
    square = torch.rand(400, 2, generator=generator)
    places = square @ torch.randn(2, 16, generator=generator) + 0.01 * torch.randn(400, 16, generator=generator)
    standing = lay_out(places, 6, generator)
    assert len(standing.unique()) == 36
    assert int(standing.min()) >= 0
    tiles = places[standing.flatten()].view(6, 6, 16)
    neighbours = (tiles[:, 1:] - tiles[:, :-1]).norm(dim=-1).mean()
    assert float(neighbours) < 0.5 * float(torch.cdist(places, places).mean())


def test_quantiles_rise_from_the_least_to_the_most() -> None:
    found = quantiles_of(torch.tensor([3.0, 1.0, 2.0]))
    assert (float(found[0]), float(found[50]), float(found[-1])) == (1.0, 2.0, 3.0)
    assert len(found) == 101
