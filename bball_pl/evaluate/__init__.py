"""Evaluation: a trained model's predictions, figures, calibration, explanations, comparison and report."""
