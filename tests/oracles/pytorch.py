"""The cases as PyTorch computes them: python -m tests.oracles.pytorch writes them down anew.

Recorded with PyTorch 2.13.0 in tests/reference/pytorch.json, so that whoever has no PyTorch can
still be held against it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tests.oracles.cases import BATCH, CASES, EPOCHS, RATE, SAMPLES, UPDATES, Case, initial, samples

RECORD = Path(__file__).parents[1] / "reference" / "pytorch.json"
F64 = torch.float64
torch.set_default_dtype(F64)  # else NAdam keeps a product of single precision


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, z: Any) -> Any:
        return self.function(z)


def activation(name: str) -> nn.Module:
    """PyTorch's own, or, where it has none, the textbook's formula for autograd to derive."""
    if name == "prelu":
        return nn.PReLU(4, dtype=F64)
    functions: dict[str, Any] = {
        "logistic": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": functional.relu,
        "linear": lambda z: z,
        "softmax": lambda z: torch.softmax(z, dim=-1),
        "bipolar_logistic": lambda z: 2 * torch.sigmoid(z) - 1,
        "scaled_tanh": lambda z: 1.7159 * torch.tanh(2 / 3 * z),
        # Not PyTorch's hardsigmoid, whose 1/6 is of single precision.
        "hard_logistic": lambda z: torch.clamp(z / 6 + 0.5, 0, 1),
        "hard_tanh": functional.hardtanh,
        "linear_piece": lambda z: torch.clamp(z, 0, 1),
        "elliott": lambda z: z / 2 / (1 + z.abs()) + 0.5,
        "softsign": functional.softsign,
        "leaky_relu": functional.leaky_relu,
        "elu": functional.elu,
        "selu": functional.selu,
        "gelu": functional.gelu,
        "gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"),
        "silu": functional.silu,
        "mish": functional.mish,
        "softplus": functional.softplus,
        "sine": torch.sin,
        "cosine": torch.cos,
        "gaussian": lambda z: torch.exp(-z * z),
        "gaussian_symmetric": lambda z: 2 * torch.exp(-z * z) - 1,
    }
    return Apply(functions[name])


def losses(case: Case, z: Any, y: Any, t: Any) -> Any:
    """The loss of each sample (B,), from net outputs z, outputs y and targets t."""
    if case.loss == "cross_entropy":
        smoothing = case.loss_settings.get("label_smoothing", 0.0)
        return functional.cross_entropy(z, t, label_smoothing=smoothing, reduction="none")
    if case.loss == "binary_cross_entropy":
        s = case.loss_settings.get("label_smoothing", 0.0)
        target = t * (1 - s) + s / 2
        return functional.binary_cross_entropy_with_logits(z, target, reduction="none").mean(-1)
    if case.loss == "cosine":
        return 1 - functional.cosine_similarity(y, t, eps=1e-12)
    e = t - y
    q = case.loss_settings.get("q", 0.5)
    functions: dict[str, Any] = {
        "half_squared_error": lambda: (e * e).sum(-1) / 2,
        "mean_squared_error": lambda: functional.mse_loss(y, t, reduction="none").mean(-1),
        "sum_squared_error": lambda: functional.mse_loss(y, t, reduction="none").sum(-1),
        "mean_absolute_error": lambda: functional.l1_loss(y, t, reduction="none").mean(-1),
        "huber": lambda: functional.huber_loss(y, t, delta=0.4, reduction="none").mean(-1),
        "log_cosh": lambda: torch.log(torch.cosh(e)).mean(-1),
        "hinge": lambda: torch.clamp(1 - t * y, min=0).mean(-1),
        "squared_hinge": lambda: (torch.clamp(1 - t * y, min=0) ** 2).mean(-1),
        "poisson": lambda: functional.poisson_nll_loss(
            y, t, log_input=False, reduction="none"
        ).mean(-1),
        "quantile": lambda: torch.maximum(q * e, (q - 1) * e).mean(-1),
    }
    return functions[case.loss]()


def optimizer(case: Case, parameters: Any) -> Any:
    """PyTorch's optimizer with the same settings."""
    said = dict(case.optimizer_settings)
    decay = {"lr": RATE, "weight_decay": said.get("weight_decay", 0.0)}
    optim = torch.optim
    makers: dict[str, Any] = {
        "sgd": lambda: optim.SGD(
            parameters,
            momentum=said.get("momentum", 0.0),
            nesterov=said.get("nesterov", False),
            **decay,
        ),
        "adagrad": lambda: optim.Adagrad(
            parameters, initial_accumulator_value=said["initial_accumulator"], **decay
        ),
        "adadelta": lambda: optim.Adadelta(parameters, **decay),
        "rmsprop": lambda: optim.RMSprop(
            parameters, centered="centred" in said, momentum=said.get("momentum", 0.0), **decay
        ),
        "adam": lambda: optim.Adam(parameters, **decay),
        "adamw": lambda: optim.AdamW(parameters, **decay),
        "amsgrad": lambda: optim.Adam(parameters, amsgrad=True, **decay),
        "nadam": lambda: optim.NAdam(
            parameters, decoupled_weight_decay=said.get("decoupled", False), **decay
        ),
        "radam": lambda: optim.RAdam(parameters, **decay),
        "adamax": lambda: optim.Adamax(parameters, **decay),
        "irprop_minus": lambda: optim.Rprop(parameters, lr=RATE),
        "lbfgs": lambda: optim.LBFGS(
            parameters,
            lr=said["learning_rate"],
            max_iter=1,
            history_size=5,
            tolerance_grad=0,
            tolerance_change=0,
        ),
    }
    return makers[case.optimizer]()


