"""From collected photos to a dataset: audit, duplicates, leaks, doubtful labels, quarantine, split."""
