"""Splitting: whole groups to train, val and test, and writing the dataset."""
