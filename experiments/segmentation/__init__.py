"""A small segmenter: its network, its training, and its file, so that mIoU needs nobody else's weights."""

from experiments.segmentation.net import Segmenter, SegmenterSpec, load_segmenter, save_segmenter

__all__ = ["Segmenter", "SegmenterSpec", "load_segmenter", "save_segmenter"]
