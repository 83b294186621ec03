"""Prompts as the image nets read them: token states of the text encoder, their mean, and whole words."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor

from genworkers.codecs.wordpiece import Word, WordPiece
from genworkers.engine.canvas import fast_precision
from genworkers.nets.encoder import TextEncoder

NUM_KEPT = 64


@dataclass(frozen=True)
class ReadPrompt:
    """One prompt.

    Attributes:
        states: (T, D) float32, one row for each token; no rows for an empty prompt.
        words: its whole words and the tokens that each is made of.
    """

    states: Tensor
    words: tuple[Word, ...]

    @property
    def sentence(self) -> Tensor:
        """Mean state (1, D); zeros for an empty prompt."""
        if not len(self.states):
            return self.states.new_zeros(1, self.states.shape[1])
        return self.states.mean(0, keepdim=True)


class PromptReader:
    """The text encoder that all image nets of a worker share. It remembers the newest prompts.

    Each prompt is read in a pass of its own, so that what others ask for does not change a state.
    """

    def __init__(self, encoder: TextEncoder, wordpiece: WordPiece, device: torch.device) -> None:
        self._encoder = encoder.to(device, fast_precision(device)).eval()
        self._wordpiece = wordpiece
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, ReadPrompt] = OrderedDict()

    @torch.inference_mode()
    def read(self, prompt: str) -> ReadPrompt:
        """States and words of a prompt; blank ones count as empty."""
        with self._lock:
            if prompt in self._kept:
                self._kept.move_to_end(prompt)
                return self._kept[prompt]
        ids, words = self._wordpiece.encode_words(prompt)
        states = self._encoder.encode([ids])[0].float()
        found = ReadPrompt(states, tuple(words)) if words else ReadPrompt(states[:0], ())
        with self._lock:
            self._kept[prompt] = found
            if len(self._kept) > NUM_KEPT:
                self._kept.popitem(last=False)
        return found
