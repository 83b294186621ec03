"""What the masked Transformer trains on: pictures as codes, and every text that may stand for them, encoded once."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from genworkers.codecs.image_bytes import Pixels
from genworkers.codecs.wordpiece import WordPiece
from genworkers.nets.encoder import load_minilm, minilm_folder
from genworkers.nets.fsq_tokenizer import FsqTokenizer
from genworkers.nets.masked_transformer import Captions
from genworkers.training.scene_layout import SCENE_PX
from genworkers.training.scenes import compose, make_shelf, render
from genworkers.training.sticker_data import Caption, StickerSet, caption_choices, is_held_out

CAPTION_TOKENS = 24


@dataclass
class CaptionTable:
    """Texts encoded once: half-precision states (M, T, W), their lengths (M), and means over all states (M, W)."""

    states: Tensor
    lengths: Tensor
    sentences: Tensor

    def rows(self, picked: Tensor, style: Tensor, is_dropped: Tensor, token_is_kept: Tensor | None = None) -> Captions:
        """Captions for a batch.

        Args:
            picked: (B) int64 row numbers.
            style: (B) int64 or (B, S) weights.
            is_dropped: (B) bool; these have no words at all.
            token_is_kept: (B, T) bool; the others are hidden.
        """
        is_token = torch.arange(self.states.shape[1]) < self.lengths[picked, None]
        if token_is_kept is not None:
            is_token = is_token & token_is_kept
        is_token = is_token & ~is_dropped[:, None]
        return Captions(self.states[picked].float(), is_token, self.sentences[picked].float(), style)


@dataclass
class CodeSet:
    """Pictures as codes, with the style and the captions of each.

    Attributes:
        codes: (M, N) int64.
        style: (M) int64.
        is_held_out: (M) bool; nobody trains on these.
        texts: (M, C) int64 row numbers of a CaptionTable; the first is the plain name.
        chances: (M, C) float, rows sum to 1; zero where a picture has fewer than C captions.
    """

    codes: Tensor
    style: Tensor
    is_held_out: Tensor
    texts: Tensor
    chances: Tensor


@dataclass(frozen=True)
class ScenePool:
    """Composed scenes of one style: premultiplied uint8 pictures (M, 64, 64, 4) and a caption each."""

    pictures: Pixels
    captions: tuple[str, ...]


class TextNumbers:
    """Numbers texts in the order in which they are first seen."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def of(self, text: str) -> int:
        """The number of a text; always the same one."""
        return self._numbers.setdefault(text, len(self._numbers))

    def texts(self) -> list[str]:
        """All texts, by number."""
        return list(self._numbers)


def compose_pool(
    stickers: StickerSet, captions: Mapping[str, Caption], count: int, seed: int, cache: Path
) -> ScenePool:
    """Compose and paint scenes of one style's trained concepts; kept in `cache` afterwards."""
    cached = cache / f"scenes-{stickers.style}-{seed}-{count}.npz"
    if not cached.exists():
        random = np.random.default_rng(seed)
        shelf = make_shelf(stickers, captions, {key for key in stickers.keys if not is_held_out(key)})
        scenes = [compose(shelf, random) for _ in range(count)]
        pictures = np.stack([render(scene, stickers, SCENE_PX) for scene in scenes])
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(cached, pictures=pictures, captions=np.array([scene.caption for scene in scenes]))
    with np.load(cached) as arrays:
        return ScenePool(arrays["pictures"], tuple(arrays["captions"].tolist()))


def encode_texts(texts: list[str], cache: Path, caption_tokens: int = CAPTION_TOKENS) -> CaptionTable:
    """Run the text encoder over all texts, shortest first so that little is padding; kept in `cache` afterwards."""
    name = hashlib.sha256(json.dumps([caption_tokens, *texts]).encode()).hexdigest()[:16]
    cached = cache / f"captions-{name}.safetensors"
    if cached.exists():
        return CaptionTable(**load_file(cached))
    folder = minilm_folder()
    encoder, wordpiece = load_minilm(folder), WordPiece(folder / "tokenizer.json")
    ids = wordpiece.encode_batch(texts)
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    states = torch.zeros(len(ids), caption_tokens, encoder.config.width, dtype=torch.float16)
    lengths = torch.zeros(len(ids), dtype=torch.long)
    sentences = torch.zeros(len(ids), encoder.config.width, dtype=torch.float16)
    with torch.inference_mode():
        for start in range(0, len(order), 64):
            rows = order[start : start + 64]
            for row, own in zip(rows, encoder.encode([ids[i] for i in rows]), strict=True):
                lengths[row] = min(len(own), caption_tokens)
                states[row, : lengths[row]] = own[:caption_tokens].half()
                sentences[row] = own.mean(0).half()
    cache.mkdir(parents=True, exist_ok=True)
    save_file({"states": states, "lengths": lengths, "sentences": sentences}, cached)
    return CaptionTable(states, lengths, sentences)


def encode_pictures(tokenizer: FsqTokenizer, pictures: Pixels, cache: Path) -> Tensor:
    """(M, 64, 64, 4) premultiplied uint8 to codes (M, N); kept in `cache` for the same net and pictures."""
    digest = hashlib.sha256(pictures.tobytes())
    for parameter in tokenizer.encoder.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    cached = cache / f"codes-{digest.hexdigest()[:16]}.safetensors"
    if cached.exists():
        return load_file(cached)["codes"]
    with torch.inference_mode():
        chunks = [
            tokenizer.encode(torch.from_numpy(pictures[i : i + 64]).permute(0, 3, 1, 2).float() / 255.0)
            for i in range(0, len(pictures), 64)
        ]
    codes = torch.cat(chunks)
    cache.mkdir(parents=True, exist_ok=True)
    save_file({"codes": codes}, cached)
    return codes


def sticker_codes(
    sets: list[StickerSet], captions: Mapping[str, Caption], tokenizer: FsqTokenizer, numbers: TextNumbers, cache: Path
) -> CodeSet:
    """All stickers of the styles as codes, style by style."""
    counts = Counter(word for caption in captions.values() for word in caption.keywords)
    codes, style_of, held_out, texts = [], [], [], []
    for style, stickers in enumerate(sets):
        codes.append(encode_pictures(tokenizer, stickers.small, cache))
        style_of += [style] * len(stickers.keys)
        held_out += [is_held_out(key) for key in stickers.keys]
        texts += [caption_choices(captions[key], counts) for key in stickers.keys]
    most = max(len(choices) for choices in texts)
    number_of, chance_of = torch.zeros(len(texts), most, dtype=torch.long), torch.zeros(len(texts), most)
    for row, choices in enumerate(texts):
        number_of[row, : len(choices)] = torch.tensor([numbers.of(text) for text, _ in choices])
        chance_of[row, : len(choices)] = torch.tensor([chance for _, chance in choices])
    return CodeSet(torch.cat(codes), torch.tensor(style_of), torch.tensor(held_out), number_of, chance_of)


def scene_codes(pools: list[ScenePool], tokenizer: FsqTokenizer, numbers: TextNumbers, cache: Path) -> CodeSet:
    """The pools of all styles as codes, style by style; each scene has one caption."""
    texts = torch.tensor([[numbers.of(caption)] for pool in pools for caption in pool.captions])
    style = torch.cat([torch.full((len(pool.captions),), number) for number, pool in enumerate(pools)])
    codes = torch.cat([encode_pictures(tokenizer, pool.pictures, cache) for pool in pools])
    return CodeSet(codes, style, torch.zeros(len(texts), dtype=torch.bool), texts, torch.ones(len(texts), 1))
