"""Image nets from checkpoint folders into an engine: one device, one text encoder, each tokenizer once.

The nets of the families spark and drift draw in the latents of a mosaic net's tokenizer and do not bring one: in their
manifest `config.tokenizer_of` names that net and `config.tokenizer_sha256` its file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from genworkers.checkpoints import MANIFEST, CheckpointError, fill_net, load_manifest, load_tensors
from genworkers.codecs.wordpiece import WordPiece
from genworkers.contract import NetManifest
from genworkers.engine.canvas import Canvas, PictureTokenizer
from genworkers.engine.image_engine import ImageEngine
from genworkers.engine.mosaic import MosaicPainter, Sampling
from genworkers.engine.painter import Painter
from genworkers.engine.prompt_reader import PromptReader
from genworkers.nets.encoder import load_minilm, minilm_folder
from genworkers.nets.fsq_tokenizer import FsqTokenizer, TokenizerConfig
from genworkers.nets.masked_transformer import MaskedTransformer, MosaicConfig
from genworkers.nets.palette_tokenizer import PaletteTokenizer, PaletteTokenizerConfig

GPU_LANES = 8


def load_image_engine(folders: Mapping[str, Path], *, num_threads: int = 1, memory_bytes: int = 0) -> ImageEngine:
    """Load image nets and the text encoder; the engine still has to be started.

    Args:
        folders: of the checkpoints, by the name of their net.
        num_threads, memory_bytes: as ImageEngine; on a GPU one thread serves it.

    Raises:
        CheckpointError: a checkpoint or the text encoder's weights are missing or not what they should be.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    manifests = {name: load_manifest(folder) for name, folder in folders.items()}
    reader = _load_reader(next(iter(folders.values()), Path()), device)
    canvases = {
        name: _load_canvas(folders[name], manifest, device)
        for name, manifest in manifests.items()
        if manifest.family == "mosaic"
    }
    painters: dict[str, Painter[Any]] = {}
    for name, manifest in manifests.items():
        folder = folders[name]
        if manifest.family == "mosaic":
            painters[name] = _load_mosaic(folder, manifest, canvases[name], reader)
        else:
            raise CheckpointError(folder / MANIFEST, f"is of the family {manifest.family!r}, which no painter serves")
    return ImageEngine(painters, num_threads=1 if device.type == "cuda" else num_threads, memory_bytes=memory_bytes)


def _load_reader(folder: Path, device: torch.device) -> PromptReader:
    try:
        minilm = minilm_folder()
        return PromptReader(load_minilm(minilm), WordPiece(minilm / "tokenizer.json"), device)
    except (FileNotFoundError, ValueError) as error:
        raise CheckpointError(folder, str(error)) from error


def _load_canvas(folder: Path, manifest: NetManifest, device: torch.device) -> Canvas:
    """The tokenizer of a mosaic net. `config.upscaling` "nearest" makes pixel art of it, and `config.outlines` says for
    each style whether outlines are made "crisp" (also where it is silent) or stay "soft"."""
    try:
        settings: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in manifest.config["tokenizer"].items()
        }
        tokenizer: PictureTokenizer = (
            PaletteTokenizer(PaletteTokenizerConfig(**settings))
            if "num_colours" in settings
            else FsqTokenizer(TokenizerConfig(**settings))
        )
        outlines = dict(manifest.config.get("outlines", {}))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _misfit(folder, error) from error
    fill_net(tokenizer, load_tensors(folder, manifest, "tokenizer"), path=folder / "tokenizer.safetensors")
    return Canvas(
        tokenizer,
        is_pixel_art=manifest.config.get("upscaling") == "nearest",
        soft_styles=frozenset(style for style, outline in outlines.items() if outline == "soft"),
        device=device,
    )


def _load_mosaic(folder: Path, manifest: NetManifest, canvas: Canvas, reader: PromptReader) -> MosaicPainter:
    try:
        transformer = MaskedTransformer(MosaicConfig(**manifest.config["transformer"]))
        sampling = Sampling(**manifest.config["sampling"])
    except (KeyError, TypeError, ValueError) as error:
        raise _misfit(folder, error) from error
    if len(manifest.styles) != transformer.config.num_styles:
        raise CheckpointError(folder / MANIFEST, f"must name {transformer.config.num_styles} styles")
    fill_net(transformer, load_tensors(folder, manifest, "transformer"), path=folder / "transformer.safetensors")
    lanes = GPU_LANES if canvas.device.type == "cuda" else 1
    return MosaicPainter(transformer, canvas, reader, styles=tuple(manifest.styles), sampling=sampling, lanes=lanes)


def _misfit(folder: Path, error: Exception) -> CheckpointError:
    return CheckpointError(folder / MANIFEST, f"config does not fit this program ({error!r})")
