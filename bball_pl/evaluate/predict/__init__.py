"""Photos and videos to answers: what scripts/predict.py is made of."""
