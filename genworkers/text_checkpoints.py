"""Text nets on disk: one way to open them, whether the house trained them or `genworkers/importing` converted them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from genworkers.checkpoints import (
    NET_PART,
    TOKENIZER_PART,
    CheckpointError,
    fill_net,
    iter_tensors,
    load_manifest,
    read_part,
)
from genworkers.codecs.chat_format import ChatFormat
from genworkers.codecs.text_bpe import TextCodec
from genworkers.contract.manifests import NetManifest
from genworkers.nets.decoder import Decoder, DecoderConfig

CHAT_PART = "chat"


@dataclass(frozen=True, slots=True)
class TextCheckpoint:
    """A text net's folder, its weights not yet read."""

    folder: Path
    manifest: NetManifest
    config: DecoderConfig
    codec: TextCodec

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Names (those of `Decoder.state_dict`) and weights as they are stored, one at a time, on the CPU.

        Raises:
            CheckpointError: the file is missing, truncated, changed, or holds a value that is not finite.
        """
        return iter_tensors(self.folder, self.manifest, NET_PART)


def open_text_checkpoint(folder: Path) -> TextCheckpoint:
    """Everything about a text net but its weights.

    Raises:
        CheckpointError: the folder holds no whole text net, or one of a family that is not served here.
    """
    manifest = load_manifest(folder)
    if (manifest.kind, manifest.family) != ("text", "decoder"):
        raise CheckpointError(folder, f"is a {manifest.kind} net of the family {manifest.family!r}, expected a decoder")
    tokenizer = read_part(folder, manifest, TOKENIZER_PART)
    try:
        config = DecoderConfig.from_dict(manifest.config)
        chat = ChatFormat.from_json(read_part(folder, manifest, CHAT_PART)) if CHAT_PART in manifest.files else None
        codec = TextCodec.from_json(tokenizer, chat)
    except ValueError as error:
        raise CheckpointError(folder, f"config or tokenizer is wrong: {error}") from error
    if codec.vocab_size > config.vocab_size:
        raise CheckpointError(folder, f"the tokenizer has {codec.vocab_size} tokens, the net only {config.vocab_size}")
    return TextCheckpoint(folder, manifest, config, codec)


def load_decoder(checkpoint: TextCheckpoint, dtype: torch.dtype | None = torch.float32) -> Decoder:
    """The net with its weights, on the CPU, in evaluation mode.

    Args:
        dtype: of the weights; None leaves them as they are stored.

    Raises:
        CheckpointError: as `TextCheckpoint.tensors`; or a tensor is missing, unknown or of another shape.
    """
    with torch.device("meta"):
        net = Decoder(checkpoint.config)
    net.fill_tables()
    tensors = {name: tensor.to(dtype or tensor.dtype) for name, tensor in checkpoint.tensors()}
    fill_net(net, tensors, path=checkpoint.folder)
    return net
