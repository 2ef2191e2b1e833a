"""Networks."""

from lit_metarl.networks.frozen import evaluate
from lit_metarl.networks.mlp import relu_mlp
from lit_metarl.networks.tanh_gaussian import PolicySample, TanhGaussianPolicy, bounded, squash

__all__ = ["PolicySample", "TanhGaussianPolicy", "bounded", "evaluate", "relu_mlp", "squash"]
