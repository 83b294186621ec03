"""The picture screen: how likely a picture shows each of the categories that its corpus knew. Start at the loader.

What follows from a probability is the policy's business; the checkpoint only recommends. It knows drawings; what it
says of photographs was hardly measured, because the corpus has none. What it cannot judge is not among its scores.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from genworkers.checkpoints import NET_PART, fill_net, load_manifest, load_tensors, part_path, read_part
from genworkers.contract.safety import PictureCategory, Screening
from genworkers.nets.judges import PICTURE_PX
from genworkers.nets.picture_tagger import PictureTagger, PictureTaggerConfig
from genworkers.screening.calibration import Calibration

CALIBRATION_PART = "calibration"
REDUCING_GAP = 3.0  # large pictures are averaged before Lanczos; 2048 px take a quarter of the time
LIGHT = 0.7  # mean light of what can be seen; above it a picture on nothing may be meant for dark pages
# Beside something dark the mean is low, so a part of this light, too, that takes this share of the picture. Of 958
# held-out stickers as many are flagged wrongly as without (44); with .8 it is three more.
MIN_CONTRAST = 0.02  # of a view: below it there is nothing to see, and the net has not learned what nothing is
NEARLY_WHITE, WHITE_AREA_FRAC = 0.85, 0.02


class PictureScreen:
    """The tagger and what turns its logits into probabilities.

    Each picture is judged in a pass of its own, so what stands beside it in a call changes nothing.

    Args:
        calibrations: one for each of the net's categories.
        thresholds: recommended `flag_at`, `review_at` and `block_at` of each category, None for never.
    """

    def __init__(
        self,
        net: PictureTagger,
        calibrations: Sequence[Calibration],
        *,
        name: str,
        version: str,
        thresholds: dict[PictureCategory, dict[str, float | None]],
    ) -> None:
        self._net = net.eval()
        self._calibrations = tuple(calibrations)
        self.categories = net.config.categories
        self.name = name
        self.version = version
        self.thresholds = thresholds

    def screen(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Screening]:
        """What each picture is likely to show, one `Screening` a picture, in order.

        Args:
            pictures: each (H, W, 3) or straight-alpha (H, W, 4) uint8, of any size and shape from one pixel.

        Raises:
            ValueError: a picture has another shape or another dtype; the message says which.
        """
        return [self._screening(picture, place) for place, picture in enumerate(pictures)]

    def _screening(self, picture: NDArray[np.uint8], place: int) -> Screening:
        logits = self.logits(views_of(picture, f"pictures[{place}]"))
        scores = {
            category: float(calibration(logit))
            for category, calibration, logit in zip(self.categories, self._calibrations, logits, strict=True)
        }
        return Screening.model_validate({"screen": self.name, "version": self.version, "scores": scores})

    @torch.inference_mode()
    def logits(self, views: Tensor) -> list[float]:
        """The largest logit of each category over the views (V, 3, 64, 64) of one picture; -inf where all are blank."""
        contrast = (views.amax((2, 3)) - views.amin((2, 3))).amax(1)  # (V,)
        logits = self._net(views.contiguous(memory_format=torch.channels_last))
        found: list[float] = logits.masked_fill(contrast[:, None] < MIN_CONTRAST, -torch.inf).amax(0).tolist()
        return found


def views_of(picture: NDArray[np.uint8], name: str = "picture") -> Tensor:
    """One picture as the net reads it: shrunk into a white square, and on black if white may be lost on it.

    Args:
        picture: see `PictureScreen.screen`.
        name: for the message.

    Returns:
        (1 or 2, 3, 64, 64) in 0..1.

    Raises:
        ValueError: it is no uint8 array (H, W, 3) or (H, W, 4) of at least one pixel.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4) or 0 in picture.shape:
        raise ValueError(
            f"{name} must be a uint8 array (H, W, 3) or (H, W, 4) of at least 1x1 px, "
            f"got {picture.dtype} {picture.shape}"
        )
    height_px, width_px = picture.shape[:2]
    scale = PICTURE_PX / max(height_px, width_px)
    width, height = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    image = Image.fromarray(np.ascontiguousarray(picture))
    is_opaque = picture.shape[2] == 3 or int(picture[..., 3].min()) == 255
    image = image.convert("RGB") if is_opaque else image.convert("RGBa")
    small = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP)
    floats = torch.from_numpy(np.asarray(small, dtype=np.float32) / 255.0).permute(2, 0, 1)  # (3 or 4, height, width)
    colours, alpha = floats[:3], torch.ones(1, height, width) if is_opaque else floats[3:]
    is_light = float(colours.mean()) > LIGHT * float(alpha.mean())
    is_white = (alpha[0] > 0.5) & (colours.mean(0) > NEARLY_WHITE * alpha[0])  # (height, width)
    may_vanish = is_light or float(is_white.float().mean()) > WHITE_AREA_FRAC
    grounds = (1.0, 0.0) if may_vanish and not is_opaque else (1.0,)
    top, left = (PICTURE_PX - height) // 2, (PICTURE_PX - width) // 2
    views = torch.tensor(grounds)[:, None, None, None].repeat(1, 3, PICTURE_PX, PICTURE_PX)
    for view, ground in zip(views, grounds, strict=True):
        view[:, top : top + height, left : left + width] = colours + (1.0 - alpha) * ground
    return views.clamp(0.0, 1.0)


def load_picture_screen(folder: Path) -> PictureScreen:
    """The screen of a checkpoint, on the CPU.

    Raises:
        CheckpointError: the folder or one of its files is not what it should be.
    """
    manifest = load_manifest(folder)
    shape = manifest.config["net"]
    net = PictureTagger(PictureTaggerConfig(tuple(shape["categories"]), tuple(shape["widths"])))
    fill_net(net, load_tensors(folder, manifest, NET_PART), path=part_path(folder, manifest, NET_PART))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    known = json.loads(read_part(folder, manifest, CALIBRATION_PART))
    return PictureScreen(
        net,
        [Calibration(tuple(known[name]["logits"]), tuple(known[name]["chances"])) for name in net.config.categories],
        name=manifest.name,
        version=manifest.sha256[:12],
        thresholds=manifest.config["thresholds"],
    )
