"""Tiny untrained nets that draw in the latents of the tiny mosaic's tokenizer, and their checkpoints."""

from pathlib import Path

import numpy as np
import torch

from genworkers.checkpoints import CheckpointFacts, save
from genworkers.codecs.image_bytes import to_webp
from genworkers.contract.manifests import NetManifest
from genworkers.engine.canvas import Canvas
from genworkers.engine.drift import DriftPainter
from genworkers.engine.prompt_reader import PromptReader
from genworkers.engine.spark import SparkPainter
from genworkers.nets.gan import SparkConfig, SparkGenerator
from genworkers.nets.vae import DriftConfig, DriftPlaces, DriftVae
from tests.genworkers.tiny_mosaic import STYLES

WIDTH = 6
CHANNELS = 2


def tiny_generator(sentence_width: int = 16) -> SparkGenerator:
    """Random weights, the same every time."""
    torch.manual_seed(3)
    return SparkGenerator(
        SparkConfig(
            channels=CHANNELS,
            widths=(16, 16),
            num_styles=2,
            sentence_width=sentence_width,
            noise_width=8,
            condition_width=8,
            num_blocks=1,
        )
    )


def tiny_vae(sentence_width: int = 16) -> tuple[DriftVae, DriftPlaces]:
    """Random weights, the same every time, with anchors and directions that differ from each other."""
    torch.manual_seed(4)
    net = DriftVae(
        DriftConfig(
            channels=CHANNELS,
            widths=(8, 16),
            latent_width=WIDTH,
            num_styles=2,
            sentence_width=sentence_width,
            prior_width=8,
            num_paint_blocks=1,
        )
    )
    places = DriftPlaces(WIDTH, map_side=3, num_directions=2, channels=CHANNELS)
    places.anchors.normal_()
    places.directions.normal_()
    places.strangeness_quantiles = torch.linspace(0.0, 2000.0, 101)
    return net, places


def tiny_spark(canvas: Canvas, reader: PromptReader) -> SparkPainter:
    """A painter of `tiny_generator`."""
    return SparkPainter(tiny_generator(), canvas, reader, styles=STYLES)


def tiny_drift(canvas: Canvas, reader: PromptReader) -> DriftPainter:
    """A painter of `tiny_vae`."""
    net, places = tiny_vae()
    return DriftPainter(net, places, canvas, reader, styles=STYLES, directions=("redder", "rounder"))


def write_spark(folder: Path, tokenizer_sha256: str) -> NetManifest:
    """A spark checkpoint that reads sentences of the real text encoder."""
    net = tiny_generator(sentence_width=384)
    facts = CheckpointFacts(
        name=folder.name,
        kind="image",
        family="spark",
        title="Spark",
        config={
            "net": {
                "channels": CHANNELS,
                "widths": [16, 16],
                "num_styles": 2,
                "noise_width": 8,
                "condition_width": 8,
                "num_blocks": 1,
            },
            "tokenizer_of": "mosaic",
            "tokenizer_sha256": tokenizer_sha256,
        },
        styles={style: style.title() for style in STYLES},
    )
    return save(folder, facts, weights={"net": net.state_dict()}, other_parts={}, card="")


def write_drift(folder: Path, tokenizer_sha256: str) -> NetManifest:
    """A drift checkpoint that reads sentences of the real text encoder."""
    net, places = tiny_vae(sentence_width=384)
    facts = CheckpointFacts(
        name=folder.name,
        kind="image",
        family="drift",
        title="Drift",
        config={
            "net": {
                "channels": CHANNELS,
                "widths": [8, 16],
                "latent_width": WIDTH,
                "num_styles": 2,
                "prior_width": 8,
                "num_paint_blocks": 1,
            },
            "tokenizer_of": "mosaic",
            "tokenizer_sha256": tokenizer_sha256,
            "map_labels": [["cat", "dog", "apple"]] * 3,
        },
        styles={style: style.title() for style in STYLES},
        directions={"redder": "Redder", "rounder": "Rounder"},
    )
    weights = {"net": net.state_dict(), "places": places.state_dict()}
    atlas = {"map": ("map.webp", to_webp(np.full((96, 96, 4), 200, dtype=np.uint8)))}
    return save(folder, facts, weights=weights, other_parts=atlas, card="")
