"""Registers the api app, and the system checks of the whole site with it: this app is loaded last."""

from django.apps import AppConfig
from django.core.checks import register

from webapp import checks


class ApiConfig(AppConfig):
    """Django's handle on this app."""

    name = "webapp.api"

    def ready(self) -> None:
        """Hand the checks to Django."""
        for check in checks.ALL:
            register(check)
