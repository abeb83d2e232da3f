"""The layers' configuration for SHM's encoder: spatial layers of one intra-coded picture, each predicted from the next.

It goes with SHM's own `encoder_intra_scalable.cfg`.  Pictures are 4:2:0 and 8 bits; coded sizes are multiples of 8,
and offsets tell the resampling which region of them is the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

from baselines.shvc.resample import phase_of
from baselines.yuv import padded_to
from layered.errors import OptionError

__all__ = ["coded_size", "layer_config"]

MULTIPLE = 8  # SHM's smallest coding unit
MOST_PHASE = 31  # of phase_hor_luma and its like, so that ratios end at 4.9
OFFSET_UNIT = 2  # of a region's offsets, in luma samples of 4:2:0

_COMMON = """\
NonHEVCBase : 0
ScalabilityMask1 : 0
ScalabilityMask2 : 1
ScalabilityMask3 : 0
AdaptiveResolutionChange : 0
SkipPictureAtArcSwitch : 0
MaxTidRefPresentFlag : 1
CrossLayerPictureTypeAlignFlag: 1
CrossLayerIrapAlignFlag : 1
SEIDecodedPictureHash : 0"""


def coded_size(width: int, height: int) -> tuple[int, int]:
    """The size at which a picture is coded: each side the next multiple of 8."""
    return padded_to(width, height, MULTIPLE)


def layer_config(sizes: Sequence[tuple[int, int]], qps: Sequence[int]) -> str:
    """The configuration of two or more layers, the base first.

    sizes: width and height of the pictures, even, none smaller than the one below.  Layer k is read from `in<k>.yuv`
    at its `coded_size`, and reconstructed to `rec<k>.yuv`.  Raises OptionError for other sizes.
    """
    if len(sizes) < 2 or len(sizes) != len(qps):
        raise OptionError(f"SHVC takes two or more layers with a QP each, got {len(sizes)} with {len(qps)}")
    for below, above in zip(sizes, [*sizes[1:], sizes[-1]], strict=True):
        if min(below) < 1 or any(side % 2 for side in below):
            raise OptionError(f"pictures in 4:2:0 have even sides, got {below[0]}x{below[1]}")
        if above[0] < below[0] or above[1] < below[1]:
            raise OptionError(f"a layer of {above[0]}x{above[1]} is smaller than the {below[0]}x{below[1]} below it")
    count = len(sizes)
    lines = [f"NumLayers : {count}", *_COMMON.split("\n")]
    for layer, (size, qp) in enumerate(zip(sizes, qps, strict=True)):
        lines += _source(layer, coded_size(*size), qp)
        if layer:
            lines += _prediction(layer, sizes[layer - 1], size)
    everything = " ".join(map(str, range(count)))
    return "\n".join([
        *lines,
        "Level1 : 6.2", "Level2 : 6.2",
        "NumLayerSets : 2", f"NumLayerInIdList1 : {count}", f"LayerSetLayerIdList1 : {everything}",
        "NumAddLayerSets : 0", "NumOutputLayerSets : 2", "DefaultTargetOutputLayerIdc : 1",
        "NumOutputLayersInOutputLayerSet : 1", f"ListOfOutputLayers1 : {count - 1}",
        f"ListOfProfileTierLevelOls1 : 1{' 2' * (count - 1)}",
        "FrameSkip : 0", "FramesToBeEncoded : 1", "Level0 : 6.2", "",
    ])  # fmt: skip


def _source(layer: int, size: tuple[int, int], qp: int) -> list[str]:
    values = {
        "InputFile": f"in{layer}.yuv", "ReconFile": f"rec{layer}.yuv", "FrameRate": 30, "InputBitDepth": 8,
        "SourceWidth": size[0], "SourceHeight": size[1], "RepFormatIdx": layer, "IntraPeriod": 1,
        "ConformanceMode": 1, "QP": qp, "LayerPTLIndex": 2 if layer else 1, "RateControl": 0,
        "WaveFrontSynchro": 0, "ScalingList": 0, "MaxTidIlRefPicsPlus1": 2,
    }  # fmt: skip
    return [f"{name}{layer} : {value}" for name, value in values.items()]


def _prediction(layer: int, below: tuple[int, int], size: tuple[int, int]) -> list[str]:
    horizontal, vertical = (phase_of(low, high) for low, high in zip(below, size, strict=True))
    if max(horizontal, vertical) > MOST_PHASE:
        pair = f"{below[0]}x{below[1]} on {size[0]}x{size[1]}"
        raise OptionError(f"SHVC cannot centre {pair}: its phases end at {MOST_PHASE}")
    lines = [
        f"NumSamplePredRefLayers{layer} : 1", f"SamplePredRefLayerIds{layer} : {layer - 1}",
        f"NumMotionPredRefLayers{layer} : 1", f"MotionPredRefLayerIds{layer} : {layer - 1}",
        f"NumActiveRefLayers{layer} : 1", f"PredLayerIds{layer} : 0",
        f"NumRefLocationOffsets{layer} : 1", f"RefLocationOffsetLayerId{layer} : {layer - 1}",
        *_offsets("ScaledRefLayerOffsetPresentFlag", "ScaledRefLayer", layer, size),
        *_offsets("RefRegionOffsetPresentFlag", "RefRegion", layer, below),
        f"ResamplePhaseSetPresentFlag{layer} : 1",
    ]  # fmt: skip
    for colour in ("Luma", "Chroma"):
        lines += [f"PhaseHor{colour}{layer} : {horizontal}", f"PhaseVer{colour}{layer} : {vertical}"]
    return lines


def _offsets(flag: str, name: str, layer: int, size: tuple[int, int]) -> list[str]:
    """How far the coded picture goes beyond the picture itself, where it does."""
    right, bottom = ((whole - side) // OFFSET_UNIT for whole, side in zip(coded_size(*size), size, strict=True))
    if not right and not bottom:
        return [f"{flag}{layer} : 0"]
    edges = {"Left": 0, "Top": 0, "Right": right, "Bottom": bottom}
    return [f"{flag}{layer} : 1", *(f"{name}{edge}Offset{layer} : {value}" for edge, value in edges.items())]
