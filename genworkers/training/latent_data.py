"""Stickers and scenes as the tokenizer's latents, with the sentences that say what they show, for spark and drift.

Latents are bounded and not rounded. Everything is computed once and kept in the cache folder.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from genworkers.codecs.wordpiece import WordPiece
from genworkers.nets.encoder import load_minilm, minilm_folder
from genworkers.nets.fsq_tokenizer import FsqTokenizer, TokenizerConfig
from genworkers.training.mosaic_data import compose_pool
from genworkers.training.sticker_data import caption_choices, is_held_out, load_stickers, read_captions
from genworkers.training.train_tokenizer import reconstruction_loss

# Mirrored or not, moved down, moved right (px of 64): the ways in which each picture is seen. The first is as it is.
PLAIN_CHANCE = 0.6
VIEWS = ((False, 0, 0), (False, 2, -1), (True, 0, 0), (True, -2, 1))


@dataclass(frozen=True)
class LatentSet:
    """Pictures to train on and to test on; those of scenes come last.

    Attributes:
        latents: (M, V, 4, 8, 8) float16 in -1..1, one for each of VIEWS.
        pictures: (M, 4, 64, 64) uint8, premultiplied, the first view.
        style: (M,) int64.
        concept: (M,) int64, the place in `keys`; -1 for scenes.
        is_held_out: (M,) bool.
        texts: for each picture the numbers of the sentences that may stand for it, and their chances.
        sentences: (T, 384) float16, mean states of the text encoder.
        said: what each picture shows, in words: a concept's name and keywords, a scene's caption.
        keys, names: of the concepts.
        styles: names of the sets, in the order of `style`.
    """

    latents: Tensor
    pictures: Tensor
    style: Tensor
    concept: Tensor
    is_held_out: Tensor
    texts: list[tuple[Tensor, Tensor]]
    sentences: Tensor
    said: tuple[str, ...]
    keys: tuple[str, ...]
    names: tuple[str, ...]
    styles: tuple[str, ...]

    @cached_property
    def trained_rows(self) -> Tensor:
        """Numbers of the pictures that may be trained on."""
        return (~self.is_held_out).nonzero()[:, 0]

    def pick(self, size: int, scene_frac: float, generator: torch.Generator) -> tuple[Tensor, int]:
        """Rows (B) of a batch and the view that they are seen in: all stickers, or with a chance all scenes.

        Stickers are mostly seen as they are, as PLAIN_CHANCE says, and scenes always: mirrored, their captions would
        lie about left and right.
        """
        num_scenes = int((self.concept < 0).sum())
        if num_scenes and float(torch.rand((), generator=generator)) < scene_frac:
            return torch.randint(len(self.concept) - num_scenes, len(self.concept), (size,), generator=generator), 0
        trained = self.trained_rows[: len(self.trained_rows) - num_scenes]
        rows = trained[torch.randint(len(trained), (size,), generator=generator)]
        if float(torch.rand((), generator=generator)) < PLAIN_CHANCE:
            return rows, 0
        return rows, int(torch.randint(1, len(VIEWS), (1,), generator=generator))

    def sentence_of(self, rows: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Sentences (B, 384) of the pictures `rows`: drawn by their chances, or without a generator the plain name."""
        numbers = []
        for row in rows.tolist():
            choices, chances = self.texts[row]
            place = 0 if generator is None else int(torch.multinomial(chances, 1, generator=generator))
            numbers.append(int(choices[place]))
        return self.sentences[numbers].float()

    def weights_of_style(self, rows: Tensor) -> Tensor:
        """One-hot style weights (B, S)."""
        return F.one_hot(self.style[rows], len(self.styles)).float()


def load_tokenizer(path: Path) -> FsqTokenizer:
    """The averaged tokenizer of a training run, from its resume.pt, frozen."""
    tokenizer = FsqTokenizer(TokenizerConfig())
    tokenizer.load_state_dict(torch.load(path, weights_only=True)["average"])
    frozen: FsqTokenizer = tokenizer.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return frozen


def picture_error(tokenizer: FsqTokenizer, latents: Tensor, wanted: Tensor, generator: torch.Generator) -> Tensor:
    """What the decoder makes of latents (B, 4, 8, 8), against premultiplied pictures (B, 4, 64, 64) in 0..1: a scalar.

    Args:
        generator: decides the background colours that both are compared on.
    """
    with torch.autocast("cpu", torch.bfloat16):
        painted = tokenizer.decoder(latents)
    background = torch.rand(len(latents), 3, 1, 1, generator=generator)
    return reconstruction_loss(F.avg_pool2d(painted.float(), 2), wanted, background)


