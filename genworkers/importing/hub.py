"""Fetches a checkpoint from a Hugging Face hub: the files that are needed, of one commit, and none that is code."""

import importlib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

PREFIX = "hf:"
FILES = (
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "README.md",
    "LICENSE*",
    "LICENCE*",
)


class HubError(Exception):
    """A repository that could not be fetched; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Repository:
    """One commit of a repository on the hub."""

    name: str
    revision: str


def parse(address: str) -> str:
    """`owner/name` of `hf:owner/name`.

    Raises:
        HubError: the address has another form.
    """
    name = address.removeprefix(PREFIX)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}(/[\w.-]{1,96})?", name):
        raise HubError(f"{address!r} is no address on the hub: write hf:owner/name")
    return name


def pin(address: str, revision: str) -> Repository:
    """The repository at one commit.

    Args:
        revision: a commit, tag or branch; "" for the newest commit of the main branch.

    Raises:
        HubError: the package huggingface_hub is missing, there is no network, or no such repository or revision.
    """
    name = parse(address)
    hub = _hub()
    try:
        found = hub.HfApi().model_info(name, revision=revision or None)
    except Exception as error:  # its many errors have no parent of their own; each is told to who asked
        raise _unreachable(name, error) from error
    return Repository(name, str(found.sha))


def fetch(repository: Repository, folder: Path) -> None:
    """Write the files of the commit into a folder.

    Raises:
        HubError: as `pin`.
    """
    hub = _hub()
    try:
        hub.snapshot_download(
            repository.name, revision=repository.revision, local_dir=str(folder), allow_patterns=list(FILES)
        )
    except Exception as error:  # as above
        raise _unreachable(repository.name, error) from error


def _hub() -> ModuleType:
    if importlib.util.find_spec("huggingface_hub") is None:
        raise HubError(
            "fetching from the hub needs the package huggingface_hub: install it into .venv with pip, or download the "
            "checkpoint by other means and give its folder"
        )
    return importlib.import_module("huggingface_hub")


def _unreachable(name: str, error: Exception) -> HubError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return HubError(
        f"{name} could not be fetched ({type(error).__name__}: {reason}). Without a network, download the checkpoint "
        "elsewhere, copy its folder here and give the folder"
    )
