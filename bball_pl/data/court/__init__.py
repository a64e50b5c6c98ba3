"""The demo court's renderer: a game, its scenes, and photos of them."""
