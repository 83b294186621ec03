"""`manage.py block_term`: add a term to a workspace's list, change what happens on a match, or remove it."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from webapp.errors import AppError
from webapp.safety import services
from webapp.workspaces.models import Workspace


class Command(BaseCommand):
    """Refuse a word or phrase in one workspace, or send what holds it to review."""

    help = "Refuse a word or phrase in one workspace, or send what holds it to review."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Django's hook."""
        parser.add_argument("--workspace", required=True, metavar="SLUG", help="the workspace's slug")
        parser.add_argument("--term", required=True, help="the word or phrase")
        parser.add_argument("--action", choices=services.TERM_ACTIONS, default="block", help="default: block")
        parser.add_argument("--remove", action="store_true", help="take the term off the list")

    def handle(self, *args: Any, **options: Any) -> None:
        """Django's hook."""
        workspace = Workspace.objects.filter(slug=options["workspace"]).first()
        if workspace is None:
            raise CommandError(f"There is no workspace {options['workspace']!r}.")
        if options["remove"]:
            if not services.remove_term(workspace.id, options["term"]):
                raise CommandError(f"{options['term']!r} is not on the list of {workspace.slug}.")
            self.stdout.write(f"{workspace.slug}: removed.")
            return
        try:
            row = services.set_term(workspace.id, options["term"], options["action"])
        except AppError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{workspace.slug}: {row.action} on {row.term!r}.")
