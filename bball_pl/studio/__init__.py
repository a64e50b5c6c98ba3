"""The studio: a local page to sort photos, review errors, try models and look at runs."""
