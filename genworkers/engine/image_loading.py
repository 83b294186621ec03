"""Image nets from checkpoint folders into an engine: one device, one text encoder, each tokenizer once.

The nets of the families spark and drift draw in the latents of a mosaic net's tokenizer and do not bring one: in their
manifest `config.tokenizer_of` names that net and `config.tokenizer_sha256` is the sha256 of its file. `config.net` is
the shape of their own net, `config.sampling` what their painter takes beside (found by looking at pictures).
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genworkers.checkpoints import MANIFEST, CheckpointError, fill_net, load_manifest, load_tensors
from genworkers.codecs.image_bytes import Pixels
from genworkers.codecs.wordpiece import WordPiece
from genworkers.contract.image import Unlikeness
from genworkers.contract.manifests import NetManifest
from genworkers.engine.canvas import Canvas, PictureTokenizer
from genworkers.engine.drift import DriftPainter
from genworkers.engine.energy import Meter
from genworkers.engine.image_engine import ImageEngine
from genworkers.engine.mosaic import MosaicPainter, Sampling
from genworkers.engine.painter import Painter
from genworkers.engine.prompt_reader import PromptReader
from genworkers.engine.spark import SparkPainter
from genworkers.nets.encoder import load_minilm, minilm_folder
from genworkers.nets.fsq_tokenizer import FsqTokenizer, TokenizerConfig
from genworkers.nets.gan import SparkConfig, SparkGenerator
from genworkers.nets.masked_transformer import MaskedTransformer, MosaicConfig
from genworkers.nets.palette_tokenizer import PaletteTokenizer, PaletteTokenizerConfig
from genworkers.nets.vae import DriftConfig, DriftPlaces, DriftVae

GPU_LANES = 8
FAMILIES = ("mosaic", "spark", "drift")


def load_image_engine(
    folders: Mapping[str, Path], *, num_threads: int = 1, memory_bytes: int = 0, meter: Meter | None = None
) -> ImageEngine:
    """Load image nets and the text encoder; the engine still has to be started.

    Args:
        folders: of the checkpoints, by the name of their net.
        num_threads, memory_bytes, meter: as ImageEngine; on a GPU one thread serves it.

    Raises:
        CheckpointError: a checkpoint or the text encoder's weights are missing or not what they should be.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    manifests = {name: load_manifest(folder) for name, folder in folders.items()}
    for name, manifest in manifests.items():
        if manifest.family not in FAMILIES:
            raise CheckpointError(folders[name] / MANIFEST, f"is of the family {manifest.family!r}, not of {FAMILIES}")
    own = {
        name: _load_canvas(folders[name], manifest, device)
        for name, manifest in manifests.items()
        if manifest.family == "mosaic"
    }
    canvases = {
        name: own[name] if name in own else _borrowed(folders[name], manifest, manifests, own)
        for name, manifest in manifests.items()
    }
    reader = _load_reader(next(iter(folders.values()), Path()), device)
    painters: dict[str, Painter[Any]] = {}
    judges: dict[str, Callable[[Pixels], Unlikeness]] = {}
    for name, manifest in manifests.items():
        folder = folders[name]
        if manifest.family == "mosaic":
            painters[name] = _load_mosaic(folder, manifest, canvases[name], reader)
        elif manifest.family == "spark":
            painters[name] = _load_spark(folder, manifest, canvases[name], reader)
        else:
            drift = _load_drift(folder, manifest, canvases[name], reader)
            painters[name] = drift
            # It can judge whatever is drawn with the tokenizer that it knows.
            source = manifest.config["tokenizer_of"]
            judged = (other for other, its in manifests.items() if source in (other, its.config.get("tokenizer_of")))
            judges |= dict.fromkeys(judged, partial(_judge, drift, name))
    if device.type == "cuda":
        num_threads = 1
    return ImageEngine(painters, num_threads=num_threads, memory_bytes=memory_bytes, judges=judges, meter=meter)


