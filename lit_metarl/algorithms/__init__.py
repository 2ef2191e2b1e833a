"""The algorithms."""

from lit_metarl.algorithms.base import MetaRLModule
from lit_metarl.algorithms.maml import MAML
from lit_metarl.algorithms.on_policy import OnPolicyModule
from lit_metarl.algorithms.pearl import PEARL
from lit_metarl.algorithms.ppo_plan import PPOPlan, PPOStepsPlan
from lit_metarl.algorithms.rl2 import RL2
from lit_metarl.algorithms.varibad import ELBOPlan, VariBAD

__all__ = [
    "MAML",
    "PEARL",
    "RL2",
    "ELBOPlan",
    "MetaRLModule",
    "OnPolicyModule",
    "PPOPlan",
    "PPOStepsPlan",
    "VariBAD",
]
