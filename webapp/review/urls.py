"""Addresses of reviews and appeals."""

from django.urls import path, register_converter

from webapp.review import views
from webapp.safety.models import Decision


class TaskConverter:
    """`held`, `appeal` or `recheck` in an address."""

    regex = "|".join(Decision.Task.values)

    def to_python(self, value: str) -> Decision.Task:
        """Django's hook."""
        return Decision.Task(value)

    def to_url(self, value: str) -> str:
        """Django's hook."""
        return str(value)


register_converter(TaskConverter, "task")

urlpatterns = [
    path("w/<slug:slug>/review/", views.queue, name="review"),
    path("w/<slug:slug>/review/<task:task>/<uuid:artifact_id>/", views.queue, name="review_item"),
    path("w/<slug:slug>/review/<task:task>/<uuid:artifact_id>/reveal/", views.reveal, name="review_reveal"),
    path("w/<slug:slug>/review/<task:task>/<uuid:artifact_id>/decide/", views.decide, name="review_decide"),
    path("artifacts/<uuid:artifact_id>/appeal/", views.appeal, name="appeal"),
]
