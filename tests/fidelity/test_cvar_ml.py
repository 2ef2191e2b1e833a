"""D5: how strong the policy term of CVaR-ML is on KhazadDum, in both forms of `cvar_rest`.

Recorded with `OnlineStorage._compute_returns` and the normalization in `PPO.update` of the published code of RoML
(ido90/RobustMetaRL), given the rewards, values and time limits of these very trials: 32 trials of untrained agents with
the published settings, of which the worst one is kept. The mean is over the steps that PPO learns from, so that with
`zero_advantage` it says how strong the policy term is against the entropy, which every step adds to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch
import yaml

from datamodules.collection import Collector, as_sequences
from envs import KhazadDum
from lit_metarl.algorithms import PPOPlan, VariBAD
from lit_metarl.algorithms.on_policy import PolicySamples

CONFIGS = Path(__file__).parents[2] / "configs" / "published" / "roml"
RECORDED = {  # by seed; "left_out": the same normalization, of the kept trial alone
    "zero_advantage": [0.3242, 0.3217, 0.3186, 0.3230, 0.3236, 0.3216],
    "left_out": [0.7764, 0.7836, 0.7990, 0.8039, 0.7937, 0.8080],
}
TOLERANCE = 0.01  # weights and actions of another release of torch may differ


def policy_samples(rest: Literal["zero_advantage", "left_out"], seed: int) -> PolicySamples:
    base, method = (yaml.safe_load((CONFIGS / f"khazad_dum{name}.yaml").read_text()) for name in ("", "_cvar_ml"))
    settings = {**base["model"]["init_args"], **method["model"]["init_args"], "cvar_rest": rest}
    settings["ppo"] = PPOPlan(**settings["ppo"])
    collection = base["data"]["collection"]
    tasks, episodes = collection["tasks_per_iteration"], collection["adapted_episodes"]
    torch.manual_seed(seed)
    model = VariBAD(KhazadDum.meta_spec, **settings)
    env, generator = KhazadDum(tasks, seed), torch.Generator().manual_seed(seed)
    trials = Collector(env).collect(model, env.task_distribution.sample(tasks, generator), episodes, generator)
    return model.policy_samples(as_sequences(trials), trials.returns)


@pytest.mark.parametrize(("rest", "steps"), [("zero_advantage", 32 * 4 * 32), ("left_out", 4 * 32)])
def test_mean_absolute_advantages_are_those_of_the_published_computation(
    rest: Literal["zero_advantage", "left_out"], steps: int
) -> None:
    for seed, recorded in enumerate(RECORDED[rest]):
        advantage = policy_samples(rest, seed).advantage
        assert len(advantage) == steps
        assert float(advantage.abs().mean()) == pytest.approx(recorded, abs=TOLERANCE)


def test_the_published_configuration_keeps_the_other_trials() -> None:
    configuration = yaml.safe_load((CONFIGS / "khazad_dum_cvar_ml.yaml").read_text())
    assert configuration["model"]["init_args"]["cvar_rest"] == "zero_advantage"
