"""`manage.py remove_net`: takes a net or an adapter away that `add_net` added. What it made stays in the gallery."""

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from genworkers.importing.add_adapter import remove_adapter
from genworkers.importing.add_net import remove_net
from webapp.catalog import selectors as catalog


class Command(BaseCommand):
    """The reverse of add_net."""

    help = "Take away a net that add_net added, with its adapters, or one adapter. What it made stays in the gallery."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Django's hook."""
        parser.add_argument("net", help="the net's name")
        parser.add_argument("--adapter", help="take only this adapter of the net away")

    def handle(self, *args: Any, **options: Any) -> None:
        """Django's hook."""
        net, adapter = options["net"], options["adapter"]
        try:
            if adapter is not None:
                remove_adapter(settings.ADAPTERS_DIR, net, adapter)
                self.stdout.write(f"Removed the adapter {adapter} of {net}.")
                return
            adapters = [one.name for one in catalog.adapters_of(net)]
            remove_net(settings.ADDED_NETS_DIR, net)
            for name in adapters:
                remove_adapter(settings.ADAPTERS_DIR, net, name)
        except ValueError as error:
            raise CommandError(f"{error}.") from error
        self.stdout.write(f"Removed {net}" + (f" and its adapters {', '.join(adapters)}." if adapters else "."))
