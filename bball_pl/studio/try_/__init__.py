"""The view Try."""
