"""Adds a net: a foreign checkpoint is checked, converted into the house's format, tried, and only then shown.

Everything happens in a folder beside the others that is renamed into place at the end, so a mistake leaves nothing.
"""

import fcntl
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from genworkers.checkpoints import (
    NET_PART,
    TOKENIZER_PART,
    CheckpointError,
    CheckpointFacts,
    TensorStream,
    save,
)
from genworkers.codecs.chat_template import ChatTemplateError
from genworkers.codecs.text_bpe import TextCodec
from genworkers.contract.manifests import NetManifest
from genworkers.importing.families import CONFIG, FAMILIES, read_config
from genworkers.importing.foreign_tokenizer import TOKENIZER, read_codec
from genworkers.importing.foreign_weights import open_weights
from genworkers.importing.source_folder import SourceFolder
from genworkers.nets.decoder import DecoderConfig
from genworkers.text_checkpoints import CHAT_PART, load_decoder, open_text_checkpoint

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
INCOMING = ".incoming-"
LICENCE_PART = "licence"
LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE")
DEFAULT_CONTEXT_TOKENS = 16_384
TRIAL_PROMPT = "Once upon a time"
TRIAL_TOKENS = 8
# Below this the trial runs in float32, above in what is stored, so that it needs no more memory than serving does.
TRIAL_FLOAT32_PARAMETERS = 500_000_000


@dataclass(frozen=True, slots=True)
class AddedNet:
    """What was added.

    Args:
        trial: what it wrote after `TRIAL_PROMPT`, always the likeliest token.
    """

    folder: Path
    manifest: NetManifest
    trial: str


def name_from(text: str) -> str:
    """A net's name from a folder's or a repository's: small letters, digits, dots, dashes."""
    return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-._")[:100]


def add_net(
    source: Path,
    nets_dir: Path,
    name: str,
    *,
    title: str = "",
    origin: dict[str, str] | None = None,
    context_tokens: int | None = None,
    may_replace: bool = False,
) -> AddedNet:
    """Check, convert and try a foreign checkpoint, and put it into `nets_dir` under its name.

    Args:
        source: the folder of the foreign checkpoint; it is not changed.
        nets_dir: where added nets lie; made if missing.
        name: of the net in requests.
        title: for people; "" uses the name.
        origin: where the folder comes from; None uses its own name.
        context_tokens: the most that prompt and answer may have; None takes what the net was made for, at most
            `DEFAULT_CONTEXT_TOKENS`. Nets with learned positions keep theirs.
        may_replace: whether a net of that name may be there already.

    Raises:
        CheckpointError: the checkpoint cannot be used; the message names the file and the reason.
        ValueError: the name is not one, or taken; or context_tokens is outside what the net can.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise ValueError(
            f"name must be small letters, digits, '.', '_' and '-', at most 100, and begin with a letter or digit, "
            f"got {name!r}"
        )
    target = nets_dir / name
    if target.exists() and not may_replace:
        raise ValueError(f"a net {name!r} is there already; choose another --name, or give --replace")
    folder = SourceFolder(source)
    architecture, config = read_config(folder)
    weights = open_weights(folder, FAMILIES[architecture], config)
    codec = read_codec(folder, architecture)
    if codec.vocab_size > config.vocab_size:
        raise CheckpointError(
            source / TOKENIZER, f"has {codec.vocab_size} tokens, but {CONFIG} says vocab_size {config.vocab_size}"
        )
    config = replace(config, context_tokens=_context_tokens(config, context_tokens))
    with incoming(nets_dir) as room:
        made = room / name
        facts = _facts(folder, name, title, architecture, config, origin or {"folder": source.resolve().name})
        manifest = _write(made, facts, weights, codec, folder)
        trial = _try(made, source)
        if target.exists():
            target.rename(room / "replaced")
        made.rename(target)
    return AddedNet(target, manifest, trial)


def remove_net(nets_dir: Path, name: str) -> None:
    """Take an added net away.

    Raises:
        ValueError: there is none of that name.
    """
    if not NAME_PATTERN.fullmatch(name) or not (nets_dir / name).is_dir():
        raise ValueError(f"no net {name!r} was added here")
    with incoming(nets_dir) as room:
        (nets_dir / name).rename(room / name)


@contextmanager
def incoming(place: Path) -> Iterator[Path]:
    """A folder in `place`, where no catalogue looks, that is gone afterwards; one process at a time has one.

    Raises:
        ValueError: another process is adding or removing something there.
    """
    place.mkdir(parents=True, exist_ok=True)
    with (place / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"something else is being added to or removed from {place}; try again later") from None
        for left_over in place.glob(f"{INCOMING}*"):  # of a process that was killed
            shutil.rmtree(left_over)
        room = Path(tempfile.mkdtemp(prefix=INCOMING, dir=place))
        try:
            yield room
        finally:
            shutil.rmtree(room)


def _context_tokens(config: DecoderConfig, wanted: int | None) -> int:
    if wanted is None:
        is_fixed = config.position == "learned"
        return config.context_tokens if is_fixed else min(config.context_tokens, DEFAULT_CONTEXT_TOKENS)
    lowest = config.context_tokens if config.position == "learned" else 1
    if not lowest <= wanted <= config.context_tokens:
        raise ValueError(f"context_tokens must be {lowest}..{config.context_tokens} for this net, got {wanted}")
    return wanted


def _facts(
    folder: SourceFolder, name: str, title: str, architecture: str, config: DecoderConfig, origin: dict[str, str]
) -> CheckpointFacts:
    licence = _declared_licence(folder)
    stored: dict[str, Any] = asdict(config)
    stored["value_embed_layers"] = list(config.value_embed_layers)
    return CheckpointFacts(
        name=name,
        kind="text",
        family="decoder",
        title=title or name,
        config=stored,
        context_tokens=config.context_tokens,
        licences=[licence] if licence else [],
        limits=["It was added from outside: this studio has neither trained nor measured it."],
        source={**origin, "architecture": architecture},
    )


def _declared_licence(folder: SourceFolder) -> str:
    """The `license` field in the front matter of the folder's README.md; "" for none."""
    text = (folder.content("README.md") or b"").decode("utf-8", "replace")
    front = text.split("---", 2)[1] if text.startswith("---") and text.count("---") > 1 else ""
    found = re.search(r"^license:[ \t]*[\"']?([^\s\"']{1,100})", front, flags=re.MULTILINE)
    return found[1] if found else ""


