"""The text screen: how likely a text is of each of the nine categories, whatever way it is spelled.

Start at `load_text_screen`. What follows from a probability is the policy's business; the checkpoint only recommends.
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genworkers.checkpoints import NET_PART, fill_net, load_manifest, load_tensors, part_path, read_part
from genworkers.codecs.hashed_ngrams import hashed_ngrams
from genworkers.codecs.wordpiece import WordPiece
from genworkers.contract import normalise
from genworkers.contract.safety import TEXT_CATEGORIES, Category, Screening, TextCategory
from genworkers.nets.encoder import TextEncoder
from genworkers.nets.text_heads import TextHeads, TextHeadsConfig, pooled
from genworkers.screening.calibration import Calibration

CALIBRATION_PART = "calibration"
MAX_READ_CHARS = 1_000_000
WINDOW_CHARS = 320
WINDOW_STEP_CHARS = 256
SHORT_CHARS, MIN_SIGNS = 20, 4
MIN_SENTENCE_CHARS = 8
MAX_READ_WINDOWS = 32
ENCODE_BATCH = 16
SHORTER_FRAC = 0.75
_SENTENCE = re.compile(r"[^.!?;\n]+[.!?;\n]?")


class TextScreen:
    """The text encoder, the heads on it, and what turns their logits into probabilities.

    Each text is read in passes of its own, so what stands beside it in a call changes nothing.

    Args:
        encoder: of any precision, on the CPU or a GPU; only its first layers are used.
        calibrations: one for each of TEXT_CATEGORIES.
        thresholds: recommended `flag_at`, `review_at` and `block_at` of each category.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        tokenizer: WordPiece,
        heads: TextHeads,
        calibrations: Sequence[Calibration],
        *,
        name: str,
        version: str,
        thresholds: dict[TextCategory, dict[str, float]],
    ) -> None:
        self._encoder = encoder
        self._tokenizer = tokenizer
        self._heads = heads.eval()
        self._calibrations = tuple(calibrations)
        self.num_encoder_layers = heads.config.encoder_layers
        self.name = name
        self.version = version
        self.thresholds = thresholds

    def screen(self, texts: Sequence[str]) -> list[Screening]:
        """What each text is likely to be; any text is fine, an empty one is as harmless as can be."""
        return [self._screening(text) for text in texts]

    def _screening(self, text: str) -> Screening:
        scores: dict[Category, float] = {
            category: float(calibration(logit))
            for category, calibration, logit in zip(TEXT_CATEGORIES, self._calibrations, self.logits(text), strict=True)
        }
        return Screening(screen=self.name, version=self.version, scores=scores)

    @torch.inference_mode()
    def logits(self, text: str) -> NDArray[np.float32]:
        """(categories): the largest logit over all spellings of the text and all windows that were read.

        Of a text with more than `MAX_READ_WINDOWS` windows those are read that the n-grams alone find worst.
        """
        windows = self.windows(text)
        if not windows:
            return np.full(len(TEXT_CATEGORIES), -np.inf, dtype=np.float32)
        if len(windows) > MAX_READ_WINDOWS:
            windows = self._worst(windows)
        parts = {part for window in windows for part in self._fitting(window)}
        windows = sorted(parts, key=lambda part: (len(part), part))
        found = [
            self._logits_of(windows[begin : begin + ENCODE_BATCH]) for begin in range(0, len(windows), ENCODE_BATCH)
        ]
        worst: NDArray[np.float32] = torch.cat(found).amax(0).numpy()
        return worst

    def windows(self, text: str) -> list[str]:
        """All pieces of all spellings of the text, each once; empty where nothing is said."""
        return list(dict.fromkeys(window for reading in self._readings(text) for window in _windows(reading)))

    def _readings(self, text: str) -> set[str]:
        """The text as it stands and each way in which it may have been meant; of its first `MAX_READ_CHARS`."""
        raw = "\n".join(" ".join(line.split()) for line in text.splitlines()).strip()[:MAX_READ_CHARS]
        if not _says_something(raw):
            return set()
        composed = unicodedata.normalize("NFKC", raw)[:MAX_READ_CHARS]  # one character may become eighteen
        readings = {raw.casefold()}
        for reading in {composed, *normalise.decoded(composed)}:
            readings |= normalise.spellings(reading)
        num_tokens = len(self._tokenizer.encode(raw[:WINDOW_CHARS]))
        for reading in normalise.turned(raw):
            if len(self._tokenizer.encode(reading[:WINDOW_CHARS])) < SHORTER_FRAC * num_tokens:
                readings.add(reading)
        return readings

    def _worst(self, windows: list[str]) -> list[str]:
        """The windows that the n-grams alone find worst: the same number for each category, by turns."""
        unseen = torch.zeros(len(windows), 2 * self._heads.config.state_width)
        logits = self._heads(unseen, *self._bags(windows))
        ranks = logits.argsort(dim=0, descending=True).flatten().tolist()  # the worst of each category first
        return [windows[row] for row in list(dict.fromkeys(ranks))[:MAX_READ_WINDOWS]]

    def _fitting(self, window: str) -> list[str]:
        """The window, or its halves where the encoder could not read it to its end."""
        if len(window) < 2 or len(self._tokenizer.encode(window)) < self._tokenizer.max_tokens:
            return [window]
        middle = len(window) // 2
        return self._fitting(window[:middle]) + self._fitting(window[middle:])

    def _logits_of(self, windows: list[str]) -> Tensor:
        """(B, categories)"""
        token_ids = [self._tokenizer.encode(window) for window in windows]
        states = self._encoder.encode(token_ids, self.num_encoder_layers)
        found: Tensor = self._heads(torch.stack([pooled(one.cpu()) for one in states]), *self._bags(windows))
        return found

    def _bags(self, windows: Sequence[str]) -> tuple[Tensor, Tensor]:
        return bags_of([hashed_ngrams(window, self._heads.config.num_buckets) for window in windows])


