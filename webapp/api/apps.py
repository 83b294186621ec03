"""Registers the api app."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """Django's handle on this app."""

    name = "webapp.api"