def _write(
    made: Path, facts: CheckpointFacts, weights: TensorStream, codec: TextCodec, folder: SourceFolder
) -> NetManifest:
    assert codec.chat is not None
    parts = {
        TOKENIZER_PART: ("tokenizer.json", codec.to_json()),
        CHAT_PART: ("chat.json", codec.chat.to_json()),
    }
    licence = next((content for one in LICENCE_FILES if (content := folder.content(one)) is not None), None)
    if licence is not None:
        parts[LICENCE_PART] = ("licence.txt", licence)
    facts = replace(facts, source={**facts.source, "files": folder.sha256_of_used()})
    return save(made, facts, weights={NET_PART: weights}, other_parts=parts, card=_card(facts, codec, bool(licence)))


def _card(facts: CheckpointFacts, codec: TextCodec, has_licence_file: bool) -> str:
    assert codec.chat is not None
    config = facts.config
    origin = {key: value for key, value in facts.source.items() if key != "files"}
    licence = facts.licences[0] if facts.licences else "none stated" if not has_licence_file else "see licence.txt"
    lines = [
        f"# {facts.title}",
        "",
        "Added from outside; this studio has neither trained nor measured it. Read its makers' own card before use.",
        "",
        "| | |",
        "|---|---|",
        f"| Architecture | {FAMILIES[facts.source['architecture']].title}, a decoder-only Transformer |",
        f"| Layers, width, heads | {config['num_layers']}, {config['width']}, {config['num_heads']} query and "
        f"{config['num_kv_heads']} key-value heads of {config['head_width']} |",
        f"| Vocabulary | {config['vocab_size']} rows, {codec.vocab_size} tokens |",
        f"| Context | {facts.context_tokens} tokens, prompt and answer together |",
        f"| Conversations | {'by its own chat template' if codec.chat.template else 'none: it continues text'} |",
        f"| Licence | {licence} |",
        f"| Source | {', '.join(f'{key} {value}' for key, value in origin.items())} |",
        "",
        "Source files (sha256):",
        "",
        *(f"* `{name}` {digest}" for name, digest in facts.source["files"].items()),
    ]
    return "\n".join(lines) + "\n"


@torch.inference_mode()
def _try(folder: Path, source: Path) -> str:
    """Load what was written as a worker would, and let it write a few tokens.

    Args:
        source: what is at fault when it does not work.

    Raises:
        CheckpointError: the chat template fails, or a logit is not finite.
    """
    checkpoint = open_text_checkpoint(folder)
    small = checkpoint.manifest.num_parameters < TRIAL_FLOAT32_PARAMETERS
    net = load_decoder(checkpoint, torch.float32 if small else None)
    codec = checkpoint.codec
    try:
        codec.encode_chat((), TRIAL_PROMPT)
    except ChatTemplateError as error:
        raise CheckpointError(
            source, f"{error} (chat_template.jinja, or chat_template in tokenizer_config.json)"
        ) from error
    ids = codec.encode_raw(TRIAL_PROMPT)
    written: list[int] = []
    for _ in range(min(TRIAL_TOKENS, net.config.context_tokens - len(ids))):
        logits = net(torch.tensor([ids + written]))[0, -1]
        if not bool(torch.isfinite(logits).all()):
            raise CheckpointError(source, "the net answers with NaN or infinity; its weights are damaged")
        written.append(int(logits.argmax()))
        if written[-1] in codec.end_ids:
            break
    return json.dumps(codec.decode(written), ensure_ascii=False)
