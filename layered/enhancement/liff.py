"""LIFF, the local implicit filter function of COMPASS (Park et al. 2023): a filter of its own for every predicted pixel."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from layered.enhancement.rdn import ResidualDenseNetwork
from layered.enhancement.resample import Block, Cells, cells, keys, row_blocks
from layered.errors import OptionError

__all__ = ["LIFF"]

INITS = ("bicubic", "nearest", "default")


class LIFF(nn.Module):
    """Predicts [B,3,height,width] (unclamped) from an image [B,3,h,w] in [0, 1], any sizes from 1x1.

    An MLP sees the 3x3 neighbourhood of features around the nearest cell, the pixel's offset from that cell and the pixel's
    size, and answers with a 3x3 filter from features to RGB, applied to the same neighbourhood. The 9*3*features wide filter
    is never formed: neighbourhoods are constant within a cell, so the first layer's share of them and their product with the
    last layer are two convolutions of the feature map, and per pixel only the hidden layers remain.

    `features`, `growth` and `hidden` are widths (64, 32, 256 in the paper); `init` is "bicubic" (starts as a 3x3 bicubic
    filter), "nearest" (starts as nearest neighbour) or "default" (the paper's: PyTorch's own); `generator` seeds the weights
    of the first two; `memory_bytes` bounds the working memory without autograd. Raises OptionError for another `init`.
    """

    def __init__(
        self,
        features: int = 64,
        growth: int = 32,
        hidden: int = 256,
        init: str = "bicubic",
        memory_bytes: int = 1 << 28,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if init not in INITS:
            raise OptionError(f"init of liff is {init!r}; it must be one of {', '.join(INITS)}")
        self.memory_bytes = memory_bytes
        self.encoder = ResidualDenseNetwork(features, growth, memory_bytes)
        self.first = nn.Linear(9 * features + 4, hidden)
        self.middle = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(3))
        self.last = nn.Linear(hidden, 9 * features * 3)
        if init != "default":
            self.encoder.pass_image_through()
            self.start_as_interpolation(init, generator)

    def forward(self, image: Tensor, height: int, width: int) -> Tensor:
        features = F.pad(self.encoder(image), (1, 1, 1, 1)).contiguous(memory_format=torch.channels_last)
        down, across = (cells(size, n, image) for size, n in zip(image.shape[2:], (height, width), strict=True))
        kernel, head = self.kernel(), self.head(image, height, width, across)
        blocks = row_blocks(down.index.tolist(), pixels_at_once(image, self.last.in_features, self.memory_bytes) // width)
        pictures = []
        for feature in features.split(1):
            rows = []
            for block, values in zip(blocks, per_cell(feature, kernel, blocks), strict=True):
                for top, bottom in block.parts:
                    rows.append(without_storing(head, values, down.part(top, bottom, block.start)))
            pictures.append(torch.cat(rows))
        return torch.stack(pictures).permute(0, 3, 1, 2)

    def kernel(self) -> tuple[Tensor, Tensor]:
        """Weights [4*hidden + 3, features, 3, 3] and biases of the convolution that yields all per-cell quantities."""
        hidden, taps = self.last.in_features, self.last.out_features // 3
        entry = self.first.weight[:, :taps]
        product = self.last.weight.view(taps, 3, hidden).permute(1, 2, 0).reshape(3 * hidden, taps)
        constant = self.last.bias.view(taps, 3).T
        weight = torch.cat((entry, product, constant)).view(-1, taps // 9, 3, 3)
        return weight, F.pad(self.first.bias, (0, weight.shape[0] - hidden))

    def head(self, image: Tensor, height: int, width: int, across: Cells) -> "Head":
        """The function from per-cell quantities [r,w,4*hidden+3] of some cell rows to the pixels [rows,width,3] in them."""
        hidden = self.last.in_features
        dy, dx, py, px = self.first.weight[:, -4:].T
        x = across.offset[:, None] * dx + (across.pitch * px + 2 * image.shape[2] / height * py)
        middle = [(layer.weight, layer.bias) for layer in self.middle]
        most = -(-height // image.shape[2]), -(-width // image.shape[3])

        def answer(values: Tensor, down: Cells) -> Tensor:
            entry, product, constant = values.split((hidden, 3 * hidden, 3), 2)
            h = entry.index_select(0, down.index) + (down.offset[:, None] * dy)[:, None]
            h = F.relu(h.index_select(1, across.index) + x, inplace=True).flatten(0, 1)
            for weight, bias in middle:
                h = F.relu(F.linear(h, weight, bias), inplace=True)
            # One product per cell, of all its pixels: cells with fewer than `most` pixels repeat some, which nothing reads.
            slot, place = slots(down.index, across.index, values.shape[:2], most)
            h = h.index_select(0, slot).view(-1, most[0] * most[1], hidden)
            rgb = torch.baddbmm(constant.reshape(-1, 1, 3), h, product.reshape(-1, 3, hidden).transpose(1, 2))
            return rgb.flatten(0, 1).index_select(0, place).view(len(down.index), -1, 3)

        return answer

    @torch.no_grad()
    def start_as_interpolation(self, init: str, generator: torch.Generator | None) -> None:
        """Random hidden layers that see only offsets, and a last layer fitted to an interpolation filter of channels 0..2."""
        taps = self.last.out_features // 3
        hidden = self.first.out_features
        self.first.weight[:, :taps] = 0
        self.first.weight[:, taps : taps + 2].normal_(0, 1, generator=generator)
        self.first.weight[:, taps + 2 :].normal_(0, 0.1, generator=generator)
        self.first.bias.uniform_(-1, 1, generator=generator)
        for layer in self.middle:
            layer.weight.normal_(0, (2 / hidden) ** 0.5, generator=generator)  # type: ignore[operator]
            layer.bias.uniform_(-0.1, 0.1, generator=generator)  # type: ignore[operator]
        self.last.weight.normal_(0, 1e-4 / hidden**0.5, generator=generator)
        self.last.bias.zero_()
        weight, bias = self.last.weight.view(taps // 9, 9, 3, hidden), self.last.bias.view(taps // 9, 9, 3)
        filters = self.fit(nearest if init == "nearest" else cubic)
        for channel in range(3):
            weight[channel, :, channel] = filters[:, :-1].to(weight)
            bias[channel, :, channel] = filters[:, -1].to(bias)

    def fit(self, target: "FilterRule", ridge: float = 1e-6) -> Tensor:
        """Least-squares last-layer weights and bias [9, hidden + 1] that make the hidden layers answer `target`."""
        grid = torch.linspace(-1, 1, 21, dtype=torch.float64)
        pitch = torch.tensor([0.25, 0.5, 1.0, 4 / 3, 2.0], dtype=torch.float64)
        dy, dx, py, px = (axis.flatten() for axis in torch.meshgrid(grid, grid, pitch, pitch, indexing="ij"))
        h = torch.stack((dy, dx, py, px), 1) @ self.first.weight[:, -4:].double().T + self.first.bias.double()
        for layer in self.middle:
            h = F.linear(F.relu(h), layer.weight.double(), layer.bias.double())  # type: ignore[operator, arg-type]
        design = F.pad(F.relu(h), (0, 1), value=1.0)
        wanted = (target(dy)[:, :, None] * target(dx)[:, None, :]).flatten(1)
        gram = design.T @ design
        gram += ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
        return torch.linalg.solve(gram, design.T @ wanted).T


FilterRule = Callable[[Tensor], Tensor]


def nearest(offset: Tensor) -> Tensor:
    """Weights [n,3] of the cells before, at and after the nearest one: all on the nearest."""
    return torch.tensor([0.0, 1.0, 0.0], dtype=offset.dtype).expand(len(offset), 3)


def cubic(offset: Tensor) -> Tensor:
    """Weights [n,3] of Keys' cubic at offsets [n] in half cells; the fourth tap, out of reach, is folded into its neighbour."""
    t = offset / 2
    position = torch.arange(-2, 3, dtype=offset.dtype)
    weight = keys((t[:, None] - position).abs())
    return torch.stack((weight[:, 0] + weight[:, 1], weight[:, 2], weight[:, 3] + weight[:, 4]), 1)


