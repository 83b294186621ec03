"""Text to token ids and back: byte-level BPE from a tokenizer.json, and the chat format around it.

Text that a user types never becomes a special token, whatever it looks like. The house's own nets write a turn as
`<|user|> prompt <|assistant|> answer <|end|>`; other nets bring a `ChatFormat`.
"""

import codecs
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from genworkers.codecs.chat_format import ChatFormat, ControlTokens, Turn, plain_chat
from genworkers.codecs.chat_template import ChatTemplate
from genworkers.contract.text import Message

END = "<|end|>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"
SPECIALS = (END, USER, ASSISTANT)


class TextCodec:
    """Encodes prompts and decodes sampled ids with one stored `tokenizer.json`.

    Args:
        tokenizer: a byte-level BPE; changed by this class and not to be used by others afterwards.
        chat: how conversations are written; None for the house's own format, whose special tokens it must hold.

    Raises:
        ValueError: it is no byte-level BPE, or lacks a special token that it needs.
    """

    def __init__(self, tokenizer: Tokenizer, chat: ChatFormat | None = None) -> None:
        if not isinstance(tokenizer.model, models.BPE) or tokenizer.model.byte_fallback:
            raise ValueError("the tokenizer must be a byte-level BPE (not SentencePiece, Unigram or WordPiece)")
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._bytes_of: dict[int, bytes] = {}
        self.chat = chat
        added: dict[int, AddedToken] = tokenizer.get_added_tokens_decoder()
        self._text_of_added = {token_id: token.content for token_id, token in added.items() if not token.special}
        vocab = tokenizer.get_vocab()
        self.vocab_size: int = max(vocab.values(), default=-1) + 1
        self.special_ids = frozenset(added) - self._text_of_added.keys()
        letters = set("".join(token for token, token_id in vocab.items() if token_id not in added))
        if foreign := letters - _BYTE_OF_LETTER.keys():
            raise ValueError(f"the tokenizer must be a byte-level BPE, but its tokens hold {sorted(foreign)[:5]}")
        if chat is None:
            self._user_id, self._assistant_id = self._id_of(USER), self._id_of(ASSISTANT)
            self.end_id = self._id_of(END)
            self.end_ids = frozenset((self.end_id,))
        else:
            if not chat.end_ids or not all(0 <= end_id < self.vocab_size for end_id in chat.end_ids):
                raise ValueError(f"end_ids must name tokens 0..{self.vocab_size - 1}, got {chat.end_ids}")
            self.end_id = chat.end_ids[0]
            self.end_ids = frozenset(chat.end_ids)
        # Tokens that only the template may write. Some that steer a net ("<think>") are not declared special.
        self._steering_ids = {
            token_id for token_id, text in self._text_of_added.items() if chat is not None and text in chat.template
        }
        special = [added[token_id] for token_id in sorted(self.special_ids)]
        steering = [added[token_id] for token_id in sorted(self._steering_ids)]
        if self._steering_ids:
            tokenizer.add_special_tokens(
                [AddedToken(self._text_of_added[one], normalized=False, special=True) for one in self._steering_ids]
            )
        # Otherwise a user who types "<|end|>" would end their own prompt.
        tokenizer.encode_special_tokens = True
        self._control = ControlTokens(special, steering)
        self._template = ChatTemplate(chat.template, chat.variables) if chat is not None and chat.template else None

    @classmethod
    def from_file(cls, path: Path) -> "TextCodec":
        """Read a `tokenizer.json` of the house's own."""
        return cls(Tokenizer.from_file(str(path)))

    @classmethod
    def from_json(cls, content: bytes, chat: ChatFormat | None = None) -> "TextCodec":
        """Read the content of a `tokenizer.json`.

        Raises:
            ValueError: it is no tokenizer, or not one for this class.
        """
        try:
            tokenizer = Tokenizer.from_str(content.decode("utf-8"))
        except Exception as error:  # the package raises nothing narrower
            raise ValueError(f"is no tokenizer.json ({error})") from error
        return cls(tokenizer, chat)

    def to_json(self) -> bytes:
        """The content of a `tokenizer.json`."""
        stored = str(self._tokenizer.to_str())
        if not self._steering_ids:
            return stored.encode("utf-8")
        content: dict[str, Any] = json.loads(stored)
        for token in content["added_tokens"]:
            token["special"] = token["special"] and token["id"] not in self._steering_ids
        return json.dumps(content, ensure_ascii=False).encode("utf-8")

    def save(self, path: Path) -> None:
        """Write a `tokenizer.json`."""
        path.write_bytes(self.to_json())

    def _id_of(self, token: str) -> int:
        token_id = self._tokenizer.token_to_id(token)
        if token_id is None:
            raise ValueError(f"the tokenizer has no special token {token!r}")
        return int(token_id)

    def encode(self, text: str) -> list[int]:
        """Ids of plain text, without special tokens; a lone surrogate counts as the replacement character."""
        return list(self._tokenizer.encode(_readable(text), add_special_tokens=False).ids)

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of many plain texts at once."""
        return [list(one.ids) for one in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode_raw(self, prompt: str) -> list[int]:
        """Ids of a text that the net continues as it stands, after the first token that its tokenizer wants."""
        return list(self._tokenizer.encode(_readable(prompt), add_special_tokens=True).ids)

    def encode_prompt(self, prompt: str) -> list[int]:
        """Ids that the net continues with its answer to a single prompt."""
        return self.encode_chat((), prompt)

    def encode_chat(self, history: Sequence[Message], prompt: str) -> list[int]:
        """Ids that the net continues with its answer.

        A net without a chat format continues text: a prompt alone is left as it is, a conversation becomes lines
        that start with "User:" and "Assistant:", and the net continues the last one.

        Raises:
            ChatTemplateError: the net's template refuses the conversation, or does not come to an end.
        """
        turns = [*((turn.role, _readable(turn.content)) for turn in history), ("user", _readable(prompt))]
        if self.chat is None:
            return self._encode_house_chat(turns)
        if self._template is None:
            return self.encode_raw(plain_chat(turns))
        return self._encode_rendered(self._template, turns)

    def _encode_house_chat(self, turns: Sequence[Turn]) -> list[int]:
        ids: list[int] = []
        instructions = ""
        for role, content in turns:
            if role == "system":  # the house has no such turn: it is read with the next prompt
                instructions += content + "\n\n"
            elif role == "user":
                ids += (self._user_id, *self.encode(instructions + content))
                instructions = ""
            else:
                ids += (self._assistant_id, *self.encode(content), self.end_id)
        return [*ids, self._assistant_id]

    def _encode_rendered(self, template: ChatTemplate, turns: Sequence[Turn]) -> list[int]:
        ids: list[int] = []
        for position, piece in enumerate(self._control.render(template, turns)):
            if position % 2 == 0:
                ids += self.encode(piece)
            else:  # a token may swallow the spaces around it
                token_id = self._tokenizer.token_to_id(piece)
                ids.append(self._id_of(piece.strip()) if token_id is None else token_id)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids; special tokens are left out, broken UTF-8 becomes U+FFFD."""
        return b"".join(map(self.bytes_of, ids)).decode("utf-8", errors="replace")

    def bytes_of(self, token_id: int) -> bytes:
        """The bytes that one id stands for; special tokens, and ids that the vocabulary leaves free, stand for none.

        Raises:
            ValueError: the id is negative.
        """
        known = self._bytes_of.get(token_id)
        if known is None:
            known = self._bytes_of[token_id] = self._look_up(token_id)
        return known

    def _look_up(self, token_id: int) -> bytes:
        if token_id in self._text_of_added:
            return self._text_of_added[token_id].encode()
        if token_id in self.special_ids:
            return b""
        if token_id < 0:
            raise ValueError(f"token id must be at least 0, got {token_id}")
        token = self._tokenizer.id_to_token(token_id)
        return b"" if token is None else bytes(_BYTE_OF_LETTER[letter] for letter in token)


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


def _readable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _letters_of_bytes() -> dict[str, int]:
    """The printable letter that byte-level BPE writes for each byte (GPT-2's table), inverted."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(rest)}


_BYTE_OF_LETTER = _letters_of_bytes()
