"""The view Sort."""
