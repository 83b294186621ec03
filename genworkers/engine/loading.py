"""Text nets from checkpoint folders into memory: how large their cache is, on which device and in which way they run.

`Checkpoints` is the source of the text engine's nets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError

from genworkers.checkpoints import CheckpointError, load_manifest, require_finite, sha256_of
from genworkers.codecs.safetensors_file import SafetensorsError, SafetensorsFile
from genworkers.contract.manifests import AdapterManifest, NetManifest
from genworkers.engine.config import EngineConfig
from genworkers.engine.errors import EngineError
from genworkers.engine.net_source import LoadedAdapter, LoadedNet, NetFacts
from genworkers.nets import native_library
from genworkers.nets.decoder import DecoderConfig
from genworkers.nets.native_decoder import NativePagedDecoder
from genworkers.nets.paged_decoder import PagedDecoder
from genworkers.nets.torch_paged_decoder import TorchPagedDecoder
from genworkers.text_checkpoints import TextCheckpoint, open_text_checkpoint

ADAPTER_MANIFEST = "adapter.json"
ADAPTER_WEIGHTS = "adapter.safetensors"
# A net whose cache holds less than this is not worth serving.
FEWEST_CONTEXT_TOKENS = 256
# int8 keeps a scale for each row beside the weights.
BYTES_PER_WEIGHT = {"float32": 4.0, "bfloat16": 2.0, "int8": 1.05}


@dataclass(frozen=True, slots=True)
class CacheSize:
    """How many blocks a net's cache has, and how long a sequence may be in it."""

    num_blocks: int
    num_bytes: int
    context_tokens: int


