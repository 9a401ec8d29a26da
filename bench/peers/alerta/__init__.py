"""Alerta, from PyPI, with PostgreSQL."""
