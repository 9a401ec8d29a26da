"""Prometheus' Alertmanager, as Debian packages it."""
