"""`manage.py add_net`: adds a net (GPT-2, Llama, Qwen2, Qwen3) or a LoRA adapter, from a folder or from a hub."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from genworkers.checkpoints import CheckpointError
from genworkers.importing import hub
from genworkers.importing.add_adapter import ADAPTER_MANIFEST, add_adapter, read_adapter_manifest
from genworkers.importing.add_net import TRIAL_PROMPT, add_net, name_from
from genworkers.importing.source_folder import SourceFolder
from webapp.catalog import selectors as catalog
from webapp.provenance import tokenizers


class Command(BaseCommand):
    """Checks, converts and tries a checkpoint; the studio and the API list it from then on."""

    help = (
        "Add a net to this studio: the folder of a GPT-2, Llama, Qwen2 or Qwen3 checkpoint (safetensors), or of a LoRA "
        "adapter that train_lora wrote. `manage.py remove_net` takes it away again."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Django's hook."""
        parser.add_argument("source", metavar="PATH|hf:OWNER/NAME", help="a folder, or a repository on the hub")
        parser.add_argument("--name", default="", help="its name in requests; default: the folder's, in small letters")
        parser.add_argument("--title", default="", help="its name for people; default: the name")
        parser.add_argument("--revision", default="", help="with hf: a commit, tag or branch; default: the newest")
        parser.add_argument("--context-tokens", type=int, help="the most tokens of prompt and answer together")
        parser.add_argument("--replace", action="store_true", help="take the place of the one that has this name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Django's hook."""
        source: str = options["source"]
        torch.set_num_threads(settings.ENGINE_THREADS)
        try:
            if source.startswith(hub.PREFIX):
                self._add_from_hub(source, options)
            elif options["revision"]:
                raise CommandError("--revision is for addresses on the hub; a folder has no revisions.")
            elif (Path(source) / ADAPTER_MANIFEST).exists():
                self._add_adapter(Path(source), options)
            else:
                self._add_net(Path(source), options, origin=None)
        except (CheckpointError, hub.HubError, ValueError) as error:
            raise CommandError(f"{error}. Nothing was added.") from error
        except OSError as error:
            raise CommandError(f"{error.filename or source}: {error.strerror or error}. Nothing was added.") from error

    def _add_from_hub(self, address: str, options: dict[str, Any]) -> None:
        repository = hub.pin(address, options["revision"])
        self.stdout.write(f"Fetching {repository.name} at commit {repository.revision} ...")
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="download-", dir=settings.DATA_DIR) as room:
            folder = Path(room) / repository.name.rpartition("/")[2]
            hub.fetch(repository, folder)
            self._add_net(folder, options, {"hub": repository.name, "revision": repository.revision})

    def _add_net(self, source: Path, options: dict[str, Any], origin: dict[str, str] | None) -> None:
        name = options["name"] or name_from(source.resolve().name)
        if (Path(settings.NETS_DIR) / name).exists():
            raise CommandError(f"{name!r} is a net of the house; choose another --name.")
        added = add_net(
            source,
            settings.ADDED_NETS_DIR,
            name,
            title=options["title"],
            origin=origin,
            context_tokens=options["context_tokens"],
            may_replace=options["replace"],
        )
        tokenizers.keep()
        facts = added.manifest
        self.stdout.write(
            f"Added {facts.name}: {facts.source['architecture']}, {facts.num_parameters / 1e6:.1f} M parameters, "
            f"{facts.context_tokens} tokens of context, licence {', '.join(facts.licences) or 'not stated'}.\n"
            f"It continues {TRIAL_PROMPT!r} with {added.trial}.\n"
            f"Its card and files are in {added.folder}.\n"
            f'Choose "{facts.title}" in the studio, or send "net": "{facts.name}" to the API; '
            "running workers load it when it is first asked for."
        )

    def _add_adapter(self, source: Path, options: dict[str, Any]) -> None:
        manifest = read_adapter_manifest(SourceFolder(source))
        # The same weights under another name are the same net; the name it was trained with goes first.
        same = [net.name for net in catalog.nets() if net.sha256 == manifest.base_sha256]
        base = manifest.base if manifest.base in same or not same else same[0]
        folder = catalog.folder_of(base)
        if folder is None:
            raise CommandError(f"{source / ADAPTER_MANIFEST} is for the net {base!r}, which is not installed.")
        added = add_adapter(
            source, folder, settings.ADAPTERS_DIR, options["name"], options["title"], may_replace=options["replace"]
        )
        self.stdout.write(
            f"Added the adapter {added.manifest.name} of {base}: rank {added.manifest.rank}, "
            f"{len(added.manifest.targets)} layers.\n"
            f'Choose it in the studio, or send "net": "{base}", "adapter": "{added.manifest.name}" to the API.'
        )
