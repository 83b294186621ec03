"""Commands of a studio that has been started: before that, one line says so instead of a traceback."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection

from webapp.env import NOT_STARTED
from webapp.workspaces.models import Workspace


class StartedCommand(BaseCommand):
    """A command that needs the tables of the first start."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Django's hook.

        Raises:
            CommandError: the database does not answer, or it has no tables yet.
        """
        try:
            tables = connection.introspection.table_names()
        except OperationalError as error:
            words = str(error).splitlines()[0]
            raise CommandError(f"The database does not answer ({words}): check TESSERA_DATABASE_URL.") from error
        if Workspace._meta.db_table not in tables:
            raise CommandError(NOT_STARTED.format(settings.DATA_DIR))
        return super().execute(*args, **options)
