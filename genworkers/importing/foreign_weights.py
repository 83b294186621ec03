"""The weights of a foreign checkpoint: one file or many, every name and shape checked before a byte of them is read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from genworkers.checkpoints import CheckpointError, TensorStream, require_finite
from genworkers.codecs.safetensors_file import NAME_OF_DTYPE, SafetensorsError, SafetensorsFile, TensorSpec
from genworkers.importing.families import Family
from genworkers.importing.recipes import Recipe
from genworkers.importing.source_folder import WAY_OUT, SourceFolder
from genworkers.nets.decoder import Decoder, DecoderConfig

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True, slots=True)
class ForeignTensor:
    """A tensor of the checkpoint: the file that holds it, its name there, and what its header says."""

    file: SafetensorsFile
    name: str
    spec: TensorSpec


def open_weights(source: SourceFolder, family: Family, config: DecoderConfig) -> TensorStream:
    """All tensors of our decoder, made one at a time from those of the checkpoint, in the dtypes they are stored in.

    Raises:
        CheckpointError: a file is missing, truncated or lying; a tensor is missing, unknown, of another shape or of a
            dtype that is not served. While the stream is read: a value is not finite.
    """
    found = _tensors_of(source, family.prefix)
    # Before anything is made in this number: a net has several tensors a layer.
    if config.num_layers > len(found):
        raise CheckpointError(
            source.path, f"config.json says {config.num_layers} layers, but the weights have only {len(found)} tensors"
        )
    recipes = family.recipes(config)
    used = {name for recipe in recipes.values() for name in recipe.sources}
    missing = sorted(used - found.keys())
    unknown = sorted(name for name in found.keys() - used if not any(re.fullmatch(one, name) for one in family.ignored))
    if missing or unknown:
        raise CheckpointError(
            source.path,
            f"the weights do not fit config.json: {len(missing)} missing {missing[:3]}, "
            f"{len(unknown)} unknown {unknown[:3]}",
        )
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in Decoder(config).state_dict().items()}
    specs: dict[str, TensorSpec] = {}
    for name, shape in shapes.items():
        recipe = recipes[name]
        parts = [found[one] for one in recipe.sources]
        for part, num_rows in zip(parts, recipe.num_rows or (shape[0],), strict=True):
            _check(part, (num_rows, *shape[1:])[:: -1 if recipe.is_transposed else 1])
        specs[name] = TensorSpec(reduce(torch.promote_types, (part.spec.dtype for part in parts)), shape)
    return TensorStream(specs, _made(specs, recipes, found))


def _made(
    specs: dict[str, TensorSpec], recipes: dict[str, Recipe], found: dict[str, ForeignTensor]
) -> Iterator[tuple[str, Tensor]]:
    for name, spec in specs.items():
        recipe = recipes[name]
        parts = [_read(found[one]).to(spec.dtype) for one in recipe.sources]
        tensor = torch.cat(parts) if len(parts) > 1 else parts[0]
        yield name, tensor.T.contiguous() if recipe.is_transposed else tensor


def _read(tensor: ForeignTensor) -> Tensor:
    try:
        values = tensor.file.read(tensor.name)
    except SafetensorsError as error:
        raise CheckpointError(tensor.file.path, str(error)) from error
    require_finite(values, tensor.name, tensor.file.path)
    return values


def _check(tensor: ForeignTensor, shape: tuple[int, ...]) -> None:
    if tensor.spec.shape != shape:
        raise CheckpointError(
            tensor.file.path,
            f"tensor {tensor.name!r} has shape {tensor.spec.shape}, config.json makes it {shape}",
        )
    if tensor.spec.dtype not in DTYPES:
        raise CheckpointError(
            tensor.file.path,
            f"tensor {tensor.name!r} is stored as {NAME_OF_DTYPE[tensor.spec.dtype]}; supported: F32, F16, BF16",
        )


def _tensors_of(source: SourceFolder, prefix: str) -> dict[str, ForeignTensor]:
    """Every tensor by its name without the prefix."""
    found: dict[str, ForeignTensor] = {}
    for file in _files_of(source):
        for name, spec in file.specs.items():
            plain = name.removeprefix(prefix)
            if plain in found:
                raise CheckpointError(file.path, f"tensor {name!r} stands in {found[plain].file.path.name} already")
            found[plain] = ForeignTensor(file, name, spec)
    return found


def _files_of(source: SourceFolder) -> list[SafetensorsFile]:
    if source.file(WEIGHTS) is not None:
        return [_open(source, WEIGHTS)]
    index = source.json(INDEX)
    if index is None:
        unsafe = source.unsafe_weights()
        if unsafe is not None:
            raise CheckpointError(unsafe, f"is a {unsafe.suffix} file: {WAY_OUT}")
        raise CheckpointError(source.path, f"holds neither {WEIGHTS} nor {INDEX}: the weights are missing")
    name_of = index.get("weight_map")
    if not isinstance(name_of, dict) or not name_of or not all(isinstance(one, str) for one in name_of.values()):
        raise CheckpointError(source.path / INDEX, "has no weight_map from tensors to files")
    files = {name: _open(source, name) for name in sorted(set(name_of.values()))}
    for tensor, name in name_of.items():
        if tensor not in files[name].specs:
            raise CheckpointError(files[name].path, f"lacks the tensor {tensor!r} that {INDEX} says it holds")
    return list(files.values())


def _open(source: SourceFolder, name: str) -> SafetensorsFile:
    path = source.file(name)
    if path is None:
        raise CheckpointError(source.path / name, f"missing; {INDEX} names it")
    if path.suffix != ".safetensors":
        raise CheckpointError(path, f"is no safetensors file: {WAY_OUT}")
    try:
        return SafetensorsFile(path)
    except SafetensorsError as error:
        raise CheckpointError(path, str(error)) from error
    except OSError as error:
        raise CheckpointError(path, f"cannot be read ({error.strerror})") from error
