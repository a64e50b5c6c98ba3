"""Auditing: copies, leaks, doubtful labels, quality, licences, quarantine and the page."""
