"""A folder that somebody else made: files are read from it only after their place, kind and size were looked at."""

import json
from pathlib import Path
from typing import Any

from genworkers.checkpoints import CheckpointError, sha256_of

MAX_JSON_BYTES = 100_000_000  # a tokenizer.json of 256,000 tokens has about 35 MB
UNSAFE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".gguf", ".ggml", ".h5", ".msgpack", ".onnx")
WAY_OUT = (
    "only safetensors are read, because opening such a file can run code. Where the net can be trusted, convert it: "
    "load it with the package that made it and save it as safetensors (transformers: save_pretrained)"
)


class SourceFolder:
    """The files of a foreign checkpoint.

    Args:
        path: the folder.

    Raises:
        CheckpointError: it is no folder, or a file of weights that is not safetensors.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() in UNSAFE_SUFFIXES and not path.is_dir():
            raise CheckpointError(path, f"is a {path.suffix} file: {WAY_OUT}")
        if not path.exists():
            raise CheckpointError(path, "does not exist")
        if not path.is_dir():
            raise CheckpointError(path, "is not a folder; give the folder that holds config.json and the weights")
        self.path = path
        self._used: dict[str, Path] = {}

    def file(self, name: str) -> Path | None:
        """The path of a file, or None where there is none.

        Raises:
            CheckpointError: the name leads out of the folder, or to something that is not a file.
        """
        path = self.path / name
        if Path(name).name != name:
            raise CheckpointError(self.path, f"names a file outside the folder: {name!r}")
        if not path.exists() and not path.is_symlink():
            return None
        if path.resolve().parent != self.path.resolve():
            raise CheckpointError(
                path, "is a link that leads out of the folder or nowhere; copy the folder with `cp -rL` and try again"
            )
        if not path.is_file():
            raise CheckpointError(path, "is not a file")
        self._used[name] = path
        return path

    def content(self, name: str) -> bytes | None:
        """What stands in a file, or None where there is none.

        Raises:
            CheckpointError: as `file`; or it is too large or cannot be read.
        """
        path = self.file(name)
        if path is None:
            return None
        num_bytes = path.stat().st_size
        if num_bytes > MAX_JSON_BYTES:
            raise CheckpointError(path, f"has {num_bytes} bytes, at most {MAX_JSON_BYTES} are read")
        try:
            return path.read_bytes()
        except OSError as error:
            raise CheckpointError(path, f"cannot be read ({error.strerror})") from error

    def text(self, name: str) -> str | None:
        """The same as text.

        Raises:
            CheckpointError: as `content`; or it is not UTF-8.
        """
        content = self.content(name)
        try:
            return None if content is None else content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CheckpointError(self.path / name, f"is not UTF-8 ({error.reason})") from error

    def json(self, name: str) -> dict[str, Any] | None:
        """The same as a JSON object.

        Raises:
            CheckpointError: as `text`; or it is no JSON object.
        """
        text = self.text(name)
        if text is None:
            return None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(self.path / name, f"is not JSON ({str(error)[:200]})") from error
        if not isinstance(found, dict):
            raise CheckpointError(self.path / name, "is not a JSON object")
        return found

    def unsafe_weights(self) -> Path | None:
        """A file of weights that is not safetensors, if there is one."""
        return next((path for path in sorted(self.path.iterdir()) if path.suffix.lower() in UNSAFE_SUFFIXES), None)

    def sha256_of_used(self) -> dict[str, str]:
        """Hex digest of every file that was asked for and is there, by name."""
        return {name: sha256_of(path) for name, path in sorted(self._used.items())}
