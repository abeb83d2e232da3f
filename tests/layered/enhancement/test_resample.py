from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from layered.enhancement.resample import Bicubic, Cells, cells, row_blocks

length = st.integers(1, 40)
like = torch.zeros((), dtype=torch.float64)


@given(length, length)
def test_every_sample_lies_in_its_cell(source: int, target: int) -> None:
    found = cells(source, target, like)
    assert bool(((found.index >= 0) & (found.index < source)).all())
    assert bool(((found.offset >= -1) & (found.offset < 1)).all())
    centre = (torch.arange(target, dtype=torch.float64) + 0.5) / target * source
    assert torch.allclose(found.index + 0.5 + found.offset / 2, centre, atol=1e-12)
    assert found.pitch == 2 * source / target


def test_ties_at_one_and_a_half_go_to_the_cell_after_the_border() -> None:
    found = cells(4, 6, like)  # centres 1/3, 1, 5/3, 7/3, 3, 11/3: the second and fifth lie on borders
    assert found.index.tolist() == [0, 1, 1, 2, 3, 3]
    assert found.offset[[1, 4]].tolist() == [-1.0, -1.0]


def test_shifted_cells_are_the_two_neighbours_clamped_to_the_picture() -> None:
    assert cells(3, 6, like, -1).index.tolist() == [0, 0, 0, 1, 1, 2]
    assert cells(3, 6, like, 1).index.tolist() == [0, 1, 1, 2, 2, 2]
    assert cells(3, 6, like, 1).offset.tolist() == [-0.5, -1.5, -0.5, -1.5, -0.5, 0.5]


@given(length, length, st.integers(-3, 60))
def test_row_blocks_cover_every_row_once_and_share_no_cell(source: int, target: int, limit: int) -> None:
    index = cells(source, target, like).index.tolist()
    blocks = row_blocks(index, limit)
    parts = [part for block in blocks for part in block.parts]
    assert [i for top, bottom in parts for i in range(top, bottom)] == list(range(target))
    assert all(bottom - top <= max(1, limit) for top, bottom in parts)
    assert all(before.stop <= after.start for before, after in pairwise(blocks))
    for block in blocks:
        rows = range(block.parts[0][0], block.parts[-1][1])
        assert all(block.start <= index[i] < block.stop for i in rows)


def test_a_part_counts_cells_from_its_origin() -> None:
    part = Cells(torch.tensor([3, 4, 5]), torch.tensor([0.1, 0.2, 0.3]), 1.0).part(1, 3, 4)
    assert part.index.tolist() == [0, 1]
    assert part.offset.tolist() == pytest.approx([0.2, 0.3])


def pillow(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    planes = [
        np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))
        for plane in image[0].numpy()
    ]
    return torch.from_numpy(np.stack(planes))[None]


@given(length, length, length, length)
def test_bicubic_equals_pillow(h: int, w: int, height: int, width: int) -> None:
    image = torch.rand(1, 3, h, w, generator=torch.Generator().manual_seed(h * w))
    assert (Bicubic()(image, height, width) - pillow(image, height, width)).abs().max() < 1e-5


@given(length, length)
def test_bicubic_at_equal_size_is_the_identity(height: int, width: int) -> None:
    image = torch.rand(2, 3, height, width, dtype=torch.float64)
    assert torch.equal(Bicubic()(image, height, width), image)


def test_bicubic_keeps_constants_and_precision() -> None:
    image = torch.full((1, 3, 1, 7), 0.3, dtype=torch.float64)
    answer = Bicubic()(image, 5, 11)
    assert answer.shape == (1, 3, 5, 11)
    assert (answer - 0.3).abs().max() < 1e-15


def test_bicubic_passes_gradients() -> None:
    image = torch.rand(1, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: Bicubic()(x, 5, 6), (image,))
