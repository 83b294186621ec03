"""The trained judges of pictures, ready to use: features of pictures, vectors of captions, the things in a picture.

`python -m genworkers.training.train_judges` makes their files. Batches are (B, 3, 64, 64) on white in 0..1.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from genworkers.checkpoints import sha256_of
from genworkers.codecs.image_bytes import Pixels, premultiply, resize_premultiplied
from genworkers.evaluation.image_metrics import Features
from genworkers.nets.judges import (
    CELL_PX,
    NUM_CELLS,
    PICTURE_PX,
    CaptionScorer,
    CaptionScorerConfig,
    FeatureEncoder,
    FeatureEncoderConfig,
    SceneDetector,
    SceneDetectorConfig,
    SceneMaps,
)

BATCH = 64
MAX_THINGS = 12
PEAK_CHANCE = 0.3  # of 0.15 to 0.55, those from 0.25 to 0.35 count real scenes best
Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True)
class SeenThing:
    """One thing that the detector sees: its centre in px of 64, the look there as a unit vector, its colour."""

    x_px: float
    y_px: float
    chance: float
    look: Tensor
    colour: str


@dataclass(frozen=True)
class SeenScene:
    """What the detector sees in a picture, the surest thing first."""

    things: tuple[SeenThing, ...]
    ground: str


@dataclass(frozen=True)
class Judges:
    """The three judges.

    Attributes:
        colours: names of the detector's colour classes; the last is "none".
        sha256: of each judge's weights: figures of other judges do not compare.
    """

    encoder: FeatureEncoder
    scorer: CaptionScorer
    detector: SceneDetector
    colours: tuple[str, ...]
    sha256: dict[str, str]

    def features(self, batch: Tensor) -> Features:
        """(B, d) features for the measures of `image_metrics.py`."""
        found = _in_parts(lambda part: self.encoder(part)[0].float(), batch)
        return np.asarray(found.numpy(), dtype=np.float64)

    def picture_vectors(self, batch: Tensor) -> Tensor:
        """Unit vectors (B, D) in the space of captions."""
        return _in_parts(self.scorer.picture_vectors, batch)

    @torch.inference_mode()
    def text_vectors(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (B, D) of captions."""
        return self.scorer.text_vectors(texts)

    def looks_of_single(self, batch: Tensor) -> Tensor:
        """What the one thing in each picture looks like: unit vectors (B, L) at the surest cell."""

        def look(part: Tensor) -> Tensor:
            maps: SceneMaps = self.detector(part)
            cell = maps.heat.flatten(1).argmax(1)
            return maps.looks.flatten(2)[torch.arange(len(part)), :, cell]

        return _in_parts(look, batch)

    @torch.inference_mode()
    def scenes(self, batch: Tensor) -> list[SeenScene]:
        """What is seen in each picture."""
        seen = []
        for part in batch.split(BATCH):
            maps: SceneMaps = self.detector(part)
            seen += [self._scene(maps, row) for row in range(len(part))]
        return seen

    def _scene(self, maps: SceneMaps, row: int) -> SeenScene:
        chances = maps.heat[row].sigmoid()
        is_peak = chances == F.max_pool2d(chances[None, None], 3, 1, 1)[0, 0]
        kept = torch.where(is_peak & (chances >= PEAK_CHANCE), chances, torch.zeros(()))
        things = []
        for chance, cell in zip(*kept.flatten().topk(MAX_THINGS), strict=True):
            if chance <= 0:
                break
            line, column = divmod(int(cell), NUM_CELLS)
            things.append(
                SeenThing(
                    x_px=(column + 0.5) * CELL_PX,
                    y_px=(line + 0.5) * CELL_PX,
                    chance=float(chance),
                    look=maps.looks[row, :, line, column].clone(),
                    colour=self.colours[int(maps.colours[row, :, line, column].argmax())],
                )
            )
        return SeenScene(tuple(things), self.colours[int(maps.grounds[row].argmax())])


def load_judges(folder: Path) -> Judges:
    """Read the judges that `genworkers.training.train_judges` wrote.

    Raises:
        FileNotFoundError: a judge has not been trained yet; the message names the command.
    """
    encoder_facts, scorer_facts, detector_facts = (_facts(folder, name) for name in ("encoder", "scorer", "detector"))
    return Judges(
        _filled(FeatureEncoder(FeatureEncoderConfig(**_tuples(encoder_facts["config"]))), folder / "encoder"),
        _filled(CaptionScorer(CaptionScorerConfig(**_tuples(scorer_facts["config"]))), folder / "scorer"),
        _filled(SceneDetector(SceneDetectorConfig(**_tuples(detector_facts["config"]))), folder / "detector"),
        tuple(detector_facts["colours"]),
        {name: sha256_of(folder / f"{name}.safetensors") for name in ("encoder", "scorer", "detector")},
    )


def batch_of(pictures: Sequence[Pixels]) -> Tensor:
    """Square straight-alpha pictures of any size as a batch: premultiplied, Lanczos to 64 px, on white."""
    planes = []
    for pixels in pictures:
        floats = premultiply(pixels)
        if floats.shape[0] != PICTURE_PX:
            floats = resize_premultiplied(floats, PICTURE_PX)
        planes.append(torch.from_numpy(floats[..., :3] + 1.0 - floats[..., 3:]))
    return torch.stack(planes).permute(0, 3, 1, 2).contiguous()


def _facts(folder: Path, name: str) -> dict[str, Any]:
    path = folder / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: python -m genworkers.training.train_judges --out {folder}")
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts


def _tuples(config: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}


def _filled(net: Net, path: Path) -> Net:
    net.load_state_dict(load_file(path.with_suffix(".safetensors")))
    return net.eval()


@torch.inference_mode()
def _in_parts(function: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    return torch.cat([function(part) for part in batch.split(BATCH)])
