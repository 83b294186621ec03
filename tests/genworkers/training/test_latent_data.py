"""What spark and drift are trained on: views, batches and sentences."""

import torch

from genworkers.training.latent_data import VIEWS, LatentSet, seen_as


def small_set(num_scenes: int = 4) -> LatentSet:
    num_stickers = 6
    number = num_stickers + num_scenes
    return LatentSet(
        latents=torch.zeros(number, len(VIEWS), 4, 8, 8, dtype=torch.float16),
        pictures=torch.zeros(number, 4, 64, 64, dtype=torch.uint8),
        style=torch.tensor([0, 1, 0, 1, 0, 1] + [1] * num_scenes),
        concept=torch.tensor([0, 0, 1, 1, 2, 2] + [-1] * num_scenes),
        is_held_out=torch.tensor([False, False, True, True, False, False] + [False] * num_scenes),
        texts=[(torch.tensor([0, 1]), torch.tensor([0.0, 1.0]))] * number,
        sentences=torch.stack([torch.zeros(384), torch.ones(384)]).half(),
        said=("",) * number,
        keys=("a", "b", "c"),
        names=("a", "b", "c"),
        styles=("flat", "bold"),
    )


def test_every_view_is_the_picture_moved_or_mirrored_with_nothing_from_outside() -> None:
    pictures = torch.zeros(1, 1, 64, 64)
    pictures[0, 0, 10, 20] = 1.0
    pictures[0, 0, 0] = pictures[0, 0, 63] = 2.0
    kept = pictures.clone()
    for view, (is_mirrored, down, right) in enumerate(VIEWS):
        seen = seen_as(pictures, view)
        row, column = (seen[0, 0] == 1.0).nonzero()[0].tolist()
        assert (row, column) == (10 + down, (43 if is_mirrored else 20) + right)
        assert int((seen == 2.0).sum()) <= 128 - (64 if down else 0)
    assert torch.equal(pictures, kept)


def test_batches_hold_no_held_out_picture_and_scenes_are_never_mirrored() -> None:
    data, generator = small_set(), torch.Generator().manual_seed(0)
    picks = [data.pick(16, 0.5, generator) for _ in range(60)]
    scenes = [(rows, view) for rows, view in picks if int(rows.min()) >= 6]
    stickers = [(rows, view) for rows, view in picks if int(rows.max()) < 6]
    assert len(scenes) + len(stickers) == 60
    assert 15 < len(scenes) < 45
    assert all(view == 0 for _, view in scenes)
    assert {view for _, view in stickers} == set(range(len(VIEWS)))
    assert {int(row) for rows, _ in stickers for row in rows} == {0, 1, 4, 5}
    without = small_set(0)
    assert all(int(without.pick(8, 0.5, generator)[0].max()) < 6 for _ in range(20))


def test_sentences_are_drawn_by_chance_and_the_plain_name_comes_first() -> None:
    data = small_set()
    rows = torch.tensor([0, 1])
    assert float(data.sentence_of(rows).sum()) == 0.0
    assert float(data.sentence_of(rows, torch.Generator().manual_seed(0)).min()) == 1.0
    assert data.weights_of_style(rows).tolist() == [[1.0, 0.0], [0.0, 1.0]]
