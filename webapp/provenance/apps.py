"""Registers the provenance app."""

from django.apps import AppConfig


class ProvenanceConfig(AppConfig):
    """Django's handle on this app."""

    name = "webapp.provenance"
