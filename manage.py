#!/usr/bin/env python
"""Django's command line for the site: `manage.py help` lists the commands."""

import os
import sys

from django.core.management import execute_from_command_line

from webapp.env import NOT_STARTED, read_environment

OF_A_STARTED_STUDIO = ("block_term", "bootstrap", "create_api_key")


def refuse_before_the_first_start(arguments: list[str]) -> None:
    """End before the settings, which make a secret key in any folder, when this one holds no database."""
    environment = read_environment()
    has_database = bool(environment.database_url) or (environment.data_dir / "tessera.sqlite3").exists()
    if arguments[:1] and arguments[0] in OF_A_STARTED_STUDIO and "--help" not in arguments and not has_database:
        sys.exit(f"CommandError: {NOT_STARTED.format(environment.data_dir.resolve())}")


if __name__ == "__main__":
    refuse_before_the_first_start(sys.argv[1:])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    execute_from_command_line(sys.argv)
