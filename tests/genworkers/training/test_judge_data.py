"""How scenes and stickers become what the judges learn from."""

import torch

from genworkers.training.judge_data import COLOUR_CLASSES, NO_CLASS, jittered, joined, on_white, tabulate
from genworkers.training.scenes import Box, Scene, Thing


def test_a_scene_becomes_a_map_of_centres_and_a_row_a_thing() -> None:
    two_cats = Thing("cat", "cat", "blue", True, (Box(0, 0, 16, 16), Box(40, 40, 64, 64)))
    dog = Thing("dog", "dog", None, False, (Box(32, 0, 64, 8),))
    scenes = [Scene("flat", "two", "", (two_cats, dog)), Scene("flat", "object", "", (dog,), background="red")]
    table = tabulate(scenes, torch.zeros(2, 4, 64, 64, dtype=torch.uint8), ["cat"])
    assert table.row.tolist() == [0, 0, 0, 1]
    assert table.cell.tolist() == [2 * 16 + 2, 13 * 16 + 13, 1 * 16 + 12, 1 * 16 + 12]
    assert table.concept.tolist() == [0, 0, NO_CLASS, NO_CLASS]
    assert [COLOUR_CLASSES[number] for number in table.colour.tolist()] == ["blue", "blue", "none", "none"]
    assert [COLOUR_CLASSES[number] for number in table.ground.tolist()] == ["none", "red"]
    assert (table.heat == 1.0).sum((1, 2)).tolist() == [3, 1]
    assert table.heat[0, 2, 2] == 1.0
    assert 0.5 < table.heat[0, 2, 3] < 0.7


def test_joined_tables_keep_which_thing_is_in_which_picture() -> None:
    dog = Thing("dog", "dog", None, False, (Box(32, 0, 64, 8),))
    pair = Scene("flat", "two", "", (dog, dog))
    one, other = (
        tabulate([scene], torch.full((1, 4, 64, 64), shade, dtype=torch.uint8), ["dog"])
        for scene, shade in ((Scene("flat", "object", "", (dog,)), 1), (pair, 2))
    )
    table = joined([one, other, one])
    assert table.row.tolist() == [0, 1, 1, 2]
    assert table.pictures[:, 0, 0, 0].tolist() == [1, 2, 1]


def test_nothing_is_white_and_moving_leaves_no_mark_on_it() -> None:
    empty = torch.zeros(3, 4, 64, 64, dtype=torch.uint8)
    assert bool((on_white(empty) == 1.0).all())
    assert bool((jittered(empty, torch.Generator().manual_seed(0), shift_px=4) == 1.0).all())


def test_pictures_move_by_no_more_than_asked() -> None:
    picture = torch.zeros(64, 4, 64, 64, dtype=torch.uint8)
    picture[:, 3, 30:34, 30:34] = 255  # black
    moved = jittered(picture, torch.Generator().manual_seed(0), shift_px=4)
    seen = (moved < 0.5).any(1).nonzero()
    assert (int(seen[:, 1:].min()), int(seen[:, 1:].max())) == (26, 37)
    assert len({tuple(place) for place in moved.flatten(1).argmin(1, keepdim=True).tolist()}) > 20
