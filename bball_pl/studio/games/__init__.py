"""The view Games."""
