"""Registers the safety app."""

from django.apps import AppConfig


class SafetyConfig(AppConfig):
    """Django's handle on this app."""

    name = "webapp.safety"
