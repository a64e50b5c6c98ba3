"""Prediction: photos and videos to answers."""
