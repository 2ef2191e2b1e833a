"""Networks."""

from lit_metarl.networks.mlp import relu_mlp
from lit_metarl.networks.tanh_gaussian import PolicySample, TanhGaussianPolicy

__all__ = ["PolicySample", "TanhGaussianPolicy", "relu_mlp"]
