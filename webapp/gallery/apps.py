"""Registers the gallery app."""

from django.apps import AppConfig


class GalleryConfig(AppConfig):
    """Django's handle on this app."""

    name = "webapp.gallery"