def cache_size(net: DecoderConfig, weights_bytes: int, config: EngineConfig) -> CacheSize:
    """The cache of one net: `cache_bytes`, or one whole context if that is more, or what the budget leaves."""
    value_bytes = 4 if config.precision == "float32" else 2
    block_bytes = 2 * net.num_layers * net.num_kv_heads * net.head_width * config.block_tokens * value_bytes
    num_wanted = max(config.cache_bytes // block_bytes, -(-net.context_tokens // config.block_tokens))
    num_affordable = (config.memory_budget_bytes - weights_bytes) // block_bytes
    num_fewest = -(-min(net.context_tokens, FEWEST_CONTEXT_TOKENS) // config.block_tokens)
    num_blocks = max(min(num_wanted, num_affordable), num_fewest)
    return CacheSize(num_blocks, num_blocks * block_bytes, min(net.context_tokens, num_blocks * config.block_tokens))


def is_native() -> bool:
    """Whether nets run in compiled code on the CPU here; otherwise on torch, on a GPU if there is one."""
    return not torch.cuda.is_available() and native_library.is_available()


def paged_decoder(checkpoint: TextCheckpoint, num_blocks: int, config: EngineConfig) -> PagedDecoder:
    """The net with its weights where it runs best on this machine; torch has no int8 and takes bfloat16 instead.

    Raises:
        CheckpointError: the weights are not what the manifest says.
        MemoryError: there is no room for them.
    """
    try:
        if is_native():
            return NativePagedDecoder(
                checkpoint.config,
                checkpoint.tensors(),
                num_blocks=num_blocks,
                block_tokens=config.block_tokens,
                precision=config.precision,
                num_threads=config.num_threads,
            )
        return TorchPagedDecoder(
            checkpoint.config,
            checkpoint.tensors(),
            num_blocks=num_blocks,
            block_tokens=config.block_tokens,
            dtype=torch.float32 if config.precision == "float32" else torch.bfloat16,
            device="cuda" if torch.cuda.is_available() else "cpu",
        )
    except ValueError as error:
        raise CheckpointError(checkpoint.folder, f"does not fit the net: {error}") from error


class Checkpoints:
    """Nets and adapters in folders; a `NetSource`.

    Args:
        folder_of: where the checkpoint of a net lies; None when there is none of that name.
        adapters_of: the folders of a net's LoRA adapters by their names.
        config: which precision, how large the caches.
    """

    def __init__(
        self,
        folder_of: Callable[[str], Path | None],
        adapters_of: Callable[[str], Mapping[str, Path]],
        config: EngineConfig,
    ) -> None:
        self._folder_of = folder_of
        self._adapters_of = adapters_of
        self._config = config
        self._known: dict[Path, tuple[int, NetManifest]] = {}

    def facts_of(self, name: str) -> NetFacts:
        """See `NetSource`."""
        try:
            manifest = self._manifest(self._folder(name))
            size = self._cache_size(manifest)
        except (CheckpointError, ValueError) as error:
            raise _broken(name, error) from error
        return NetFacts(name, manifest.sha256, self._weights_bytes(manifest) + size.num_bytes)

    def load(self, name: str) -> LoadedNet:
        """See `NetSource`."""
        try:
            checkpoint = open_text_checkpoint(self._folder(name))
            size = self._cache_size(checkpoint.manifest)
            decoder = paged_decoder(checkpoint, size.num_blocks, self._config)
        except (CheckpointError, ValueError) as error:
            raise _broken(name, error) from error
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise EngineError(
                "out_of_memory", f"The net {name!r} does not fit into this machine's memory. Choose a smaller one."
            ) from error
        return LoadedNet(decoder, checkpoint.codec, size.context_tokens)

    def adapters_of(self, name: str) -> Mapping[str, str]:
        """See `NetSource`."""
        try:
            return {adapter: _adapter_manifest(folder).sha256 for adapter, folder in self._adapters_of(name).items()}
        except CheckpointError as error:
            raise EngineError("adapter_broken", f"An adapter of {name!r} cannot be read: {error}.") from error

    def load_adapter(self, name: str, adapter: str) -> LoadedAdapter:
        """See `NetSource`."""
        folder = self._adapters_of(name).get(adapter)
        try:
            if folder is None:
                raise CheckpointError(Path(adapter), "was removed")
            manifest = _adapter_manifest(folder)
            path = folder / ADAPTER_WEIGHTS
            if sha256_of(path) != manifest.sha256:
                raise CheckpointError(path, "is not the file that adapter.json names; install the adapter again")
            file = SafetensorsFile(path)
            tensors = {key: file.read(key) for key in file.specs}
            for key, tensor in tensors.items():
                require_finite(tensor, key, path)
        except (CheckpointError, SafetensorsError, OSError) as error:
            raise EngineError("adapter_broken", f"The adapter {adapter!r} cannot be loaded: {error}.") from error
        return LoadedAdapter(tensors, manifest.alpha / manifest.rank)

    def _folder(self, name: str) -> Path:
        folder = self._folder_of(name)
        if folder is None:
            raise EngineError("net_not_loaded", f"No net {name!r} is installed any more. Choose another net.")
        return folder

    def _manifest(self, folder: Path) -> NetManifest:
        """The folder's manifest, read again only when it has changed."""
        try:
            changed_ns = (folder / "manifest.json").stat().st_mtime_ns
        except OSError as error:
            raise CheckpointError(folder, f"its manifest cannot be read ({error.strerror})") from error
        known = self._known.get(folder)
        if known is None or known[0] != changed_ns:
            known = changed_ns, load_manifest(folder)
            self._known[folder] = known
        return known[1]

    def _weights_bytes(self, manifest: NetManifest) -> int:
        precision = self._config.precision
        if precision == "int8" and not is_native():
            precision = "bfloat16"
        return int(manifest.num_parameters * BYTES_PER_WEIGHT[precision])

    def _cache_size(self, manifest: NetManifest) -> CacheSize:
        return cache_size(DecoderConfig.from_dict(manifest.config), self._weights_bytes(manifest), self._config)


def _adapter_manifest(folder: Path) -> AdapterManifest:
    path = folder / ADAPTER_MANIFEST
    try:
        return AdapterManifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CheckpointError(path, f"cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise CheckpointError(path, f"is not the manifest of an adapter ({error.errors()[0]['msg']})") from error


def _broken(name: str, error: Exception) -> EngineError:
    return EngineError("net_broken", f"The net {name!r} cannot be loaded: {error}. Install it again.")
