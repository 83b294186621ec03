"""Addresses of signing in that are ours; the others are allauth's."""

from django.urls import path

from webapp.accounts.views import SignInLinkView

urlpatterns = [path("link/", SignInLinkView.as_view(), name="sign_in_link")]
