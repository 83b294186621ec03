"""Text to token ids and back: the house's byte-level BPE and the chat format around it.

A conversation turn is `<|user|> prompt <|assistant|> response <|end|>`. Text that a user types never
becomes a special token: specials are added by id only.
"""

import codecs
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END = "<|end|>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"
SPECIALS = (END, USER, ASSISTANT)


class TextCodec:
    """Encodes prompts and decodes sampled ids with one stored `tokenizer.json`.

    Args:
        tokenizer: a byte-level BPE that holds the three special tokens.

    Raises:
        ValueError: a special token is missing from the vocabulary.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        # Otherwise a user who types "<|end|>" would end their own prompt.
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self.vocab_size: int = tokenizer.get_vocab_size()
        self.end_id = self._special_id(END)
        self._user_id = self._special_id(USER)
        self._assistant_id = self._special_id(ASSISTANT)
        self.special_ids = frozenset((self.end_id, self._user_id, self._assistant_id))

    @classmethod
    def from_file(cls, path: Path) -> "TextCodec":
        """Read a `tokenizer.json`."""
        return cls(Tokenizer.from_file(str(path)))

    @classmethod
    def from_json(cls, content: bytes) -> "TextCodec":
        """Read the content of a `tokenizer.json`."""
        return cls(Tokenizer.from_str(content.decode("utf-8")))

    def to_json(self) -> bytes:
        """The content of a `tokenizer.json`."""
        return str(self._tokenizer.to_str()).encode("utf-8")

    def save(self, path: Path) -> None:
        """Write a `tokenizer.json`."""
        self._tokenizer.save(str(path))

    def _special_id(self, token: str) -> int:
        token_id = self._tokenizer.token_to_id(token)
        if token_id is None:
            raise ValueError(f"the tokenizer has no special token {token!r}")
        return int(token_id)

    def encode(self, text: str) -> list[int]:
        """Ids of plain text, without special tokens."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of many plain texts at once."""
        return [list(one.ids) for one in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode_prompt(self, prompt: str) -> list[int]:
        """Ids that the net continues with its answer: `<|user|> prompt <|assistant|>`."""
        return self.wrap_prompt(self.encode(prompt))

    def wrap_prompt(self, prompt_ids: Sequence[int]) -> list[int]:
        """The chat format around ids that are already encoded."""
        return [self._user_id, *prompt_ids, self._assistant_id]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids; special tokens are left out, broken UTF-8 becomes U+FFFD."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def bytes_of(self, token_id: int) -> bytes:
        """The bytes that one id stands for; special tokens stand for none."""
        if token_id in self.special_ids:
            return b""
        token = self._tokenizer.id_to_token(token_id)
        if token is None:
            raise ValueError(f"token id must be 0..{self.vocab_size - 1}, got {token_id}")
        return bytes(_BYTE_OF_LETTER[letter] for letter in token)


class TextDecoder:
    """Turns ids into text one at a time and never cuts a character in two.

    Text of `push` calls and the last `flush` joined equals the decoding of all ids together.
    """

    def __init__(self, codec: TextCodec) -> None:
        self._codec = codec
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """Text that is certain after this id; an incomplete character waits for its other bytes."""
        return self._decoder.decode(self._codec.bytes_of(token_id))

    def flush(self) -> str:
        """U+FFFD if a character still waits for bytes that never came."""
        return self._decoder.decode(b"", final=True)


def train_bpe(texts: Iterable[str], vocab_size: int) -> TextCodec:
    """Learn a byte-level BPE: any text can be written, whatever it was trained on.

    Args:
        texts: the training documents.
        vocab_size: ids in all, the 256 bytes and the special tokens included.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return TextCodec(tokenizer)


def _letters_of_bytes() -> dict[str, int]:
    """The printable letter that byte-level BPE writes for each byte (GPT-2's table), inverted."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(rest)}


_BYTE_OF_LETTER = _letters_of_bytes()
