"""Registers the catalog app."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """Django's handle on this app."""

    name = "webapp.catalog"
