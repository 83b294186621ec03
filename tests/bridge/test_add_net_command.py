"""`manage.py add_net` and `remove_net`: what they add is in the catalogue at once, and they say what went wrong."""

import json
import string
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from genworkers.marks.keys import MarkKey
from genworkers.text_checkpoints import open_text_checkpoint
from tests.factories import WorkspaceFactory
from tests.genworkers.importing.plain_llama import write_llama
from tests.genworkers.importing.test_add_net import write_adapter
from tests.genworkers.marks.test_text_mark import marked_text
from webapp.catalog import selectors as catalog
from webapp.provenance import mark_keys, tokenizers
from webapp.provenance.verification import verify


def run(command: str, *arguments: str) -> str:
    """What the command prints."""
    out = StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def source(nets_dir: Path, tmp_path: Path) -> Path:
    """A sound checkpoint outside the studio."""
    return write_llama(tmp_path / "Tiny-Llama")


def test_an_added_net_and_its_adapter_are_in_the_catalogue(source: Path, tmp_path: Path, settings: Settings) -> None:
    printed = run("add_net", str(source), "--title", "Tiny Llama")
    assert "Added tiny-llama: LlamaForCausalLM, 0.0 M parameters, 64 tokens of context, licence not stated." in printed
    assert 'Choose "Tiny Llama" in the studio, or send "net": "tiny-llama" to the API' in printed
    net = catalog.net("tiny-llama")
    folder = catalog.folder_of("tiny-llama")
    assert net is not None
    assert folder is not None
    assert (net.title, folder) == ("Tiny Llama", settings.ADDED_NETS_DIR / "tiny-llama")

    adapter = write_adapter(tmp_path / "lora", open_text_checkpoint(folder), {"base": "its-name-there"})
    assert "Added the adapter pirate of tiny-llama: rank 2, 1 layers." in run("add_net", str(adapter))
    assert [one.name for one in catalog.adapters_of("tiny-llama")] == ["pirate"]
    assert catalog.adapter_folder("tiny-llama", "pirate") == settings.ADAPTERS_DIR / "tiny-llama" / "pirate"

    run("add_net", str(adapter), "--name", "captain")
    assert run("remove_net", "tiny-llama", "--adapter", "pirate") == "Removed the adapter pirate of tiny-llama.\n"
    assert run("remove_net", "tiny-llama") == "Removed tiny-llama and its adapters captain.\n"
    assert catalog.net("tiny-llama") is None
    assert not list((settings.ADAPTERS_DIR / "tiny-llama").glob("*"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_texts_of_a_net_that_was_removed_are_still_found_by_their_mark(source: Path, settings: Settings) -> None:
    settings.NETS_DIR = source.parent / "no nets of the house"
    run("add_net", str(source))
    run("add_net", str(source), "--name", "twin")
    codec = open_text_checkpoint(catalog.folder_of("twin") or source).codec
    assert len(tokenizers.distinct()) == 1
    run("remove_net", "tiny-llama")
    run("remove_net", "twin")
    key = MarkKey(*mark_keys.key_in_use(WorkspaceFactory.create().id))
    signs = [codec.encode(sign)[0] for sign in string.ascii_uppercase + string.digits]
    text = codec.decode(marked_text(400, key=key, vocabulary=signs))
    found = verify(text.encode())
    assert found.mark is not None
    assert found.mark.key_id == key.key_id


def test_what_goes_wrong_is_one_line(source: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"'mosaic' is a net of the house; choose another --name"):
        run("add_net", str(source), "--name", "mosaic", "--replace")
    with pytest.raises(CommandError, match=r"nowhere: does not exist\. Nothing was added\."):
        run("add_net", str(tmp_path / "nowhere"))
    with pytest.raises(CommandError, match="a folder has no revisions"):
        run("add_net", str(source), "--revision", "main")
    run("add_net", str(source))
    with pytest.raises(CommandError, match=r"is there already; choose another --name, or give --replace"):
        run("add_net", str(source))
    adapter = write_adapter(
        tmp_path / "lora",
        open_text_checkpoint(catalog.folder_of("tiny-llama") or source),
        {"base": "absent", "base_sha256": "0" * 64},
    )
    with pytest.raises(CommandError, match=r"for the net 'absent', which is not installed"):
        run("add_net", str(adapter))
    with pytest.raises(CommandError, match="no net 'mosaic' was added here"):
        run("remove_net", "mosaic")
    with pytest.raises(CommandError, match="write hf:owner/name"):
        run("add_net", "hf:no such")


@pytest.mark.slow
def test_a_hub_that_cannot_be_reached_is_said_with_the_way_out() -> None:
    # Port 9 of this machine answers nobody; the address is read when the package is imported, so in a new process.
    script = (
        "from genworkers.importing import hub\n"
        "try:\n    hub.pin('hf:owner/name', '')\n"
        "except hub.HubError as error:\n    print(error)\n"
    )
    environment = {"HF_ENDPOINT": "http://127.0.0.1:9", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100, env=environment, check=True
    )
    assert "owner/name could not be fetched" in done.stdout or "needs the package huggingface_hub" in done.stdout
    assert "give" in done.stdout


def test_the_site_finds_the_command_and_still_loads_no_torch() -> None:
    script = (
        "import os, sys, django\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'webapp.settings'\n"
        "django.setup()\n"
        "from django.core.management import get_commands\n"
        "import json; print(json.dumps([get_commands().get('add_net'), 'torch' in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=True)
    assert json.loads(done.stdout) == ["genworkers.tasks", False]
