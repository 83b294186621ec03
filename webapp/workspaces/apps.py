"""Registers the workspaces app."""

from django.apps import AppConfig


class WorkspacesConfig(AppConfig):
    """Django's handle on this app."""

    name = "webapp.workspaces"
