"""Addresses of what was made; the bytes are in `downloads.py`."""

from django.urls import path

from webapp.gallery import downloads, upload_views, views

urlpatterns = [
    path("w/<slug:slug>/gallery/", views.gallery, name="gallery"),
    path("artifacts/<uuid:artifact_id>/", views.artifact, name="artifact"),
    path("artifacts/<uuid:artifact_id>/content", downloads.artifact_content, name="artifact_content"),
    path("artifacts/<uuid:artifact_id>/thumbnail", downloads.artifact_thumbnail, name="artifact_thumbnail"),
    path("artifacts/<uuid:artifact_id>/credentials", downloads.artifact_credentials, name="artifact_credentials"),
    path("w/<slug:slug>/uploads/", upload_views.create_upload, name="create_upload"),
    path("uploads/<uuid:upload_id>/content", upload_views.upload_content, name="upload_content"),
]