def load_canvas(folder: Path) -> Canvas:
    """The tokenizer of one mosaic checkpoint alone, on the CPU.

    Raises:
        CheckpointError: it is missing or not what it should be.
    """
    return _load_canvas(folder, load_manifest(folder), torch.device("cpu"))


def _judge(drift: DriftPainter, name: str, pixels: Pixels) -> Unlikeness:
    return Unlikeness(net=name, percentile_frac=round(drift.unlikeness(pixels), 4))


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
        settings = _settings(manifest.config["tokenizer"])
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
    _check_styles(folder, manifest, transformer.config.num_styles)
    fill_net(transformer, load_tensors(folder, manifest, "transformer"), path=folder / "transformer.safetensors")
    lanes = GPU_LANES if canvas.device.type == "cuda" else 1
    return MosaicPainter(transformer, canvas, reader, styles=tuple(manifest.styles), sampling=sampling, lanes=lanes)


def _borrowed(
    folder: Path, manifest: NetManifest, manifests: Mapping[str, NetManifest], canvases: Mapping[str, Canvas]
) -> Canvas:
    """The canvas of the net that `config.tokenizer_of` names, after checking that it is the one this net learned."""
    owner = manifest.config.get("tokenizer_of")
    if not isinstance(owner, str) or owner not in canvases:
        raise CheckpointError(
            folder / MANIFEST, f"draws with the tokenizer of the net {owner!r}, which is not installed beside it"
        )
    wanted, found = manifest.config.get("tokenizer_sha256"), manifests[owner].files["tokenizer"]["sha256"]
    if wanted != found:
        raise CheckpointError(
            folder / MANIFEST, f"was trained with another tokenizer of {owner!r}: sha256 {wanted}, installed is {found}"
        )
    return canvases[owner]


def _load_spark(folder: Path, manifest: NetManifest, canvas: Canvas, reader: PromptReader) -> SparkPainter:
    try:
        net = SparkGenerator(SparkConfig(**_settings(manifest.config["net"])))
        _check_styles(folder, manifest, net.config.num_styles)
        fill_net(net, load_tensors(folder, manifest, "net"), path=folder / "net.safetensors")
        sampling = manifest.config.get("sampling", {})
        return SparkPainter(net, canvas, reader, styles=tuple(manifest.styles), **sampling)
    except (KeyError, TypeError, ValueError) as error:
        raise _misfit(folder, error) from error


def _load_drift(folder: Path, manifest: NetManifest, canvas: Canvas, reader: PromptReader) -> DriftPainter:
    try:
        net = DriftVae(DriftConfig(**_settings(manifest.config["net"])))
        _check_styles(folder, manifest, net.config.num_styles)
        fill_net(net, load_tensors(folder, manifest, "net"), path=folder / "net.safetensors")
        known = load_tensors(folder, manifest, "places")
        places = DriftPlaces(
            net.config.latent_width,
            map_side=len(known["anchors"]),
            num_directions=len(manifest.directions),
            channels=net.config.channels,
            num_quantiles=len(known["strangeness_quantiles"]),
        )
        fill_net(places, known, path=folder / "places.safetensors")
        return DriftPainter(
            net,
            places,
            canvas,
            reader,
            styles=tuple(manifest.styles),
            directions=tuple(manifest.directions),
            **manifest.config.get("sampling", {}),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _misfit(folder, error) from error


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of a config class: JSON has lists where it has tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}


def _check_styles(folder: Path, manifest: NetManifest, num_styles: int) -> None:
    if len(manifest.styles) != num_styles:
        raise CheckpointError(folder / MANIFEST, f"must name {num_styles} styles, names {len(manifest.styles)}")


def _misfit(folder: Path, error: Exception) -> CheckpointError:
    return CheckpointError(folder / MANIFEST, f"config does not fit this program ({error!r})")
