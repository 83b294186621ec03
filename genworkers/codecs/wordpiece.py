"""Text to WordPiece ids for the text encoder, from the tokenizer.json that comes with its weights."""

from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer


@dataclass(frozen=True)
class Word:
    """A whole word as its author wrote it, and the positions of its pieces among the text's ids."""

    text: str
    positions: tuple[int, ...]


class WordPiece:
    """Lower-casing WordPiece with [CLS] in front and [SEP] at the end.

    Args:
        path: a tokenizer.json; its own padding and truncation settings are ignored.
        max_tokens: longer texts are cut, [CLS] and [SEP] included.
    """

    def __init__(self, path: Path, max_tokens: int = 128) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self.max_tokens = max_tokens

    def encode(self, text: str) -> list[int]:
        """Ids of one text, 2 to `max_tokens` of them.

        A lone surrogate, which no tokenizer can read, counts as the replacement character.
        """
        readable = text.encode("utf-8", "replace").decode("utf-8")
        return list(self._tokenizer.encode(readable).ids)

    def encode_words(self, text: str) -> tuple[list[int], list[Word]]:
        """Ids of one text, and its words in order; what belongs to no word ([CLS], [SEP]) is in none."""
        readable = text.encode("utf-8", "replace").decode("utf-8")
        encoding = self._tokenizer.encode(readable)
        pieces: dict[int, list[int]] = {}
        for position, number in enumerate(encoding.word_ids):
            if number is not None:
                pieces.setdefault(number, []).append(position)
        words = []
        for positions in pieces.values():
            begin, end = encoding.offsets[positions[0]][0], encoding.offsets[positions[-1]][1]
            words.append(Word(readable[begin:end], tuple(positions)))
        return list(encoding.ids), words

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """Ids of many texts, each as long as it is."""
        return [self.encode(text) for text in texts]
