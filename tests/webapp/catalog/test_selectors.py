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


def test_no_folder_means_no_nets(tmp_path: Path, settings: Settings) -> None:
    settings.NETS_DIR = tmp_path / "nowhere"
    assert selectors.nets() == []
