"""Tiny nets by name, loaded as the text engine loads real ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from genworkers.codecs.text_bpe import TextCodec
from genworkers.engine.errors import EngineError
from genworkers.engine.net_source import LoadedAdapter, LoadedNet, NetFacts
from genworkers.nets.paged_decoder import PagedDecoder
from tests.genworkers.tiny_decoder import PlainPagedDecoder, tiny_codec, tiny_decoder

CODEC = tiny_codec()


def plain_decoder(*, seed: int = 0, num_blocks: int = 64, block_tokens: int = 4) -> PlainPagedDecoder:
    """A tiny decoder with room for 64 * 4 tokens."""
    return PlainPagedDecoder(tiny_decoder(CODEC.vocab_size, seed=seed), num_blocks, block_tokens)


@dataclass
class TinyNets:
    """A `NetSource`; what it loads and how often is there to see.

    Args:
        decoders: makes each net's decoder.
        num_bytes: what is said of every net before it is loaded.
    """

    decoders: Mapping[str, Callable[[], PagedDecoder]] = field(default_factory=lambda: {"tiny": plain_decoder})
    adapters: Mapping[str, LoadedAdapter] = field(default_factory=dict)
    num_bytes: int = 1000
    codec: TextCodec = CODEC
    loads: list[str] = field(default_factory=list)

    def facts_of(self, name: str) -> NetFacts:
        """See `NetSource`."""
        if name not in self.decoders:
            raise EngineError("net_not_loaded", f"No net {name!r} is installed.")
        return NetFacts(name, f"sha of {name}", self.num_bytes)

    def adapters_of(self, name: str) -> Mapping[str, str]:
        """See `NetSource`."""
        return dict.fromkeys(self.adapters, "1" * 64)

    def load(self, name: str) -> LoadedNet:
        """See `NetSource`."""
        self.loads.append(name)
        decoder = self.decoders[name]()
        return LoadedNet(decoder, self.codec, decoder.config.context_tokens)

    def load_adapter(self, name: str, adapter: str) -> LoadedAdapter:
        """See `NetSource`."""
        self.loads.append(f"{name}:{adapter}")
        return self.adapters[adapter]
