"""Registers the studio app."""

from django.apps import AppConfig


class StudioConfig(AppConfig):
    """Django's handle on this app."""

    name = "webapp.studio"
