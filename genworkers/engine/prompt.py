"""A request's words as the token ids that the net reads: encoded, checked against the context, cut if asked."""

from bisect import bisect_left
from collections.abc import Sequence

from genworkers.codecs.chat_template import ChatTemplateError
from genworkers.codecs.text_bpe import TextCodec
from genworkers.contract.text import Message, TextRequest
from genworkers.engine.errors import EngineError


def prompt_ids(codec: TextCodec, request: TextRequest, context_tokens: int) -> list[int]:
    """What the net reads before it writes.

    A prompt that may be cut loses its oldest turns first, then the beginning of its text, until there is room for
    `max_tokens` or a quarter of the context, whichever is less. System messages are kept as long as possible.

    Raises:
        EngineError: `prompt_too_long`: it does not fit and may not be cut, or nothing would be left of it;
            `prompt_refused`: the net's chat template does not take such a conversation, or its tokenizer leaves
            nothing of the prompt.
    """
    ids = _encode(codec, request, request.history, request.prompt)
    if not ids:
        raise EngineError("prompt_refused", "The net's tokenizer leaves nothing of this prompt. Write a word.")
    if len(ids) < context_tokens and not request.is_truncatable:
        return ids
    most_tokens = context_tokens - min(request.max_tokens, max(1, context_tokens // 4))
    if len(ids) <= most_tokens:
        return ids
    cut = _cut(codec, request, most_tokens) if request.is_truncatable else None
    if cut is None:
        raise EngineError(
            "prompt_too_long",
            f"The prompt has {len(ids)} tokens and this net reads at most {context_tokens - 1}. Shorten the prompt.",
        )
    return cut


def _encode(codec: TextCodec, request: TextRequest, history: Sequence[Message], prompt: str) -> list[int]:
    if request.format == "raw":
        return codec.encode_raw(prompt)
    try:
        return codec.encode_chat(history, prompt)
    except ChatTemplateError as error:
        raise EngineError("prompt_refused", f"This conversation cannot be read: {error}.") from error


def _cut(codec: TextCodec, request: TextRequest, most_tokens: int) -> list[int] | None:
    """The ids of the newest part that fits; None if not even a word of the prompt does."""
    system = [message for message in request.history if message.role == "system"]
    turns = [message for message in request.history if message.role != "system"]
    # A conversation begins with a user's turn; that is what the nets were trained on.
    starts = [at for at, message in enumerate(turns) if message.role == "user"]
    shorter = [[*system, *turns[at:]] for at in starts[1:] if turns] + [system, []]
    fits = bisect_left(
        shorter, True, key=lambda history: len(_encode(codec, request, history, request.prompt)) <= most_tokens
    )
    if fits < len(shorter):
        return _encode(codec, request, shorter[fits], request.prompt)
    words = codec.encode(request.prompt)
    ids = _encode(codec, request, [], request.prompt)
    while words and len(ids) > most_tokens:
        words = words[len(ids) - most_tokens :]
        text = codec.decode(words).lstrip("\N{REPLACEMENT CHARACTER}")
        ids = _encode(codec, request, [], text)
        words = codec.encode(text)
    return ids if words else None
