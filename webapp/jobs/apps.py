"""Registers the jobs app."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Django's handle on this app."""

    name = "webapp.jobs"
