"""Image nets from folders: whole ones draw, others are refused by name."""

import json
import time
from pathlib import Path

import pytest

from genworkers.checkpoints import CheckpointError, load_manifest
from genworkers.contract.image import ImageRequest, Unlikeness
from genworkers.engine.image_engine import ImageEngine, ImageResult
from genworkers.engine.image_loading import load_image_engine
from tests.genworkers.tiny_latents import write_drift, write_spark
from tests.genworkers.tiny_mosaic import write_mosaic


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    sha256 = write_mosaic(tmp_path / "mosaic").files["tokenizer"]["sha256"]
    write_spark(tmp_path / "spark", sha256)
    write_drift(tmp_path / "drift", sha256)
    return {name: tmp_path / name for name in ("mosaic", "spark", "drift")}


def result_of(engine: ImageEngine, net: str) -> ImageResult:
    ticket = engine.submit(ImageRequest(prompt="a cat", net=net, num_steps=4), seed=1, deadline_s=30)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for item in ticket.read(1.0):
            if isinstance(item, ImageResult):
                return item
    raise AssertionError("no picture")


@pytest.mark.slow
def test_all_families_draw_and_drift_judges_those_of_its_tokenizer(folders: dict[str, Path]) -> None:
    engine = load_image_engine(folders, num_threads=2)
    engine.start()
    for net in folders:
        result = result_of(engine, net)
        assert result.pixels.shape == (512, 512, 4)
        assert isinstance(result.unlikeness, Unlikeness)
        assert result.unlikeness.net == "drift"
    assert engine.styles_of("spark") == ("flat", "round")
    engine.close()


def test_a_borrowed_tokenizer_must_be_installed(folders: dict[str, Path]) -> None:
    del folders["mosaic"]
    with pytest.raises(CheckpointError, match=r"spark.*tokenizer of the net 'mosaic', which is not installed"):
        load_image_engine(folders)


def test_a_borrowed_tokenizer_must_be_the_one_that_was_learned(folders: dict[str, Path]) -> None:
    write_drift(folders["drift"], "f" * 64)
    with pytest.raises(CheckpointError, match=r"drift.*another tokenizer of 'mosaic'"):
        load_image_engine(folders)


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["config"] |= changes
    path.write_text(json.dumps(manifest))


@pytest.mark.slow
@pytest.mark.parametrize("net", ["spark", "drift"])
def test_a_config_that_does_not_fit_names_its_file(folders: dict[str, Path], net: str) -> None:
    change_config(folders[net], sampling={"colour": 1})
    with pytest.raises(CheckpointError, match=rf"{net}/manifest.json: config does not fit"):
        load_image_engine(folders)


@pytest.mark.slow
def test_a_truncated_part_names_its_file(folders: dict[str, Path]) -> None:
    path = folders["spark"] / "net.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"spark/net\.safetensors"):
        load_image_engine(folders)


def test_a_family_without_a_painter_is_refused_by_name(folders: dict[str, Path]) -> None:
    path = folders["spark"] / "manifest.json"
    manifest = load_manifest(folders["spark"]).model_dump() | {"family": "oils"}
    path.write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="family 'oils'"):
        load_image_engine(folders)
