"""Registers the review app."""

from django.apps import AppConfig


class ReviewConfig(AppConfig):
    """Django's handle on this app."""

    name = "webapp.review"
