"""What the text engine needs to know to serve a net, and where it gets it from. `loading.py` reads it from disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from genworkers.codecs.text_bpe import TextCodec
from genworkers.nets.paged_decoder import PagedDecoder


@dataclass(frozen=True, slots=True)
class NetFacts:
    """What is known of an installed net before it is loaded.

    Args:
        sha256: of its checkpoint; a net that is replaced under the same name has another.
        num_bytes: memory that it takes once it is loaded: weights and cache.
    """

    name: str
    sha256: str
    num_bytes: int


@dataclass(frozen=True, slots=True)
class LoadedNet:
    """A net that can be served.

    Args:
        context_tokens: the most tokens that prompt and answer may have together: the decoder's own limit, or
            less where the cache is too small for it.
    """

    decoder: PagedDecoder
    codec: TextCodec
    context_tokens: int


@dataclass(frozen=True, slots=True)
class LoadedAdapter:
    """A LoRA adapter, as `PagedDecoder.add_adapter` takes it."""

    tensors: dict[str, Tensor]
    scale: float


class NetSource(Protocol):
    """Finds and loads nets by name; called from the threads of whoever submits a request."""

    def facts_of(self, name: str) -> NetFacts:
        """What is installed under this name now; cheap, asked for at every request.

        Raises:
            EngineError: `net_not_loaded`: no net of that name is installed.
        """

    def load(self, name: str) -> LoadedNet:
        """Load it; takes seconds.

        Raises:
            EngineError: `net_too_large` or `net_broken`.
        """

    def adapters_of(self, name: str) -> Mapping[str, str]:
        """The LoRA adapters that are installed for a net: their names to the sha256 of their weights."""

    def load_adapter(self, name: str, adapter: str) -> LoadedAdapter:
        """Load one of `adapters_of(name)`.

        Raises:
            EngineError: `adapter_broken`.
        """
