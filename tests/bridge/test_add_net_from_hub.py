"""`manage.py add_net hf:owner/name` against a hub of our own: the files of one commit, none that is code."""

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.genworkers.importing.plain_llama import write_llama

pytestmark = pytest.mark.slow

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "owner/Tiny-Llama"


class Hub(BaseHTTPRequestHandler):
    """As much of a hub as fetching one repository takes."""

    folder: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        """The facts of a file."""
        self._answer(with_body=False)

    def do_GET(self) -> None:
        """A repository's facts, the list of its files, or a file."""
        self._answer(with_body=True)

    def log_request(self, *_: Any) -> None:
        """Nothing to be said."""

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        self.asked.append(path)
        names = sorted(one.name for one in self.folder.iterdir())
        if path == f"/api/models/{NAME}" or path.startswith(f"/api/models/{NAME}/revision/"):
            files = [{"rfilename": name} for name in names]
            return self._send(json.dumps({"id": NAME, "sha": COMMIT, "siblings": files}).encode(), with_body)
        if path == f"/api/models/{NAME}/tree/{COMMIT}":
            listed = [
                {"type": "file", "path": name, "size": (self.folder / name).stat().st_size, "oid": "0" * 40}
                for name in names
            ]
            return self._send(json.dumps(listed).encode(), with_body)
        name = path.removeprefix(f"/{NAME}/resolve/{COMMIT}/")
        if name in names:
            return self._send((self.folder / name).read_bytes(), with_body)
        self.send_error(404)
        return None

    def _send(self, content: bytes, with_body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if with_body:
            self.wfile.write(content)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a hub with one repository, and what it is asked for."""
    pytest.importorskip("huggingface_hub")
    Hub.folder = write_llama(tmp_path / "repository")
    Hub.asked = []
    for name in ("modeling_tiny.py", "pytorch_model.bin", "notes.txt"):
        (Hub.folder / name).write_text("not wanted")
    (Hub.folder / "README.md").write_text("---\nlicense: mit\n---\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Hub.asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_net_is_fetched_at_one_commit_without_code(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    address, asked = hub
    environment = {
        "HF_ENDPOINT": address,
        "HF_HOME": str(tmp_path / "cache"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "TESSERA_DATA_DIR": str(tmp_path / "data"),
        "OMP_NUM_THREADS": "1",
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "add_net", f"hf:{NAME}", "--revision", "v1"],
        capture_output=True,
        text=True,
        timeout=100,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"Fetching {NAME} at commit {COMMIT}" in done.stdout
    manifest = json.loads((tmp_path / "data" / "nets" / "tiny-llama" / "manifest.json").read_text())
    assert (manifest["source"]["hub"], manifest["source"]["revision"]) == (NAME, COMMIT)
    assert manifest["licences"] == ["mit"]
    assert f"/api/models/{NAME}/revision/v1" in asked
    assert not any(name in path for path in asked for name in ("modeling_tiny.py", "pytorch_model.bin", "notes.txt"))
    assert not list((tmp_path / "data").glob("download-*"))
