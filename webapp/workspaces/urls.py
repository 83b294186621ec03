"""Addresses of the audit log."""

from django.urls import path

from webapp.workspaces import views

urlpatterns = [
    path("w/<slug:slug>/audit/", views.audit_log, name="audit"),
    path("w/<slug:slug>/audit/download", views.audit_download, name="audit_download"),
]
