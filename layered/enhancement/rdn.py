"""Residual dense network (Zhang et al., CVPR 2018), the feature extractor of the learned predictors."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ResidualDenseNetwork"]

BLOCKS, CONVOLUTIONS = 4, 4


class ResidualDenseBlock(nn.Module):
    """Densely connected 3x3 convolutions with ReLU, fused by a 1x1 one and added to the input [B,C,H,W]."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        widths = [features + i * growth for i in range(CONVOLUTIONS + 1)]
        self.convolutions = nn.ModuleList(nn.Conv2d(width, growth, 3, padding=1) for width in widths[:-1])
        self.fusion = nn.Conv2d(widths[-1], features, 1, dilation=2)  # see SteadyGDN

    def forward(self, x: Tensor) -> Tensor:
        dense = x
        for convolution in self.convolutions:
            dense = torch.cat((dense, F.relu(convolution(dense), inplace=True)), 1)
        return x + self.fusion(dense)  # type: ignore[no-any-return]


class ResidualDenseNetwork(nn.Module):
    """Feature maps [B,features,H,W] of images [B,3,H,W] in [0, 1], at the images' own resolution.

    Four blocks of four convolutions, as in COMPASS; `features` is the trunk's width (64 there), `growth` that
    of each dense convolution (32). Without autograd the rows are computed in bands with a halo as tall as the
    receptive field, so that the working memory stays near `memory_bytes` for images of any height.
    """

    def __init__(self, features: int = 64, growth: int = 32, memory_bytes: int = 1 << 28) -> None:
        super().__init__()
        self.features, self.growth, self.memory_bytes = features, growth, memory_bytes
        self.shallow1 = nn.Conv2d(3, features, 3, padding=1)
        self.shallow2 = nn.Conv2d(features, features, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualDenseBlock(features, growth) for _ in range(BLOCKS))
        self.fusion = nn.Conv2d(BLOCKS * features, features, 1, dilation=2)
        self.last = nn.Conv2d(features, features, 3, padding=1)

    @torch.no_grad()
    def pass_image_through(self) -> None:
        """Makes feature channels 0..2 the image less 1/2 and channel 3 one, all by the global skip alone."""
        assert self.shallow1.bias is not None and self.last.bias is not None
        self.shallow1.weight[:4] = 0
        self.shallow1.weight[[0, 1, 2], [0, 1, 2], 1, 1] = 1
        self.shallow1.bias[:3], self.shallow1.bias[3] = -0.5, 1
        self.last.weight[:4] = 0
        self.last.bias[:4] = 0

    def forward(self, image: Tensor) -> Tensor:
        rows = self.rows_per_band(image)
        if torch.is_grad_enabled() or rows >= image.shape[2]:
            return self.extract(image)
        bands = []
        for top in range(0, image.shape[2], rows):
            start = max(0, top - RADIUS)
            count = min(rows, image.shape[2] - top)
            band = self.extract(image[:, :, start : top + count + RADIUS])
            bands.append(band[:, :, top - start : top - start + count])
        return torch.cat(bands, 2)

    def extract(self, image: Tensor) -> Tensor:
        shallow = self.shallow1(image)
        x = self.shallow2(shallow)
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return shallow + self.last(self.fusion(torch.cat(outputs, 1)))  # type: ignore[no-any-return]

    def rows_per_band(self, image: Tensor) -> int:
        # The widest moment: the blocks' outputs, a dense stack and its copy, its unfolding (float64 on CPU).
        dense = self.features + CONVOLUTIONS * self.growth
        channels = (BLOCKS + 2) * self.features + 2 * dense
        if image.dtype == torch.float64:
            channels += 9 * dense
        row = image.shape[0] * image.shape[3] * channels * image.element_size()
        # Bands shorter than the halo on both sides would mostly compute halos.
        return max(4 * RADIUS, self.memory_bytes // row - 2 * RADIUS)


RADIUS = 3 + BLOCKS * CONVOLUTIONS  # rows of context that one feature sees above and below it
