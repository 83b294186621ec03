"""Every site test has two nets installed, as manifests: the site never reads weights."""

import json
from pathlib import Path

import pytest
import redis
from pytest_django import Settings

MANIFESTS = {
    "llama-tessera-text": {
        "kind": "text",
        "family": "decoder",
        "title": "Llama Tessera Text",
        "notice": "Built with Llama",
    },
    "mosaic": {"kind": "image", "family": "mosaic", "title": "Mosaic", "styles": {"flat": "Flat"}},
}


@pytest.fixture(autouse=True)
def nets_dir(tmp_path: Path, settings: Settings) -> Path:
    """A folder of nets with one manifest per kind."""
    facts = {"num_parameters": 1, "sha256": "c" * 64, "config": {}, "files": {}}
    for name, manifest in MANIFESTS.items():
        folder = tmp_path / "nets" / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"name": name} | facts | manifest))
    settings.NETS_DIR = tmp_path / "nets"
    return tmp_path / "nets"


@pytest.fixture(autouse=True)
def empty_redis(redis_client: redis.Redis) -> redis.Redis:
    """No test sees another's queue or log."""
    return redis_client


@pytest.fixture(autouse=True)
def plain_static(settings: Settings) -> None:
    """Static files under their own names: hashed names need a `collectstatic` first."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}
