"""Address of the policy."""

from django.urls import path

from webapp.safety import views

urlpatterns = [path("w/<slug:slug>/policy/", views.policy, name="policy")]
