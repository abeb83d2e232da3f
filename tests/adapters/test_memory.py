"""What modules remember never shows in a result."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from adapters.memory import remembered


class Counted(nn.Linear):
    """Counts how often it is computed."""

    def __init__(self) -> None:
        super().__init__(4, 4)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(Counted(), nn.ReLU(), Counted(), nn.Sequential(Counted(), nn.Tanh())).requires_grad_(False)


def counts(module: nn.Module) -> list[int]:
    return [each.calls for each in module.modules() if isinstance(each, Counted)]


X = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))


def test_what_is_ahead_of_a_changing_module_is_computed_once() -> None:
    net = network()
    moving = net[2]
    assert isinstance(moving, Counted)
    with remembered(net, ("2",)):
        for step in range(4):
            with torch.no_grad():
                moving.weight.add_(0.1)
            found = net(X)
            assert counts(net) == [1, step + 1, step + 1]
            assert torch.equal(found, net[3](moving(net[1](X @ net[0].weight.T + net[0].bias))))  # type: ignore
            moving.calls -= 1


def test_other_inputs_are_computed_anew_and_equal_ones_are_not() -> None:
    net = network()
    wanted = [net(x) for x in (X, X + 1)]
    with remembered(net, ("3",)):
        assert torch.equal(net(X), wanted[0]) and torch.equal(net(X + 1), wanted[1])
        assert torch.equal(net(X), wanted[0]) and torch.equal(net(X.clone()), wanted[0])
        assert counts(net)[0] == 2 + 3
        assert net(X[:1]).shape == (1, 4) and net(X.double().float()).shape == (3, 4)


class Twice(nn.Module):
    """One module at two places, called with two inputs in a pass."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Counted()
        self.again = self.first

    def forward(self, x: Tensor) -> Tensor:
        both: Tensor = self.first(x) + self.again(x + 1)
        return both


def test_a_module_that_is_called_twice_in_a_pass_stays_right() -> None:
    net = Twice().requires_grad_(False)
    wanted = net(X)
    with remembered(net, ()):
        assert torch.equal(net(X), wanted) and torch.equal(net(X), wanted)


def test_a_changing_module_is_left_alone_under_its_other_name_as_well() -> None:
    for name in ("first", "again"):
        net = Twice().requires_grad_(False)
        with remembered(net, (name,)):
            before = net(X)
            net.first.weight.mul_(2)
            assert not torch.equal(net(X), before)


def test_inputs_that_take_gradients_are_never_remembered() -> None:
    net, x = network(), X.clone().requires_grad_(True)
    with remembered(net, ()):
        for _ in range(2):
            (gradient,) = torch.autograd.grad(net(x).sum(), x)
            assert bool(gradient.any())
        assert counts(net)[0] == 2
        with torch.no_grad():  # outputs may be written to
            net(X)
            net(X)
        assert counts(net)[0] == 4


def test_what_was_written_to_is_forgotten() -> None:
    net = network()
    first, x = net[0], X.clone()
    with remembered(net, ()):
        wanted = first(x).clone()
        first(x).zero_()
        assert torch.equal(first(x), wanted)
        x.add_(1)
        assert not torch.equal(first(x), wanted)


def test_lists_of_modules_are_looked_into() -> None:
    net = nn.ModuleDict({"listed": nn.ModuleList([Counted(), Counted()])}).requires_grad_(False)
    listed = net["listed"]
    assert isinstance(listed, nn.ModuleList)
    with remembered(net, ()):
        for _ in range(3):
            listed[1](X)
    assert counts(net) == [0, 1]


def test_every_patch_is_removed_even_by_an_exception() -> None:
    net = network()
    with pytest.raises(RuntimeError), remembered(net, ("2",)):
        assert any("forward" in vars(module) for module in net.modules())
        net(X[:, :2])
    assert not any("forward" in vars(module) for module in net.modules())
