"""Addresses that everybody may visit: the verify page and the studio's root certificate."""

from django.urls import path

from webapp.provenance import views

urlpatterns = [
    path("verify/", views.verify, name="verify"),
    path(".well-known/tessera/root.pem", views.root_certificate, name="root_certificate"),
]
