"""LIFF, the local implicit filter function of COMPASS (Park et al., ICCV 2023): a filter for every pixel."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from layered.enhancement.dense import relu_of_linear
from layered.enhancement.rdn import ResidualDenseNetwork
from layered.enhancement.resample import Block, Cells, cells, row_blocks
from layered.errors import OptionError

__all__ = ["LIFF"]

INITS = ("quadratic", "nearest", "default")


class LIFF(nn.Module):
    """Predicts [B,3,height,width] (unclamped) from an image [B,3,h,w] in [0, 1], any sizes from 1x1.

    An MLP sees the 3x3 neighbourhood of features around the nearest cell, the pixel's offset from that cell
    and the pixel's size, and answers with a 3x3 filter from features to RGB for the same neighbourhood.
    That filter, 9*3*features wide, is never formed: a neighbourhood is constant within its cell, so the first
    layer's share of it and its product with the last layer are convolutions of the feature map, and per pixel
    only the hidden layers remain.

    `features`, `growth` and `hidden` are widths (64, 32, 256 in the paper); `init` is "quadratic" (starts
    as the parabola through three cells), "nearest" (starts as nearest neighbour) or "default" (the paper's:
    PyTorch's); `generator` draws the MLP's weights for the first two; `memory_bytes` bounds the working
    memory without autograd. Raises OptionError for another `init`, or for one that carries the image in
    fewer than 4 features.
    """

    def __init__(
        self,
        features: int = 64,
        growth: int = 32,
        hidden: int = 256,
        init: str = "quadratic",
        memory_bytes: int = 1 << 28,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if init not in INITS:
            raise OptionError(f"init of liff is {init!r}; it must be one of {', '.join(INITS)}")
        if init != "default" and features < 4:
            raise OptionError(f"features of liff is {features}; with init {init} it must be 4 or more")
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
        down, across = cells(image.shape[2], height, image), cells(image.shape[3], width, image)
        kernel, head = self.kernel(), self.head(image, height, width, across)
        rows_at_once = pixels_at_once(image, self.last.in_features, self.memory_bytes) // width
        blocks = row_blocks(down.index.tolist(), rows_at_once)
        pictures = []
        for feature in features.chunk(len(features)):
            rows = []
            for block, values in zip(blocks, per_cell(feature, kernel, blocks), strict=True):
                for top, bottom in block.parts:
                    rows.append(without_storing(head, values, down.part(top, bottom, block.start)))
            pictures.append(torch.cat(rows))
        return torch.stack(pictures).permute(0, 3, 1, 2)

    def kernel(self) -> tuple[Tensor, Tensor]:
        """Weights [4*hidden + 3, features, 3, 3] and biases of the convolution for all that a cell needs."""
        hidden, taps = self.last.in_features, self.last.out_features // 3
        entry = self.first.weight[:, :taps]
        product = self.last.weight.view(taps, 3, hidden).permute(1, 2, 0).reshape(3 * hidden, taps)
        constant = self.last.bias.view(taps, 3).T
        weight = torch.cat((entry, product, constant)).view(-1, taps // 9, 3, 3)
        return weight, F.pad(self.first.bias, (0, weight.shape[0] - hidden))

    def head(
        self, image: Tensor, height: int, width: int, across: Cells
    ) -> Callable[[Tensor, Cells], Tensor]:
        """The function from values [r,w,4*hidden+3] of some rows of cells to their pixels [rows,width,3]."""
        hidden = self.last.in_features
        dy, dx, py, px = self.first.weight[:, -4:].T
        x = across.offset[:, None] * dx + (across.pitch * px + 2 * image.shape[2] / height * py)
        middle = weights(self.middle)
        most = -(-height // image.shape[2]), -(-width // image.shape[3])

        def answer(values: Tensor, down: Cells) -> Tensor:
            entry, product, constant = values.tensor_split((hidden, 4 * hidden), 2)
            h = entry.index_select(0, down.index) + (down.offset[:, None] * dy)[:, None]
            h = F.relu(h.index_select(1, across.index) + x, inplace=True).flatten(0, 1)
            h = hidden_layers(h, middle)
            # One product per cell, of all its pixels; cells with fewer than `room` repeat some, unread.
            room = min(most[0], len(down.index)), most[1]  # of a cell of more rows than a block these are a part
            slot, place = slots(down.index, across.index, values.shape[:2], room)
            h = h.index_select(0, slot).view(-1, room[0] * room[1], hidden)
            rgb = torch.baddbmm(constant.reshape(-1, 1, 3), h, product.reshape(-1, 3, hidden).transpose(1, 2))
            return rgb.flatten(0, 1).index_select(0, place).view(len(down.index), -1, 3)

        return answer

    @torch.no_grad()
    def start_as_interpolation(self, init: str, generator: torch.Generator | None) -> None:
        """Draws hidden layers that see only offsets; fits the last to an interpolation of channels 0..2."""
        taps = self.last.out_features // 3
        hidden = self.first.out_features
        self.first.weight[:, :taps] = 0
        self.first.weight[:, taps : taps + 2].normal_(0, 1, generator=generator)
        self.first.weight[:, taps + 2 :].normal_(0, 0.1, generator=generator)
        self.first.bias.uniform_(-1, 1, generator=generator)
        for weight, bias in weights(self.middle):
            weight.normal_(0, (2 / hidden) ** 0.5, generator=generator)
            bias.uniform_(-0.1, 0.1, generator=generator)
        self.last.weight.normal_(0, 1e-4 / hidden**0.5, generator=generator)
        self.last.bias.zero_()
        weight, bias = self.last.weight.view(taps // 9, 9, 3, hidden), self.last.bias.view(taps // 9, 9, 3)
        filters = self.fit(nearest if init == "nearest" else quadratic)
        for channel in range(3):
            weight[channel, :, channel] = filters[:, :-1].to(weight)
            bias[channel, :, channel] = filters[:, -1].to(bias)
        # Three channels carry the image less 1/2 and the fourth a one: the padding then acts as grey.
        weight[3] = 0
        bias[3] = 0
        bias[3, 4] = 0.5

    def fit(self, target: Callable[[Tensor], Tensor], ridge: float = 1e-6) -> Tensor:
        """Least-squares weights and bias [9, hidden + 1] that make the last layer answer `target`."""
        grid = torch.linspace(-1, 1, 21, dtype=torch.float64)
        pitch = torch.tensor([0.25, 0.5, 1.0, 1.5, 2.0, 4.0], dtype=torch.float64)
        dy, dx, py, px = (axis.flatten() for axis in torch.meshgrid(grid, grid, pitch, pitch, indexing="ij"))
        h = torch.stack((dy, dx, py, px), 1) @ self.first.weight[:, -4:].double().T + self.first.bias.double()
        middle = [(weight.double(), bias.double()) for weight, bias in weights(self.middle)]
        h = hidden_layers(F.relu(h), middle)
        design = F.pad(h, (0, 1), value=1.0)
        wanted = (target(dy)[:, :, None] * target(dx)[:, None, :]).flatten(1)
        gram = design.T @ design
        gram += ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
        solution: Tensor = torch.linalg.solve(gram, design.T @ wanted)
        return solution.T


def nearest(offset: Tensor) -> Tensor:
    """Weights [n,3] of the cells before, at and after the nearest one: all on the nearest."""
    return torch.tensor([0.0, 1.0, 0.0], dtype=offset.dtype).expand(len(offset), 3)


def quadratic(offset: Tensor) -> Tensor:
    """Weights [n,3] of the parabola through three cells at offsets [n] in half cells from the middle one.

    On photographs halved by Pillow this is as good as bicubic interpolation, which needs a fourth cell.
    """
    t = offset / 2
    return torch.stack((t * (t - 1) / 2, 1 - t * t, t * (t + 1) / 2), 1)


def slots(down: Tensor, across: Tensor, size: Sequence[int], most: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pixels by cell: `slot` [r*w*most0*most1] is the pixel in each place of a cell, `place` [n*m] undoes it.

    `down` [n] and `across` [m] are the cells (below `size` = (r, w)) of the rows and columns of pixels, in
    rising order and at most `most` in one cell.
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
    """A 3x3 convolution of a padded feature map [1,C,h+2,w+2]; for each block its rows of cells, [r,w,C']."""
    if not torch.is_grad_enabled():
        for block in blocks:
            yield F.conv2d(feature[:, :, block.start : block.stop + 2], *kernel)[0].permute(1, 2, 0)
        return
    # One convolution and one split: every slice of `feature` would cost a gradient as large as `feature`.
    whole = F.conv2d(feature, *kernel)[0].permute(1, 2, 0)
    edges = [0, *(edge for block in blocks for edge in (block.start, block.stop)), len(whole)]
    yield from torch.split(whole, [after - before for before, after in pairwise(edges)])[1::2]


def weights(layers: nn.ModuleList) -> list[tuple[Tensor, Tensor]]:
    """(weight, bias) of linear layers, taken now: within functional_call they are those it was given."""
    return [(layer.weight, layer.bias) for layer in layers if isinstance(layer, nn.Linear)]


def hidden_layers(h: Tensor, layers: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Linear layers, given as (weight, bias), each followed by ReLU."""
    for weight, bias in layers:
        h = relu_of_linear(h, weight, bias)
    return h


def pixels_at_once(image: Tensor, hidden: int, memory_bytes: int) -> int:
    """Pixels to take through the MLP at once: on a CPU what its cache holds, elsewhere what memory allows."""
    allowed = memory_bytes // (10 * hidden * image.element_size())
    return min(allowed, 4096) if image.device.type == "cpu" else allowed


def without_storing(head: Callable[..., Tensor], *arguments: object) -> Tensor:
    """head(*arguments), computed again for the gradient: on a CPU cheaper than the traffic of storing."""
    if not torch.is_grad_enabled():
        return head(*arguments)
    return checkpoint(head, *arguments, use_reentrant=False, preserve_rng_state=False)
