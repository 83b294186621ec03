"""Addresses of jobs."""

from django.urls import path

from webapp.jobs import views

urlpatterns = [
    path("w/<slug:slug>/queue/", views.queue, name="queue"),
    path("jobs/<uuid:job_id>/", views.job, name="job"),
    path("jobs/<uuid:job_id>/cancel/", views.cancel, name="job_cancel"),
]
