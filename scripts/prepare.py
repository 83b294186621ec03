"""Readies the database and the static files, makes the first owner, and prints that owner's one-time sign-in link."""

import os
import sys
import time

import django
import redis
from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connection

REDIS_WAIT_S = 10.0


def wait_for_redis(url: str) -> None:
    """Return once Redis answers, or end with one line that says what to do."""
    until = time.monotonic() + REDIS_WAIT_S
    client = redis.Redis.from_url(url)
    while True:
        try:
            client.ping()
        except redis.RedisError as error:
            if time.monotonic() > until:
                sys.exit(f"Redis does not answer ({error}): check TESSERA_REDIS_URL.")
            time.sleep(0.1)
        else:
            client.close()
            return


def main() -> None:
    """Everything that has to be true before the services start; harmless when it is already."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    django.setup()
    try:
        connection.ensure_connection()
    except OperationalError as error:
        sys.exit(f"The database does not answer ({str(error).splitlines()[0]}): check TESSERA_DATABASE_URL.")
    wait_for_redis(settings.REDIS_URL)
    call_command("migrate", verbosity=0, interactive=False)
    call_command("collectstatic", verbosity=0, interactive=False)
    call_command("bootstrap")


if __name__ == "__main__":
    main()