def bags_of(ngrams: Sequence[NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
    """N-grams of several texts as the heads take them: all in one row, and where each text's begin."""
    ends = np.cumsum([len(one) for one in ngrams])
    begins = np.concatenate([[0], ends[:-1]])
    return torch.from_numpy(np.concatenate(ngrams)), torch.from_numpy(begins)


def _windows(text: str) -> list[str]:
    """The text in overlapping pieces of `WINDOW_CHARS`, and its sentences, lest a bad one drown among others."""
    starts = range(0, max(1, len(text) - (WINDOW_CHARS - WINDOW_STEP_CHARS)), WINDOW_STEP_CHARS)
    windows = [text[start : start + WINDOW_CHARS] for start in starts]
    sentences = (found[0].strip()[:WINDOW_CHARS] for found in _SENTENCE.finditer(text))
    windows += (sentence for sentence in sentences if len(sentence) >= MIN_SENTENCE_CHARS)
    return [one for one in windows if _says_something(one)]


def _says_something(text: str) -> bool:
    """Whether it is more than nothing, or than a few signs over and over."""
    return bool(text.strip()) and (len(text) < SHORT_CHARS or len(set(text)) >= MIN_SIGNS)


def load_text_screen(folder: Path, encoder: TextEncoder, tokenizer: WordPiece) -> TextScreen:
    """The screen of a checkpoint, on an encoder that others may share.

    Args:
        encoder: MiniLM; in bfloat16 it is about three times as fast where the processor multiplies that.

    Raises:
        CheckpointError: the folder or one of its files is not what it should be.
    """
    manifest = load_manifest(folder)
    heads = TextHeads(TextHeadsConfig(**manifest.config["heads"]))
    fill_net(heads, load_tensors(folder, manifest, NET_PART), path=part_path(folder, manifest, NET_PART))
    known = json.loads(read_part(folder, manifest, CALIBRATION_PART))
    return TextScreen(
        encoder,
        tokenizer,
        heads,
        [Calibration(tuple(known[name]["logits"]), tuple(known[name]["chances"])) for name in TEXT_CATEGORIES],
        name=manifest.name,
        version=manifest.sha256[:12],
        thresholds=manifest.config["thresholds"],
    )
