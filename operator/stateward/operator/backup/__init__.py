"""Backups of services, restores of backups, and restores on trial."""
