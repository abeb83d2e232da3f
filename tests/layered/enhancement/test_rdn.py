import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from layered.enhancement.rdn import RADIUS, ResidualDenseNetwork


def test_paper_widths_have_the_papers_parameter_count() -> None:
    assert sum(p.numel() for p in ResidualDenseNetwork(64, 32).parameters()) == 658_112


def test_radius_is_the_reach_of_a_feature() -> None:
    torch.manual_seed(0)
    network = ResidualDenseNetwork(4, 4).double()
    image = torch.rand(1, 3, 2 * RADIUS + 9, 1, dtype=torch.float64, requires_grad=True)
    gradient = torch.autograd.grad(network.extract(image)[0, :, RADIUS + 4].sum(), image)[0]
    seen = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
    assert seen.min() >= 4 and seen.max() <= 2 * RADIUS + 4


@settings(max_examples=10)
@given(st.integers(1, 260), st.integers(1, 5))
def test_bands_equal_the_whole(height: int, width: int) -> None:
    torch.manual_seed(0)
    network = ResidualDenseNetwork(4, 4, memory_bytes=1).double()
    image = torch.rand(2, 3, height, width, dtype=torch.float64)
    with torch.no_grad():
        assert (network(image) - network.extract(image)).abs().max() < 1e-12


def test_first_channels_carry_the_image_when_asked() -> None:
    network = ResidualDenseNetwork(8, 4)
    network.pass_image_through()
    image = torch.rand(2, 3, 7, 6)
    features = network(image)
    assert (features[:, :3] - (image - 0.5)).abs().max() < 1e-6
    assert torch.equal(features[:, 3], torch.ones(2, 7, 6))
