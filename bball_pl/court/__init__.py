"""The rendered court: games, scenes and photos of them, and datasets of such photos."""
