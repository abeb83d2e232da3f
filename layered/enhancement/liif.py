"""LIIF, the local implicit image function (Chen et al., CVPR 2021), to compare LIFF with."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from layered.enhancement.liff import hidden_layers, per_cell, pixels_at_once, weights, without_storing
from layered.enhancement.rdn import ResidualDenseNetwork
from layered.enhancement.resample import Cells, cells, row_blocks

__all__ = ["LIIF"]


class LIIF(nn.Module):
    """Predicts [B,3,height,width] (unclamped) from an image [B,3,h,w] in [0, 1], any sizes from 1x1.

    An MLP maps the 3x3 neighbourhood of features around a cell, the pixel's offset from that cell and the
    pixel's size to RGB; the answers for the four cells around a pixel are averaged, each weighted by the area
    between the pixel and the opposite cell's centre. The first layer's share of the neighbourhood is one
    convolution of the feature map.

    `features`, `growth` and `hidden` are widths; `memory_bytes` bounds the working memory without autograd.
    """

    def __init__(
        self, features: int = 64, growth: int = 32, hidden: int = 256, memory_bytes: int = 1 << 28
    ) -> None:
        super().__init__()
        self.memory_bytes = memory_bytes
        self.encoder = ResidualDenseNetwork(features, growth, memory_bytes)
        self.first = nn.Linear(9 * features + 4, hidden)
        self.middle = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(3))
        self.last = nn.Linear(hidden, 3)

    def forward(self, image: Tensor, height: int, width: int) -> Tensor:
        features = F.pad(self.encoder(image), (1, 1, 1, 1)).contiguous(memory_format=torch.channels_last)
        kernel = self.first.weight[:, :-4].reshape(self.first.out_features, -1, 3, 3), self.first.bias
        head = self.head(corners(image.shape[3], width, image), 2 * image.shape[2] / height)
        rows_at_once = pixels_at_once(image, self.last.in_features, self.memory_bytes) // width
        pictures: list[Tensor] = []
        for feature in features.chunk(len(features)):
            picture = image.new_zeros(())
            for down, weight in corners(image.shape[2], height, image):
                blocks, rows = row_blocks(down.index.tolist(), rows_at_once), []
                for block, values in zip(blocks, per_cell(feature, kernel, blocks), strict=True):
                    for top, bottom in block.parts:
                        part = down.part(top, bottom, block.start)
                        rows.append(without_storing(head, values, part, weight[top:bottom]))
                picture = picture + torch.cat(rows)
            pictures.append(picture)
        return torch.stack(pictures).permute(0, 3, 1, 2)

    def head(
        self, across: list[tuple[Cells, Tensor]], pitch: float
    ) -> Callable[[Tensor, Cells, Tensor], Tensor]:
        """The function from values [r,w,hidden] of some rows of cells to their share of pixels."""
        dy, dx, py, px = self.first.weight[:, -4:].T
        layers = weights(self.middle)
        last = self.last.weight, self.last.bias

        def answer(entry: Tensor, down: Cells, share: Tensor) -> Tensor:
            pixels = entry.new_zeros(())
            rows = entry.index_select(0, down.index) + (down.offset[:, None] * dy)[:, None]
            for column, weight in across:
                x = column.offset[:, None] * dx + (column.pitch * px + pitch * py)
                h = F.relu(rows.index_select(1, column.index) + x, inplace=True)
                rgb = F.linear(hidden_layers(h, layers), *last)
                pixels = pixels + rgb * (share[:, None] * weight)[..., None]
            return pixels

        return answer


def corners(source: int, target: int, like: Tensor) -> list[tuple[Cells, Tensor]]:
    """The two cells around each sample of an axis, each with its weight [target]: how far the other is."""
    before, after = (cells(source, target, like, shift) for shift in (-1, 1))
    total = before.offset.abs() + after.offset.abs()
    # At the ends both may be the same cell, and a sample on its very centre then has no distance to use.
    weight = torch.where(total > 0, after.offset.abs() / total.where(total > 0, 1.0), 0.5)
    return [(before, weight), (after, 1 - weight)]
