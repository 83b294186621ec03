"""The tokenizer of a foreign checkpoint, from tokenizer.json or vocab.json and merges.txt, and its chat format."""

from collections.abc import Iterator
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from genworkers.checkpoints import CheckpointError
from genworkers.codecs.chat_format import ChatFormat
from genworkers.codecs.chat_template import MAX_TEMPLATE_CHARS
from genworkers.codecs.text_bpe import TextCodec
from genworkers.importing.families import CONFIG
from genworkers.importing.source_folder import SourceFolder

TOKENIZER = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
GENERATION = "generation_config.json"
TEMPLATE = "chat_template.jinja"
VOCAB, MERGES = "vocab.json", "merges.txt"
# How the Qwen family cuts text into words; GPT-2's way is built into the package.
QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def read_codec(source: SourceFolder, architecture: str) -> TextCodec:
    """The codec of a foreign checkpoint, its chat format included.

    Args:
        architecture: a key of `FAMILIES`.

    Raises:
        CheckpointError: a file is missing or broken, the tokenizer is no byte-level BPE, or no token ends a text.
    """
    settings = source.json(SETTINGS) or {}
    tokenizer, name = _tokenizer(source, architecture)
    special = _special_tokens(settings, source.json("special_tokens_map.json") or {})
    for token_id, token in _added_tokens(source, settings):
        _add(tokenizer, token, token_id, source)
    for text in special.values():
        if tokenizer.token_to_id(text) is not None:
            tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True)])
    _begin_with(tokenizer, special.get("bos_token"), settings)
    end_ids = _end_ids(source, tokenizer, special)
    try:
        return TextCodec(tokenizer, ChatFormat(end_ids, _template(source, settings), special))
    except ValueError as error:
        raise CheckpointError(source.path / name, str(error)) from error


def _tokenizer(source: SourceFolder, architecture: str) -> tuple[Tokenizer, str]:
    """The tokenizer and the name of its file."""
    text = source.text(TOKENIZER)
    if text is not None:
        try:
            return Tokenizer.from_str(text), TOKENIZER
        except Exception as error:  # the package raises nothing narrower
            raise CheckpointError(source.path / TOKENIZER, f"is no tokenizer ({str(error)[:200]})") from error
    if architecture == "LlamaForCausalLM":
        hint = "; SentencePiece models are not read" if source.file("tokenizer.model") is not None else ""
        raise CheckpointError(source.path / TOKENIZER, f"missing{hint}")
    vocab, merges = source.json(VOCAB), source.text(MERGES)
    if vocab is None or merges is None:
        lacking = VOCAB if vocab is None else MERGES
        raise CheckpointError(source.path / lacking, f"missing; a net needs {TOKENIZER}, or {VOCAB} and {MERGES}")
    lines = [line for line in merges.splitlines() if line and not line.startswith("#version")]
    pairs = [(first, second) for first, _, second in (line.partition(" ") for line in lines)]
    try:
        tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=pairs))
    except Exception as error:  # as above
        raise CheckpointError(source.path / VOCAB, f"does not fit {MERGES} ({str(error)[:200]})") from error
    if architecture.startswith("Qwen"):
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(QWEN_WORDS), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, VOCAB


def _special_tokens(*settings: dict[str, Any]) -> dict[str, str]:
    """`bos_token`, `eos_token`... to their text; where two files name one, the first counts."""
    found: dict[str, str] = {}
    for values in settings:
        for key, value in values.items():
            text = value.get("content") if isinstance(value, dict) else value
            if key.endswith("_token") and isinstance(text, str) and text:
                found.setdefault(key, text)
    return found


def _added_tokens(source: SourceFolder, settings: dict[str, Any]) -> Iterator[tuple[int, AddedToken]]:
    """Tokens that stand beside the vocabulary in the settings (newer) or in a file of their own (older)."""
    entries: dict[str, Any] = settings.get("added_tokens_decoder", {})
    texts = source.json("added_tokens.json") or {}
    if not isinstance(entries, dict):
        raise CheckpointError(source.path / SETTINGS, "added_tokens_decoder is not an object")
    listed = list(entries.items())
    listed += [(token_id, {"content": text}) for text, token_id in texts.items() if str(token_id) not in entries]
    try:
        known = [(int(token_id), entry["content"], entry) for token_id, entry in listed]
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(source.path / SETTINGS, f"an added token is wrong ({error!r})") from error
    for token_id, text, entry in sorted(known, key=lambda one: one[0]):
        flags = {name: bool(entry.get(name)) for name in ("single_word", "lstrip", "rstrip", "normalized", "special")}
        yield token_id, AddedToken(str(text), **flags)


def _add(tokenizer: Tokenizer, token: AddedToken, token_id: int, source: SourceFolder) -> None:
    if tokenizer.token_to_id(token.content) is None or token.special:
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    found = tokenizer.token_to_id(token.content)
    if found != token_id:
        raise CheckpointError(
            source.path / SETTINGS, f"the token {token.content!r} should have the id {token_id}, it would get {found}"
        )


def _begin_with(tokenizer: Tokenizer, token: str | None, settings: dict[str, Any]) -> None:
    """Where the settings ask for it, every text begins with a token; most tokenizers say so themselves."""
    token_id = None if token is None else tokenizer.token_to_id(token)
    if settings.get("add_bos_token") is True and token_id is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{token}:0 $A:0", special_tokens=[(token, token_id)]
        )


def _end_ids(source: SourceFolder, tokenizer: Tokenizer, special: dict[str, str]) -> tuple[int, ...]:
    """The tokenizer's own end token first, then those of the two configs; ids outside the vocabulary are left out."""
    own = tokenizer.token_to_id(special.get("eos_token", ""))
    found = [] if own is None else [int(own)]
    for name in (GENERATION, CONFIG):
        named = (source.json(name) or {}).get("eos_token_id")
        for token_id in named if isinstance(named, list) else [named]:
            if type(token_id) is int and token_id not in found and tokenizer.id_to_token(token_id) is not None:
                found.append(token_id)
    if not found:
        raise CheckpointError(
            source.path / SETTINGS,
            f"no token ends a text: name one of the {tokenizer.get_vocab_size()} tokens as eos_token there, "
            f"or by its id as eos_token_id in {GENERATION} or {CONFIG}",
        )
    return tuple(found)


def _template(source: SourceFolder, settings: dict[str, Any]) -> str:
    """The chat template, "" for none; of several the one called default."""
    own_file = source.text(TEMPLATE)
    named: Any = own_file if own_file is not None else settings.get("chat_template")
    if isinstance(named, list):
        named = {one.get("name"): one.get("template") for one in named if isinstance(one, dict)}.get("default")
    name = TEMPLATE if own_file is not None else SETTINGS
    if named is None:
        return ""
    if not isinstance(named, str):
        raise CheckpointError(source.path / name, "chat_template is not text")
    if len(named) > MAX_TEMPLATE_CHARS:
        raise CheckpointError(
            source.path / name, f"the chat template has {len(named)} characters, at most {MAX_TEMPLATE_CHARS} are read"
        )
    return named
