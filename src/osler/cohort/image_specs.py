"""The image blocks of ``cohort.toml``: which files, of what size, how networks may learn from them or read them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from osler.cohort.specs import ColumnName, Extra, Name, RowsSpec, Spec, TimedSpec
from osler.vision.augmentation import Augmentation

__all__ = ["ImagesSpec", "JoinSpec"]


class JoinSpec(Spec):
    """A second table that an index needs, matched by a column."""

    table: str = Field(min_length=1)
    on: ColumnName = Field(description="Column in the index, and in the joined table unless ``to`` names it there.")
    to: ColumnName | None = None


Sides = tuple[int, int] | tuple[int, int, int]
ResNet = Literal["resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


class ImagesSpec(TimedSpec, RowsSpec):
    """An ``[images]`` block: pixels or voxels named by an index, or embeddings made elsewhere."""

    name: Name = "images"
    label: str | None = None
    form: Literal["pixels", "embedding"] = "pixels"
    index: str | None = Field(None, min_length=1, description="Table of one row per image.")
    extra: Extra = "error"
    join: JoinSpec | None = None
    file: ColumnName | None = Field(None, description="Column of the file name.")
    folder: str = Field(".", description="Folder of the files, relative to the root.")
    duplicates: Literal["error", "first", "last", "keep"] = Field(  # type: ignore[assignment]
        "error", description='Several images of one patient at one time; "keep": all of them, as one visit.'
    )
    size: Sides = Field(
        (64, 64), description="Height and width to which pixels are letterboxed; depth, height and width of volumes."
    )
    window: tuple[float, float] | None = Field(
        None, description="Stored values that become black and white, such as [-1000, 400] Hounsfield units."
    )
    augment: Augmentation = Field(
        default_factory=Augmentation, description="How training images may be changed without changing their meaning."
    )
    network: ResNet | None = Field(None, description="Network trained elsewhere that makes vectors of the pixels.")
    weights: str | None = Field(
        None, min_length=1, description="Its weights: a .safetensors file below OSLER_WEIGHTS or the root."
    )
    normalise: Literal["imagenet", "image"] | None = Field(
        None,
        description='What its weights expect: "imagenet" (mean and spread of that collection; default for pictures) '
        'or "image" (each image to mean 0 and spread 1; default for volumes).',
    )
    first_stride: Literal[1, 2] = Field(2, description="Stride of its first convolution; MONAI's own default is 1.")
    channels: Literal[1, 3] = Field(1, description="1 grey, 3 colour.")
    columns: tuple[str, ...] = Field((), description="Embedding: columns of the index that hold the vector.")
    archive: str | None = Field(
        None, min_length=1, description="Embedding: .npz with one vector per patient; pixels: an image archive."
    )

    def _check_archive(self) -> None:
        if self.index or self.file or self.columns or self.join or self.time:
            raise ValueError("an archive of pixels names everything itself: no index, file, columns, join or time")
        if len(self.size) != 2 or self.window is not None or self.network is not None:
            raise ValueError("an archive holds pictures: size is height and width, without window, network and weights")

    @model_validator(mode="after")
    def _one_form(self) -> ImagesSpec:
        if not all(8 <= side <= 1024 for side in self.size):
            raise ValueError("size is height and width, or depth, height and width, each from 8 to 1024")
        if self.window is not None and self.window[0] >= self.window[1]:
            raise ValueError("window is the value of black and a higher one of white")
        if (self.network is None) != (self.weights is None):
            raise ValueError("network and weights belong together: what the weights are of, and where they lie")
        if self.network is not None and self.form == "embedding":
            raise ValueError("network and weights belong to pixels: embeddings were made already")
        if self.normalise == "imagenet" and len(self.size) == 3:
            raise ValueError('normalise = "imagenet" belongs to pictures')
        if self.form == "pixels" and self.archive is not None:
            self._check_archive()
        elif self.form == "pixels" and (self.index is None or self.file is None or self.columns):
            raise ValueError("pixels need index, a table, and file, its column of file names; or an archive")
        if self.form == "embedding":
            if (self.archive is None) == (self.index is None):
                raise ValueError("embeddings come from an archive (.npz) or from an index, one of the two")
            if self.index is not None and bool(self.columns) == bool(self.file):
                raise ValueError(
                    "an index of embeddings names columns (of numbers) or file (of .npy names), one of the two"
                )
        return self
