"""The engines of this worker process: one for all text nets, loaded when they are asked for, one for all image nets."""

import functools
from collections.abc import Mapping
from pathlib import Path

import torch
from django.conf import settings

from genworkers.contract.base import Kind
from genworkers.engine.config import EngineConfig
from genworkers.engine.energy import Meter, find_meter
from genworkers.engine.errors import EngineError
from genworkers.engine.image_engine import ImageEngine
from genworkers.engine.image_loading import load_image_engine
from genworkers.engine.loading import Checkpoints
from genworkers.engine.text_engine import TextEngine
from webapp.catalog import selectors as catalog
from webapp.provenance import tokenizers

_text: list[TextEngine] = []
_image: list[ImageEngine] = []


@functools.cache
def meter() -> Meter:
    """What work costs in this process."""
    gpu_uuid = f"GPU-{torch.cuda.get_device_properties(0).uuid}" if torch.cuda.is_available() else None
    return find_meter(settings.WATTS_PER_CORE, gpu_uuid)


def load(kind: Kind) -> list[str]:
    """Start the engines of a kind. Nets of the house are loaded now, added text nets when they are first asked for.

    Returns:
        The names of the nets that are now loaded.

    Raises:
        CheckpointError: an image net is missing, truncated or not what its manifest says.
        EngineError: a text net of the house cannot be loaded.
    """
    names = [net.name for net in catalog.nets() if net.kind == kind]
    if kind == "image":
        if names:
            _image.append(
                load_image_engine(
                    {name: settings.NETS_DIR / name for name in names},
                    num_threads=settings.IMAGE_THREADS,
                    memory_bytes=settings.IMAGE_MEMORY_BYTES,
                    meter=meter(),
                )
            )
            _image[0].start()
        return names
    config = EngineConfig(
        memory_budget_bytes=settings.TEXT_MEMORY_BYTES,
        precision=settings.TEXT_PRECISION,
        num_threads=settings.ENGINE_THREADS,
    )
    engine = TextEngine(Checkpoints(catalog.folder_of, _adapter_folders, config), config, meter())
    engine.start()
    _text.append(engine)
    tokenizers.keep()  # those of the house change with the code
    names = [name for name in names if (settings.NETS_DIR / name).is_dir()]
    for name in names:
        engine.load(name)
    return names


def text_engine() -> TextEngine:
    """The running text engine; an EngineError when this worker serves no texts."""
    if not _text:
        raise EngineError("net_not_loaded", "This worker writes no texts. Start one with the queue `text`.")
    return _text[0]


def image_engine() -> ImageEngine:
    """The running image engine; an EngineError when this worker serves no pictures."""
    if not _image:
        raise EngineError("net_not_loaded", "This worker draws no pictures. Start one with the queue `image`.")
    return _image[0]


def close() -> None:
    """Stop every engine thread."""
    engines: list[TextEngine | ImageEngine] = [*_text, *_image]
    for engine in engines:
        engine.close()


def _adapter_folders(net: str) -> Mapping[str, Path]:
    folders = {one.name: catalog.adapter_folder(net, one.name) for one in catalog.adapters_of(net)}
    return {name: folder for name, folder in folders.items() if folder is not None}
