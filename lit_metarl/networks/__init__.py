"""Networks."""

from lit_metarl.networks.acting import ActingNetworks
from lit_metarl.networks.action_distributions import (
    ActionBounds,
    ActionDistribution,
    CategoricalActions,
    GaussianActions,
    action_distribution,
)
from lit_metarl.networks.actor_critic import ActorCritic, Initialization, initialized
from lit_metarl.networks.decoders import StateHeads, StepDecoder
from lit_metarl.networks.frozen import evaluate_frozen
from lit_metarl.networks.hypernetwork import GeneratedLinear, HypernetworkPlan
from lit_metarl.networks.mlp import MLPInitialization, build_mlp
from lit_metarl.networks.network_plan import Activation, NetworkPlan, Normalization
from lit_metarl.networks.recurrent_belief import RecurrentEncoder, RecurrentEncoderPlan
from lit_metarl.networks.running_moments import RunningMoments
from lit_metarl.networks.tanh_gaussian import PolicySample, TanhGaussianPolicy, bounded, squash
from lit_metarl.networks.task_linear import TaskLinear
from lit_metarl.networks.task_policy import TaskPolicy
from lit_metarl.networks.unwrapped import Unwrapped, calls_of

__all__ = [
    "ActingNetworks",
    "ActionBounds",
    "ActionDistribution",
    "Activation",
    "ActorCritic",
    "CategoricalActions",
    "GaussianActions",
    "GeneratedLinear",
    "HypernetworkPlan",
    "Initialization",
    "MLPInitialization",
    "NetworkPlan",
    "Normalization",
    "PolicySample",
    "RecurrentEncoder",
    "RecurrentEncoderPlan",
    "RunningMoments",
    "StateHeads",
    "StepDecoder",
    "TanhGaussianPolicy",
    "TaskLinear",
    "TaskPolicy",
    "Unwrapped",
    "action_distribution",
    "bounded",
    "build_mlp",
    "calls_of",
    "evaluate_frozen",
    "initialized",
    "squash",
]
