"""`manage.py bootstrap`: what a first start needs. Run again, or by many at once, it changes nothing."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from webapp.accounts import services as accounts_services
from webapp.provenance import services as provenance_services
from webapp.workspaces import services as workspaces_services
from webapp.workspaces.management.started import StartedCommand


class Command(StartedCommand):
    """Makes the first owner, the workspace "Studio" and the local signing authority."""

    help = "Make the first owner, a workspace and the signing authority, then print how to sign in."

    def add_arguments(self, parser: CommandParser) -> None:
        """One switch for scripts."""
        parser.add_argument(
            "--link-only", action="store_true", help="print the sign-in link alone, or nothing when a password is set"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the link, or where to sign in when the owner has chosen a password."""
        owner = accounts_services.ensure_user(settings.ENV.owner_email)
        workspaces_services.ensure_workspace(slug="studio", name="Studio", owner=owner)
        provenance_services.ensure_authority()
        if owner.has_usable_password():
            if not options["link_only"]:
                self.stdout.write(f"Sign in as {owner.email} at {settings.BASE_URL}/")
            return
        link = accounts_services.sign_in_link(owner)
        self.stdout.write(link if options["link_only"] else f"Sign in once as {owner.email}, within a day: {link}")
