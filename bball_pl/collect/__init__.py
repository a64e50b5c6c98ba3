"""Collecting: sources, the inbox, sanitising and polite HTTP."""
