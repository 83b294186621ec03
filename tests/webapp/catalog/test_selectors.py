"""The catalog lists what is sound, reads a manifest once, and notices a change."""

import json
import os
from pathlib import Path

import pytest
from pytest_django import Settings

from webapp.catalog import selectors


def test_nets_are_found_by_name(nets_dir: Path) -> None:
    assert [net.name for net in selectors.nets()] == ["llama-tessera-text", "mosaic"]
    mosaic = selectors.net("mosaic")
    assert mosaic is not None
    assert mosaic.styles == {"flat": "Flat"}
    assert selectors.net("unknown") is None


def test_a_broken_manifest_is_left_out_and_logged_once(nets_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = nets_dir / "broken" / "manifest.json"
    broken.parent.mkdir()
    broken.write_text("{")
    for _ in range(2):
        assert [net.name for net in selectors.nets()] == ["llama-tessera-text", "mosaic"]
    assert caplog.text.count("manifest_broken") == 1


def test_a_change_is_seen_and_an_unchanged_file_is_not_read_again(nets_dir: Path) -> None:
    path = nets_dir / "mosaic" / "manifest.json"
    first = selectors.net("mosaic")
    assert selectors.net("mosaic") is first
    content = json.loads(path.read_text()) | {"title": "Another"}
    path.write_text(json.dumps(content))
    os.utime(path, ns=(1, 1))
    changed = selectors.net("mosaic")
    assert changed is not None
    assert changed.title == "Another"


def test_added_nets_come_after_the_house_and_never_replace_it(nets_dir: Path, settings: Settings) -> None:
    for name in ("gpt2", "mosaic"):
        folder = settings.ADDED_NETS_DIR / name
        folder.mkdir(parents=True)
        content = json.loads((nets_dir / "llama-tessera-text" / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(content | {"name": name, "title": "Added"}))
    assert [net.name for net in selectors.nets()] == ["llama-tessera-text", "mosaic", "gpt2"]
    assert selectors.folder_of("gpt2") == settings.ADDED_NETS_DIR / "gpt2"
    assert selectors.folder_of("mosaic") == nets_dir / "mosaic"
    assert selectors.folder_of("unknown") is None


def test_adapters_are_listed_for_the_weights_that_they_were_trained_on(nets_dir: Path, settings: Settings) -> None:
    facts = {"base": "llama-tessera-text", "rank": 2, "alpha": 4.0, "targets": [], "sha256": "d" * 64}
    for name, base_sha256 in (("pirate", "c" * 64), ("stale", "e" * 64)):
        folder = settings.ADAPTERS_DIR / "llama-tessera-text" / name
        folder.mkdir(parents=True)
        (folder / "adapter.json").write_text(json.dumps(facts | {"name": name, "base_sha256": base_sha256}))
    assert [one.name for one in selectors.adapters_of("llama-tessera-text")] == ["pirate"]
    assert selectors.adapter_folder("llama-tessera-text", "pirate") == folder.with_name("pirate")
    assert selectors.adapter_folder("llama-tessera-text", "stale") is None
    assert selectors.adapters_of("mosaic") == selectors.adapters_of("unknown") == []


def test_no_folder_means_no_nets(tmp_path: Path, settings: Settings) -> None:
    settings.NETS_DIR = tmp_path / "nowhere"
    assert selectors.nets() == []
