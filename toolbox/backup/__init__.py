"""Backups: all that the database holds, in one file, and back."""