def seen_as(pictures: Tensor, view: int) -> Tensor:
    """Pictures (B, C, 64, 64) mirrored and moved as VIEWS says; what comes in from outside is zero."""
    is_mirrored, down, right = VIEWS[view]
    seen = pictures.flip(-1) if is_mirrored else pictures
    seen = torch.roll(seen, (down, right), (-2, -1))
    if down:
        seen[..., slice(0, down) if down > 0 else slice(down, None), :] = 0
    if right:
        seen[..., slice(0, right) if right > 0 else slice(right, None)] = 0
    return seen


def sentence_vectors(texts: Sequence[str]) -> Tensor:
    """Mean state of each text, (T, 384) float16."""
    folder = minilm_folder()
    encoder, wordpiece = load_minilm(folder).eval(), WordPiece(folder / "tokenizer.json")
    ids = wordpiece.encode_batch(list(texts))
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    vectors = torch.zeros(len(ids), encoder.config.width, dtype=torch.float16)
    with torch.inference_mode():
        for start in range(0, len(order), 128):
            rows = order[start : start + 128]
            with torch.autocast("cpu", torch.bfloat16):
                states = encoder.encode([ids[i] for i in rows])
            for row, own in zip(rows, states, strict=True):
                vectors[row] = own.float().mean(0).half()
    return vectors


def latents_of(tokenizer: FsqTokenizer, pictures: Tensor, view: int) -> Tensor:
    """(M, 4, 64, 64) uint8, seen in one of VIEWS, to (M, 4, 8, 8) float16."""
    parts = []
    with torch.inference_mode():
        for part in pictures.split(64):
            with torch.autocast("cpu", torch.bfloat16):
                latents = tokenizer.encode_latents(seen_as(part, view).float() / 255.0)
            parts.append(latents.half())
    return torch.cat(parts)


def _as_tensor(pictures: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()


def load_latents(
    corpus: Path, cache: Path, styles: Sequence[str], tokenizer: FsqTokenizer, *, num_scenes: int
) -> LatentSet:
    """Everything that spark and drift are trained on.

    Args:
        styles: names of sticker sets; their order is that of the style weights.
        tokenizer: whose latents; in evaluation mode.
        num_scenes: how many composed scenes to add, as many of each style.
    """
    captions = read_captions(corpus)
    sets = [load_stickers(corpus, style, cache) for style in styles]
    keys = tuple(sorted({key for s in sets for key in s.keys}))
    place_of = {key: place for place, key in enumerate(keys)}
    counts = Counter(word for caption in captions.values() for word in caption.keywords)
    numbers: dict[str, int] = {}
    texts, style_of, concept, said = [], [], [], []
    for number, stickers in enumerate(sets):
        for key in stickers.keys:
            choices = caption_choices(captions[key], counts)
            picked = [numbers.setdefault(text, len(numbers)) for text, _ in choices]
            texts.append((torch.tensor(picked), torch.tensor([chance for _, chance in choices])))
            said.append(", ".join([captions[key].name, *captions[key].keywords]))
            style_of.append(number)
            concept.append(place_of[key])
    state = hashlib.sha256(b"".join(t.numpy().tobytes() for t in tokenizer.encoder.state_dict().values()))
    for part in (*styles, str(num_scenes), str(VIEWS)):
        state.update(part.encode())
    cached = cache / f"latents-{state.hexdigest()[:16]}.safetensors"
    pools = [compose_pool(stickers, captions, num_scenes // len(sets), 0, cache) for stickers in sets]
    said += [words for pool in pools for words in pool.captions]
    if not cached.exists():
        shown = torch.cat([_as_tensor(stickers.small) for stickers in sets])
        scenes = torch.cat([_as_tensor(pool.pictures) for pool in pools])
        views = torch.stack([latents_of(tokenizer, shown, view) for view in range(len(VIEWS))], dim=1)
        as_they_are = latents_of(tokenizer, scenes, 0)[:, None].expand(-1, len(VIEWS), -1, -1, -1)
        tensors = {
            "pictures": torch.cat([shown, scenes]),
            "latents": torch.cat([views, as_they_are]),
            "sentences": sentence_vectors([*numbers, *(words for pool in pools for words in pool.captions)]),
        }
        save_file(tensors, cached)
    tensors = load_file(cached)
    num_scenes = len(tensors["pictures"]) - len(style_of)
    style_of += [number for number in range(len(sets)) for _ in range(num_scenes // len(sets))]
    texts += [(torch.tensor([len(numbers) + i]), torch.ones(1)) for i in range(num_scenes)]
    held_out = [is_held_out(keys[place]) for place in concept] + [False] * num_scenes
    return LatentSet(
        tensors["latents"],
        tensors["pictures"],
        torch.tensor(style_of),
        torch.tensor(concept + [-1] * num_scenes),
        torch.tensor(held_out),
        texts,
        tensors["sentences"],
        tuple(said),
        keys,
        tuple(captions[key].name for key in keys),
        tuple(styles),
    )
