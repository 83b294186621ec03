"""`manage.py create_api_key`: a key for one workspace, printed once."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from webapp.accounts import selectors as accounts
from webapp.accounts import services as accounts_services
from webapp.accounts.models import User
from webapp.errors import AppError
from webapp.workspaces import selectors as workspaces
from webapp.workspaces.management.started import StartedCommand
from webapp.workspaces.models import Membership, Workspace


class Command(StartedCommand):
    """Makes an API key."""

    help = "Make an API key for one workspace and print it once."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where, what for, what it may do, and whose it is."""
        parser.add_argument("--workspace", required=True, metavar="SLUG")
        parser.add_argument("--name", required=True, help="what the key is for")
        parser.add_argument("--scopes", default="read,generate", help="with commas: read, generate")
        parser.add_argument("--user", metavar="EMAIL", help="whose key it is; the workspace's first owner if left out")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the key, or one line that says what is wrong."""
        workspace = Workspace.objects.filter(slug=options["workspace"]).first()
        if workspace is None:
            known = ", ".join(Workspace.objects.order_by("slug").values_list("slug", flat=True)[:20]) or "none yet"
            raise CommandError(f"There is no workspace {options['workspace']!r}; there are: {known}.")
        user = _owner_of(workspace) if options["user"] is None else _member(workspace, options["user"])
        scopes = [scope.strip() for scope in options["scopes"].split(",")]
        try:
            _, raw_key = accounts_services.create_api_key(user, workspace, options["name"], scopes)
        except AppError as error:
            raise CommandError(error.message) from error
        self.stdout.write(raw_key)


def _member(workspace: Workspace, email: str) -> User:
    user = accounts.user_by_email(email)
    if user is None or workspaces.role_in(user, workspace.id) is None:
        raise CommandError(f"{email} is no member of {workspace.slug}.")
    return user


def _owner_of(workspace: Workspace) -> User:
    first = (
        workspace.memberships.filter(role=Membership.Role.OWNER).order_by("created_at").select_related("user").first()
    )
    if first is None:
        raise CommandError(f"{workspace.slug} has no owner; name a member with --user EMAIL.")
    return first.user
