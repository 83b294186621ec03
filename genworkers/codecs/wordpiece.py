"""Text to WordPiece ids for the text encoder, from the tokenizer.json that comes with its weights."""

from pathlib import Path

from tokenizers import Tokenizer


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

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """Ids of many texts, each as long as it is."""
        return [self.encode(text) for text in texts]