def schedule(case: Case, optim: Any) -> Any:
    """PyTorch's schedule with the same settings, stepped once an epoch (one_cycle: an update)."""
    said, lr = case.schedule_settings, torch.optim.lr_scheduler
    if said.get("warmup"):
        warm = lr.LinearLR(optim, start_factor=0.2, total_iters=5)
        after = lr.StepLR(optim, said["every"], said["gamma"])
        return lr.SequentialLR(optim, [warm, after], milestones=[5])
    makers: dict[str, Any] = {
        "constant": lambda: lr.ConstantLR(optim, factor=1.0),
        "step": lambda: lr.StepLR(optim, said["every"], said["gamma"]),
        "multi_step": lambda: lr.MultiStepLR(optim, list(said["milestones"]), said["gamma"]),
        "exponential": lambda: lr.ExponentialLR(optim, said["gamma"]),
        "inverse_time": lambda: lr.LambdaLR(optim, lambda t: 1 / (1 + said["decay"] * t)),
        "inverse_sqrt": lambda: lr.LambdaLR(
            optim, lambda t: math.sqrt(said["start"] / max(t, said["start"]))
        ),
        "polynomial": lambda: lr.PolynomialLR(optim, total_iters=EPOCHS, power=2.0),
        "cosine": lambda: (
            lr.CosineAnnealingWarmRestarts(optim, T_0=3, T_mult=2, eta_min=0.01 * RATE)
            if "period" in said
            else lr.CosineAnnealingLR(optim, T_max=EPOCHS, eta_min=0.1 * RATE)
        ),
        "one_cycle": lambda: lr.OneCycleLR(
            optim, max_lr=RATE, total_steps=UPDATES, cycle_momentum=False
        ),
        "reduce_on_plateau": lambda: lr.ReduceLROnPlateau(
            optim, factor=0.3, patience=1, threshold=0.02, threshold_mode="abs"
        ),
    }
    return makers[case.schedule]()


class Twin(nn.Module):
    """The network 3-4-2."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.hidden, self.output = nn.Linear(3, 4, dtype=F64), nn.Linear(4, 2, dtype=F64)
        norms: dict[str | None, Any] = {
            None: lambda: None,
            "batch_norm": lambda: nn.BatchNorm1d(4, dtype=F64),
            "layer_norm": lambda: nn.LayerNorm(4, dtype=F64),
        }
        self.norm = norms[case.normalization]()
        self.activations = nn.ModuleList([activation(case.hidden), activation(case.output)])

    def forward(self, x: Any) -> tuple[Any, Any]:
        net = self.hidden(x)
        if self.norm is not None:
            net = self.norm(net)
        z = self.output(self.activations[0](net))
        return z, self.activations[1](z)

    def arrays(self) -> list[Any]:
        """Every array in the order of our theta."""
        first = [self.hidden.weight, self.hidden.bias]
        if self.norm is not None:
            first += [self.norm.weight, self.norm.bias]
            if isinstance(self.norm, nn.BatchNorm1d):
                first += [self.norm.running_mean, self.norm.running_var]
        first += list(self.activations[0].parameters())
        return [*first, self.output.weight, self.output.bias]

    def load(self, theta: Any) -> None:
        """Take every number from theta (P,)."""
        start = 0
        with torch.no_grad():
            for array in self.arrays():
                part = theta[start : start + array.numel()].reshape(tuple(array.shape))
                array.copy_(torch.from_numpy(part))
                start += array.numel()

    def theta(self) -> Any:
        """All numbers as one vector."""
        return np.concatenate([array.detach().numpy().ravel() for array in self.arrays()])


def clip(case: Case, parameters: list[Any]) -> None:
    """Hold the gradients in. PyTorch's own clip by norm adds 1e-6, so it is written out."""
    if case.clip == "value":
        nn.utils.clip_grad_value_(parameters, 0.05)
    grads = [p.grad for p in parameters]
    if case.clip == "norm":
        for g in grads:
            g.mul_(min(1.0, 0.05 / float(g.norm())))
    if case.clip == "global_norm":
        whole = float(torch.cat([g.ravel() for g in grads]).norm())
        for g in grads:
            g.mul_(min(1.0, 0.05 / whole))


def theirs(case: Case) -> Any:
    """Theta (P,) after a hundred updates by PyTorch."""
    X, T, W = (torch.from_numpy(each) for each in samples(case))
    twin = Twin(case)
    twin.load(initial(case))
    twin.train()
    optim = optimizer(case, list(twin.parameters()))
    scheduler = schedule(case, optim)
    batch = SAMPLES if case.full_batch else BATCH
    for _ in range(UPDATES * batch // SAMPLES):
        total = 0.0
        for start in range(0, SAMPLES, batch):
            rows = slice(start, start + batch)

            def closure(rows: slice = rows) -> Any:
                optim.zero_grad()
                z, y = twin(X[rows])
                each = losses(case, z, y, T[rows])
                loss = (each * W[rows] if case.weights else each).mean()
                whole = loss
                for w in (twin.hidden.weight, twin.output.weight):
                    whole = whole + case.l1 * w.abs().sum() + case.l2 / 2 * (w * w).sum()
                whole.backward()
                clip(case, list(twin.parameters()))
                return loss.detach()

            total += float(optim.step(closure)) * batch
            if case.schedule == "one_cycle":
                scheduler.step()
        if case.schedule == "reduce_on_plateau":
            scheduler.step(total / SAMPLES)
        elif case.schedule != "one_cycle":
            scheduler.step()
    return twin.theta()


def main() -> None:
    """Write every case's result down."""
    torch.set_num_threads(1)
    results = {name: theirs(case).tolist() for name, case in CASES.items()}
    record = {"source": f"PyTorch {torch.__version__}", "theta_after_100_updates": results}
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
