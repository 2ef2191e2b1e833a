"""How parameters are changed, for any objective."""
