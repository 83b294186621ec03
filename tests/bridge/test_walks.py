"""Walks from the page's form to the signed file, with small untrained nets and everything else real."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from django.test import Client
from PIL import Image

from genworkers.contract.manifests import NetManifest
from genworkers.engine.image_loading import load_image_engine
from genworkers.tasks import engines
from genworkers.tasks.image import generate_image
from tests.factories import MembershipFactory
from tests.genworkers.tiny_latents import write_drift
from tests.genworkers.tiny_mosaic import write_mosaic
from webapp.gallery import selectors as gallery
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.jobs.models import Job
from webapp.provenance import services as provenance

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
NUM_FRAMES = 6


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a mosaic net and a drift net that paints with its tokenizer."""
    folder = tmp_path_factory.mktemp("weights")
    write_mosaic(folder / "mosaic")
    tokenizer = NetManifest.model_validate_json((folder / "mosaic" / "manifest.json").read_bytes())
    write_drift(folder / "drift", tokenizer.files["tokenizer"]["sha256"])
    return folder


@pytest.fixture
def ada(weights: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A member whose studio has both nets and a worker that serves them."""
    settings.NETS_DIR = weights
    engine = load_image_engine({name: weights / name for name in ("mosaic", "drift")})
    engine.start()
    monkeypatch.setattr(engines, "image_engine", lambda: engine)
    client = Client()
    client.force_login(MembershipFactory.create(workspace__slug="mosaics").user)
    yield client
    engine.close()


def kept(client: Client, **fields: str) -> ArtifactFile:
    """What a form that was taken has become."""
    response = client.post("/w/mosaics/drift/", {"is_loop": "on", "num_frames": str(NUM_FRAMES)} | fields)
    assert response.status_code == 303, response.content.decode()
    job = Job.objects.latest("created_at")
    generate_image.apply(args=(str(job.id),))
    job.refresh_from_db()
    assert job.status == Job.Status.SUCCEEDED, job.error_message
    original = gallery.file_of(Artifact.objects.get(job=job), ArtifactFile.Role.ORIGINAL)
    assert original is not None
    return original


def bytes_of(file: ArtifactFile) -> bytes:
    data: bytes = gallery.open_file(file.artifact, file.role).read()
    report = provenance.read(data, file.media_type)
    assert (report.state, report.is_ours) == ("valid", True)
    return data


def test_a_walk_between_words_is_a_signed_webp(ada: Client) -> None:
    file = kept(ada, do="walk", route="between", from_prompt="a red apple", to_prompt="a blue car")
    assert file.media_type == "image/webp"
    with Image.open(io.BytesIO(bytes_of(file))) as film:
        assert (film.format, film.size) == ("WEBP", (512, 512))


def test_a_place_that_was_drawn_begins_a_walk_along_a_direction(ada: Client) -> None:
    picture = kept(ada, do="picture", from_right="20", from_down="80")
    assert picture.media_type == "image/png"
    start = {"from": "picture", "from_picture": str(picture.artifact_id)}
    file = kept(ada, do="walk", route="direction", direction="redder", distance="3", file_format="mp4", **start)
    assert file.media_type == "video/mp4"
    with av.open(io.BytesIO(bytes_of(file)), "r") as film:
        assert sum(1 for _ in film.decode(video=0)) == NUM_FRAMES


def test_a_random_walk_from_the_map_is_a_signed_gif_and_comes_out_again_by_its_seed(ada: Client) -> None:
    asked = {"do": "walk", "route": "random", "from": "map", "seed": "5", "file_format": "gif"}
    asked |= {"background": "colour", "background-picked": "#ffcc00"}
    once, again = kept(ada, **asked), kept(ada, **asked)
    assert once.media_type == "image/gif"
    shown = []
    for file in (once, again):
        with Image.open(io.BytesIO(bytes_of(file))) as film:
            shown.append(film.convert("RGBA").tobytes())
    assert shown[0] == shown[1]
    assert shown[0][:4] == bytes.fromhex("ffcc00ff")
