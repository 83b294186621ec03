"""Addresses of the studio and of the account page."""

from django.urls import path

from webapp.studio import account, drafts, views

urlpatterns = [
    path("", views.home, name="home"),
    path("w/<slug:slug>/", views.studio, name="studio"),
    path("w/<slug:slug>/drafts/", drafts.drafts, name="drafts"),
    path("accounts/", account.account, name="account"),
    path("accounts/keys/", account.create_key, name="create_key"),
    path("accounts/keys/<uuid:key_id>/revoke/", account.revoke_key, name="revoke_key"),
]
