"""A modular trainer for meta-reinforcement-learning on PyTorch Lightning."""
