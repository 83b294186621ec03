"""The engines of this worker process, one per net, loaded before the first task and closed after the last."""

from django.conf import settings

from genworkers import contract
from genworkers.engine.errors import EngineError
from genworkers.engine.image_engine import ImageEngine, load_image_engine
from genworkers.engine.text_engine import TextEngine, load_text_engine
from webapp.catalog import selectors as catalog

_text: dict[str, TextEngine] = {}
_image: dict[str, ImageEngine] = {}


def load(kind: contract.Kind) -> list[str]:
    """Load and start an engine for every installed net of a kind.

    Returns:
        The names of the nets that are now served.

    Raises:
        CheckpointError: a checkpoint is missing, truncated or not what its manifest says.
    """
    names = [net.name for net in catalog.nets() if net.kind == kind]
    for name in names:
        folder = settings.NETS_DIR / name
        if kind == "text":
            _text[name] = load_text_engine(folder)
            _text[name].start()
        else:
            _image[name] = load_image_engine(folder)
            _image[name].start()
    return names


def text_engine(net: str) -> TextEngine:
    """The running engine of a text net; an EngineError when this worker does not serve it."""
    if net not in _text:
        raise _not_served(net)
    return _text[net]


def image_engine(net: str) -> ImageEngine:
    """The running engine of an image net; an EngineError when this worker does not serve it."""
    if net not in _image:
        raise _not_served(net)
    return _image[net]


def close() -> None:
    """Stop every engine thread."""
    engines: list[TextEngine | ImageEngine] = [*_text.values(), *_image.values()]
    for engine in engines:
        engine.close()


def _not_served(net: str) -> EngineError:
    return EngineError("net_not_loaded", f"No worker serves the net {net!r} any more. Choose another net.")
