"""The picture screen: any picture of any size gets a probability a category, the same in every company."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from genworkers.checkpoints import CheckpointError
from genworkers.contract.safety import PICTURE_CATEGORIES, PictureCategory
from genworkers.nets.picture_tagger import PictureTagger, PictureTaggerConfig
from genworkers.screening.calibration import Calibration
from genworkers.screening.picture_screen import PictureScreen, load_picture_screen, views_of

Pixels = NDArray[np.uint8]
SHIPPED = Path("genworkers/weights/screens/picture")
CATEGORIES: tuple[PictureCategory, ...] = ("weapons", "death")


def screen_of(*chances: tuple[float, float]) -> PictureScreen:
    """A screen of an untrained net."""
    torch.manual_seed(0)
    net = PictureTagger(PictureTaggerConfig(CATEGORIES, (8, 8, 8, 8)))
    calibrations = [Calibration((-9.0, 9.0), one) for one in chances or ((0.0, 1.0), (0.0, 1.0))]
    return PictureScreen(net, calibrations, name="picture", version="0", thresholds={})


def noise(height_px: int, width_px: int, channels: int = 4, seed: int = 0) -> Pixels:
    """A picture of random pixels."""
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, channels), dtype=np.uint8)


@pytest.fixture(scope="module")
def shipped() -> PictureScreen:
    """The screen that the studio uses."""
    return load_picture_screen(SHIPPED)


@pytest.mark.parametrize("size", [(1, 1), (1, 2048), (2048, 1), (3, 5), (64, 64), (512, 512), (700, 300), (2048, 2048)])
@pytest.mark.parametrize("channels", [3, 4])
def test_pictures_of_every_size_are_screened(size: tuple[int, int], channels: int) -> None:
    (one,) = screen_of().screen([noise(*size, channels)])
    assert set(one.scores) == {"weapons", "death"}
    assert all(0.0 <= chance <= 1.0 for chance in one.scores.values())


def test_what_stands_beside_a_picture_changes_nothing() -> None:
    screen = screen_of()
    pictures = [noise(64, 64, 4, 1), noise(90, 30, 3, 2), noise(512, 512, 4, 3)]
    assert screen.screen(pictures) == [screen.screen([picture])[0] for picture in pictures]
    assert screen.screen([]) == []


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((8, 8, 3), np.float32), r"pictures\[1\] must be a uint8 array .* got float32 \(8, 8, 3\)"),
        (np.zeros((8, 8), np.uint8), r"got uint8 \(8, 8\)"),
        (np.zeros((8, 8, 2), np.uint8), r"got uint8 \(8, 8, 2\)"),
        (np.zeros((0, 8, 3), np.uint8), r"at least 1x1 px, got uint8 \(0, 8, 3\)"),
    ],
)
def test_what_is_no_picture_is_refused_by_its_place(picture: Pixels, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        screen_of().screen([noise(4, 4), picture])


def test_a_light_see_through_picture_is_judged_on_white_and_on_black() -> None:
    nothing = np.zeros((40, 40, 4), np.uint8)
    white_square = nothing.copy()
    white_square[10:30, 10:30] = 255
    on_white, on_black = views_of(white_square)
    assert bool((on_white == 1.0).all())
    assert (float(on_black.min()), float(on_black.max())) == (0.0, 1.0)
    dark_square = white_square.copy()
    dark_square[..., :3] = 0
    assert [len(views_of(one)) for one in (white_square[..., :3], dark_square, nothing)] == [1, 1, 1]
    assert len(views_of(np.full((4, 4, 4), 255, np.uint8))) == 1


def test_a_white_shape_beside_a_dark_one_is_seen_on_black() -> None:
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[:, :32] = (40, 20, 20, 255)
    assert len(views_of(picture)) == 1
    picture[20:40, 40:60] = 255
    _, on_black = views_of(picture)
    assert bool((on_black[:, 22:38, 42:58] > 0.9).all())
    picture[20:40, 40:60, :3] = (250, 200, 40)  # yellow is seen on white as well
    assert len(views_of(picture)) == 1


def test_hidden_colour_under_no_alpha_is_not_seen() -> None:
    picture = noise(50, 50)
    picture[..., 3] = 0
    assert bool((views_of(picture)[0] == 1.0).all())


def test_a_wide_picture_keeps_its_shape_on_white() -> None:
    (view,) = views_of(np.zeros((100, 200, 3), np.uint8))
    assert view.shape == (3, 64, 64)
    assert bool((view[:, :16] == 1.0).all())
    assert bool((view[:, 16:48] == 0.0).all())
    assert bool((view[:, 48:] == 1.0).all())


def test_a_higher_logit_is_never_a_lower_probability(shipped: PictureScreen) -> None:
    calibrations = shipped._calibrations
    assert len(calibrations) == len(shipped.categories)
    for calibration in calibrations:
        chances = calibration(np.linspace(-40.0, 40.0, 400))
        assert bool((np.diff(chances) >= 0.0).all())
        assert 0.0 <= chances[0] < 0.05 < chances[-1] <= 1.0


def test_the_shipped_screen_says_only_what_it_knows(shipped: PictureScreen) -> None:
    assert set(shipped.categories) < set(PICTURE_CATEGORIES)
    assert not {"nudity", "nations"} & set(shipped.categories)
    assert set(shipped.thresholds) == set(shipped.categories)
    blanks = [np.full((512, 512, 3), grey, np.uint8) for grey in (0, 128, 255)]
    for blank in shipped.screen([*blanks, np.zeros((64, 64, 4), np.uint8)]):
        assert set(blank.scores) == set(shipped.categories)
        assert max(blank.scores.values()) < 0.05


def drawn(kind: str) -> Pixels:
    """Something drawn here and now, 512 px."""
    image = Image.new("RGBA", (512, 512))
    draw = ImageDraw.Draw(image)
    if kind == "cross":
        draw.rectangle((225, 60, 285, 450), fill="black")
        draw.rectangle((130, 160, 380, 220), fill="black")
    elif kind == "wine":
        draw.pieslice((150, -60, 360, 280), 0, 180, fill="#a01030", outline="#333333", width=8)
        draw.rectangle((245, 270, 265, 430), fill="#888888")
        draw.ellipse((180, 415, 330, 450), fill="#888888")
    elif kind == "skull":
        draw.ellipse((110, 60, 400, 340), fill="#eeeeee", outline="black", width=12)
        draw.rectangle((180, 300, 330, 420), fill="#eeeeee", outline="black", width=12)
        for x in (190, 320):
            draw.ellipse((x - 42, 180, x + 42, 270), fill="black")
        draw.polygon(((255, 270), (235, 310), (275, 310)), fill="black")
    else:
        draw.ellipse((80, 80, 430, 430), fill="#ffcc22")
    return np.array(image)


def test_things_drawn_here_are_found_and_a_ball_is_not(shipped: PictureScreen) -> None:
    wanted: dict[str, PictureCategory] = {"wine": "alcohol-tobacco", "cross": "religion", "skull": "death"}
    for kind, category in wanted.items():
        (one,) = shipped.screen([drawn(kind)])
        assert one.scores[category] == max(one.scores.values()), (kind, one.scores)
        assert one.scores[category] > 0.3, (kind, one.scores)
    (ball,) = shipped.screen([drawn("ball")])
    assert max(ball.scores.values()) < 0.2


def test_a_net_that_is_not_whole_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"manifest\.json: missing"):
        load_picture_screen(tmp_path)
