"""Addresses of the studio and of the account page."""

from django.urls import path

from webapp.studio import account, drafts, drift, views

urlpatterns = [
    path("", views.home, name="home"),
    path("w/<slug:slug>/", views.studio, name="studio"),
    path("w/<slug:slug>/drafts/", drafts.drafts, name="drafts"),
    path("w/<slug:slug>/drift/", drift.drift, name="drift"),
    path("nets/<str:net>/map", drift.atlas, name="drift_atlas"),
    path("accounts/", account.account, name="account"),
    path("accounts/keys/", account.create_key, name="create_key"),
    path("accounts/keys/<uuid:key_id>/revoke/", account.revoke_key, name="revoke_key"),
]
