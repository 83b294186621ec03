"""The tokenizers of all text nets that are or were here: the mark in a text is found in the tokens it was drawn in."""

import hashlib
import tempfile
from pathlib import Path

from django.conf import settings


def keep() -> None:
    """Keep the tokenizers of the nets that are here, each under its SHA-256 and for good, as what was written stays."""
    folder = Path(settings.TOKENIZERS_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    for digest, source in _of_nets().items():
        if (folder / f"{digest}.json").exists():
            continue
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", delete=False) as draft:
            draft.write(source.read_bytes())
        Path(draft.name).rename(folder / f"{digest}.json")  # whole or not at all: others read the folder


def distinct() -> list[Path]:
    """One file of each: every tokenizer that is tried costs time and makes a chance finding likelier."""
    kept = {path.stem: path for path in sorted(Path(settings.TOKENIZERS_DIR).glob("[!.]*.json"))}
    return list((_of_nets() | kept).values())


def _of_nets() -> dict[str, Path]:
    places = (Path(settings.NETS_DIR), Path(settings.ADDED_NETS_DIR))
    paths = [path.resolve() for place in places for path in sorted(place.glob("*/tokenizer.json"))]
    return {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in paths}
