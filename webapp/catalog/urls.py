"""Addresses of the catalogue. Screens and audits stand beside /nets/, where any name may be a net's."""

from django.urls import path

from webapp.catalog import views

urlpatterns = [
    path("nets/", views.nets, name="nets"),
    path("nets/<str:name>/", views.net, name="net"),
    path("nets/<str:name>/attributions/", views.attributions, name="attributions"),
    path("screens/<str:name>/", views.screen, name="screen"),
    path("audits/", views.audits, name="audits"),
    path("audits/<str:name>/", views.audit, name="audit_document"),
]
