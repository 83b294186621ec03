"""`manage.py block_term`: the list of terms that a workspace refuses or reviews: show, add, change, remove."""

import argparse
from typing import Any

from django.core.management.base import CommandError

from webapp.errors import AppError
from webapp.safety import rules, services
from webapp.workspaces.management.started import StartedCommand
from webapp.workspaces.models import Workspace


class Command(StartedCommand):
    """Refuse a word or phrase in one workspace, or send what holds it to review."""

    help = (
        "Refuse a word or phrase in one workspace, or send what holds it to review. Whole words are matched, through "
        'disguises but not through endings: "dragon" does not match "dragons".'
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Django's hook."""
        parser.add_argument("--workspace", required=True, metavar="SLUG", help="the workspace's slug")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--term", help="the word or phrase")
        what.add_argument("--list", action="store_true", help="show the list: the action, a tab, the term")
        parser.add_argument("--action", choices=services.TERM_ACTIONS, default="block", help="default: block")
        parser.add_argument("--remove", action="store_true", help="take the term off the list")

    def handle(self, *args: Any, **options: Any) -> None:
        """Django's hook."""
        workspace = Workspace.objects.filter(slug=options["workspace"]).first()
        if workspace is None:
            raise CommandError(f"There is no workspace {options['workspace']!r}.")
        if options["list"]:
            for term, action in rules.terms_of(workspace.id).items():
                self.stdout.write(f"{action}\t{term}")
            return
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