Head = Callable[[Tensor, Cells], Tensor]


def slots(down: Tensor, across: Tensor, size: Sequence[int], most: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pixels ordered by cell: `slot` [r*w*most0*most1] is the pixel in each place of each cell, `place` [n*m] the inverse.

    `down` [n] and `across` [m] are the cells (below `size`) of rows and columns in rising order, at most `most` in one cell.
    """
    pixel, position = [], []
    for index, cell_count, count in zip((down, across), size, most, strict=True):
        first = torch.searchsorted(index, torch.arange(cell_count, device=index.device))
        rank = torch.arange(count, device=index.device)
        pixel.append((first[:, None] + rank).clamp(max=len(index) - 1))
        position.append((index, torch.arange(len(index), device=index.device) - first[index]))
    slot = pixel[0][:, None, :, None] * len(across) + pixel[1][None, :, None, :]
    (row, row_rank), (column, column_rank) = position
    cell = row[:, None] * size[1] + column
    return slot.flatten(), ((cell * most[0] + row_rank[:, None]) * most[1] + column_rank).flatten()


def per_cell(feature: Tensor, kernel: tuple[Tensor, Tensor], blocks: list[Block]) -> Iterator[Tensor]:
    """A 3x3 convolution of one padded feature map [1,C,h+2,w+2], as [rows,w,channels] for the cell rows of each block."""
    if not torch.is_grad_enabled():
        for block in blocks:
            yield F.conv2d(feature[:, :, block.start : block.stop + 2], *kernel)[0].permute(1, 2, 0)
        return
    # One convolution and one split: with autograd every slice of `feature` would cost a gradient of its whole size.
    whole = F.conv2d(feature, *kernel)[0].permute(1, 2, 0)
    edges = [0, *(edge for block in blocks for edge in (block.start, block.stop)), len(whole)]
    yield from whole.split([after - before for before, after in pairwise(edges)])[1::2]


def pixels_at_once(image: Tensor, hidden: int, memory_bytes: int) -> int:
    """Pixels to take through the MLP together: on a CPU as many as stay in its cache, elsewhere as many as memory allows."""
    allowed = memory_bytes // (10 * hidden * image.element_size())
    return min(allowed, 4096) if image.device.type == "cpu" else allowed


def without_storing(head: Head, values: Tensor, down: Cells) -> Tensor:
    """head(values, down), whose activations are computed again for the gradient: cheaper than memory traffic on a CPU."""
    if not torch.is_grad_enabled():
        return head(values, down)
    return checkpoint(head, values, down, use_reentrant=False, preserve_rng_state=False)  # type: ignore[no-any-return]
