"""The predictor of MPTS is that of the published code (thu-rllab/MPTS, `MetaRL/MPModel`).

Recorded there (commit 21612fc, torch 2) with the weights, tasks, risks and noise of `wave`: three updates of one
gradient step each with kl_weight 0.1, and after each the acquisition function of six tasks with weights 1 and 5. The
published code takes the posterior before a gradient step as the prior of the next one; as the prior of a whole update,
it was given the posterior that the update began with, as in the paper.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from datamodules.tasks import risk_predictor
from datamodules.tasks.risk_predictor import RiskPredictor, RiskPredictorPlan

ERROR = [0.9502288, 0.9515953, 0.9499927]
KL = [2.5238771, 0.0001071526, 0.0004136607]
ACQUISITION = [
    [0.0609656, 0.0686488, 0.0767359, 0.0708811, 0.0602186, 0.0539991],
    [0.0355438, 0.0402995, 0.0456113, 0.0418548, 0.0306590, 0.0215302],
    [0.0179454, 0.0233398, 0.0253904, 0.0196740, 0.0089071, -0.0029148],
]


def wave(*shape: int, step: float, phase: float = 0.0) -> Tensor:
    """Numbers in [-1, 1] that are the same wherever they are computed."""
    numbers = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(step * numbers + phase).view(shape).float()


def test_errors_divergences_and_acquisition_are_those_of_the_published_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(risk_predictor, "normal", lambda shape, generator, like: 1.2 * wave(*shape, step=0.7))
    generator = torch.Generator()
    predictor = RiskPredictor(2, RiskPredictorPlan(gradient_steps=1, kl_weight=0.1), generator)
    with torch.no_grad():
        for k, layer in enumerate(layer for layer in predictor.modules() if isinstance(layer, nn.Linear)):
            layer.weight.copy_(1.5 * wave(*layer.weight.shape, step=1.3, phase=k) / math.sqrt(layer.in_features))
            layer.bias.copy_(0.1 * wave(*layer.bias.shape, step=0.9, phase=k))
    candidates = 0.5 + 0.5 * wave(6, 2, step=0.31)
    for t in range(3):
        tasks, risks = 0.5 + 0.5 * wave(20, 2, step=0.7, phase=t), wave(20, step=0.45, phase=2 * t)
        error, kl = predictor.update(tasks, (risks - risks.mean()) / risks.std(), generator)
        assert error == pytest.approx(ERROR[t], rel=1e-5)
        assert kl == pytest.approx(KL[t], rel=1e-3, abs=1e-7)
        sampled = predictor.sample_risks(candidates, 50, generator)
        assert (sampled.mean(0) + 5 * sampled.std(0)).tolist() == pytest.approx(ACQUISITION[t], abs=1e-5)
