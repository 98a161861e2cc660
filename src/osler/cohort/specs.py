"""The blocks of ``cohort.toml``: what each of the user's tables means. Read them through ``osler.cohort.manifest``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from osler.config import Duration
from osler.errors import UsageError
from osler.readers.codes import canonical
from osler.readers.where import parse_where
from osler.units import unit_in_days
from osler.vision.augmentation import Augmentation

__all__ = [
    "AlsoSpec",
    "CohortSpec",
    "ColumnsSpec",
    "CompetingSpec",
    "ExcludeSpec",
    "GenomicsSpec",
    "ImagesSpec",
    "JoinSpec",
    "MomentSpec",
    "OutcomeSpec",
    "RecordSpec",
    "RowsSpec",
    "TableSpec",
    "TimedSpec",
    "VariableSpec",
    "VisitsSpec",
]


def _code(value: Any) -> Any:
    """A code in TOML may be a number, a text or true/false; cells are text, so the code becomes text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return (
        canonical(repr(value) if isinstance(value, float) else str(value)) if isinstance(value, (int, float)) else value
    )


def _codes(value: Any) -> Any:
    """A list of codes is its own labels."""
    return {code: str(_code(code)) for code in map(_code, value)} if isinstance(value, (list, tuple)) else value


def _condition(text: str) -> str:
    try:
        parse_where(text)
    except UsageError as error:
        raise ValueError(str(error)) from error
    return text


def _unit_of_time(text: str) -> str:
    try:
        unit_in_days(text)
    except UsageError as error:
        raise ValueError(str(error)) from error
    return text


Code = Annotated[str, BeforeValidator(_code, json_schema_input_type=str | int | float | bool)]
Levels = Annotated[
    dict[str, str], BeforeValidator(_codes, json_schema_input_type=dict[str, str] | list[str | int | float])
]
Condition = Annotated[str, AfterValidator(_condition)]
TimeUnit = Annotated[str, AfterValidator(_unit_of_time)]
Name = Annotated[str, Field(min_length=1, max_length=500)]
Extra = Literal["error", "ignore"]
ColumnName = Annotated[str, Field(min_length=1, max_length=500)]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ExcludeSpec(_Spec):
    """One criterion: patients with any row that fulfils ``where`` leave the cohort."""

    reason: Name
    where: Condition
    table: str | None = Field(None, description="Table to look in; the first record table (its own rows) if not given.")


class CohortSpec(_Spec):
    """The ``[cohort]`` table: what the cohort is called and how its tables are written."""

    name: Name
    description: str = ""
    patient_id: ColumnName = Field(description="Column of the identifier, in every table that does not say otherwise.")
    time_unit: TimeUnit = Field("days", description="Unit of every time column that does not say otherwise.")
    root: str = Field(".", description="Folder of the files, below --root, OSLER_DATA or the manifest's folder.")
    missing: tuple[Code, ...] = Field((), description="Codes that mean missing in every table, beside the empty cell.")
    exclude: tuple[ExcludeSpec, ...] = ()


class RowsSpec(_Spec):
    """How rows of a text table are read, which of them count, and whose they are."""

    where: Condition | None = Field(None, description="Which rows count.")
    patient_id: ColumnName | None = Field(None, description="Column of the identifier here.")
    id_prefix: str = Field("", description="Text before the identifier in this table, taken off.")
    sep: str | None = Field(None, min_length=1, max_length=1)
    comment: str | None = Field(None, min_length=1, description="Lines that begin with it are left out.")
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."


class TableSpec(RowsSpec):
    """Where the rows of a block come from."""

    table: str = Field(min_length=1, description="csv, tsv or txt (plain or .gz) or parquet, relative to the root.")
    extra: Extra = Field("error", description="Patients who are not in the first record table.")


class MomentSpec(_Spec):
    """One column of a wide table: a variable at a stated time."""

    column: ColumnName
    at: Duration


class _Meaning(_Spec):
    """What a value means; shared by single variables and patterns of columns."""

    type: Literal["number", "category", "flag"]
    unit: str = Field("", description="UCUM, such as mm[Hg], mg/dL, a (years).")
    min: float | None = Field(None, description="Smallest plausible value, in ``unit``.")
    max: float | None = Field(None, description="Largest plausible value, in ``unit``.")
    levels: Levels = Field(default_factory=dict, description="Codes of a category and their labels, in order.")
    cuts: tuple[float, ...] = Field(
        (), description="A category read from a number: upper ends of all levels but the last, in ``unit``."
    )
    codes: dict[str, float] = Field(default_factory=dict, description="Codes with the number each stands for.")
    missing: tuple[Code, ...] = Field((), description="Further codes that mean missing.")
    factor: float = Field(1.0, description="Values are multiplied by it to reach ``unit``.")
    outside: Literal["error", "missing", "clip"] = Field("error", description="Values out of min..max.")
    modifiable: bool = Field(False, description="Whether a plan may change it.")

    @model_validator(mode="after")
    def _fits_type(self) -> _Meaning:
        if self.type == "category" and not self.levels:
            raise ValueError('a category needs levels, codes with their labels: levels = { 1 = "male", 2 = "female" }')
        if self.type != "category" and self.levels:
            raise ValueError(
                f'levels belong to type "category", not to "{self.type}" (a flag has codes = {{ Yes = 1, No = 0 }})'
            )
        if self.type == "category" and self.codes:
            raise ValueError("a category has levels, not codes")
        if self.cuts and self.type != "category":
            raise ValueError('cuts belong to type "category": they make levels of a number')
        if self.cuts and (list(self.cuts) != sorted(set(self.cuts)) or len(self.labels) != len(self.cuts) + 1):
            raise ValueError(
                "cuts increase, and there is one level more than cuts: levels from the lowest to the highest"
            )
        if self.type == "flag" and not set(self.codes.values()) <= {0.0, 1.0}:
            raise ValueError("the codes of a flag stand for 0 or 1")
        numeric = self.type == "number" or bool(self.cuts)
        if not numeric and (self.min is not None or self.max is not None or self.factor != 1.0):
            raise ValueError('min, max and factor belong to type "number", or to a category with cuts')
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min may not be above max")
        if self.factor == 0:
            raise ValueError("factor may not be 0")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of a category, each once, in order."""
        return tuple(dict.fromkeys(self.levels.values()))


class VariableSpec(_Meaning):
    """One variable: a column and its meaning; in a wide table several columns, one for each time."""

    name: Name
    column: ColumnName | None = Field(None, description="Column in the table; the name if not given.")
    label: str | None = Field(None, description="Words that reports use; the name if not given.")
    columns: tuple[MomentSpec, ...] = Field((), description="Layout wide: one column for each time.")

    @property
    def source(self) -> str:
        """The column it is read from."""
        return self.column or self.name


class ColumnsSpec(_Meaning):
    """Many columns of one meaning: each becomes a variable of its own name."""

    pattern: Name = Field(description='A glob ("*_flag") or a range in file order ("c020:t810").')
    leave_out: tuple[str, ...] = Field((), alias="except", description="Globs, ranges or names to leave out.")
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class RecordSpec(TableSpec):
    """A ``[record]`` block: one row per patient, known at the time origin."""

    name: Name = "record"
    repeated: Literal["error", "first"] = Field("error", description="Several rows of one patient.")
    variables: tuple[VariableSpec, ...] = ()
    columns: tuple[ColumnsSpec, ...] = ()


class TimedSpec(_Spec):
    """Policies of dated rows."""

    time: ColumnName | None = Field(None, description="Column of the time since the time origin.")
    time_unit: TimeUnit | None = None
    before_zero: Literal["error", "keep", "drop"] = Field("error", description="Rows before the time origin.")
    after_end: Literal["error", "drop"] = Field("error", description="Rows after the end of follow-up.")
    missing_time: Literal["error", "drop"] | Duration = Field("error", description="Or the time to take instead.")
    duplicates: Literal["error", "first", "last"] = Field("error", description="Rows of one patient at one time.")


class VisitsSpec(TimedSpec, TableSpec):
    """A ``[visits]`` block: dated rows, or one row per patient with a column for each time (layout wide)."""

    name: Name = "visits"
    layout: Literal["long", "wide"] = "long"
    variables: tuple[VariableSpec, ...] = ()
    columns: tuple[ColumnsSpec, ...] = ()

    @model_validator(mode="after")
    def _fits_layout(self) -> VisitsSpec:
        if self.layout == "long" and self.time is None:
            raise ValueError('long visits need time, the column of the time since the time origin (or layout = "wide")')
        if self.layout == "long" and any(v.columns for v in self.variables):
            raise ValueError('a variable with columns belongs to layout = "wide"')
        if self.layout == "wide" and (self.time is not None or self.columns):
            raise ValueError(
                "wide visits have no time and no patterns: each variable lists its columns with their times"
            )
        if self.layout == "wide" and not all(v.columns for v in self.variables):
            raise ValueError(
                'each variable of wide visits lists its columns: columns = [{ column = "...", at = "0d" }]'
            )
        for variable in self.variables:
            if len({moment.at for moment in variable.columns}) < len(variable.columns):
                raise ValueError(f"{variable.name!r} has two columns at one time")
        return self


class GenomicsSpec(RowsSpec):
    """A ``[genomics]`` block: patients x features, as a table or as a matrix with a list of its patients."""

    kind: Literal["expression", "mutation", "copy_number", "dosage", "other"]
    name: str | None = Field(None, min_length=1, description="The kind if not given.")
    table: str | None = Field(None, min_length=1)
    extra: Extra = "error"
    repeated: Literal["error", "first"] = "error"
    columns: tuple[str, ...] = Field((), description="Names, globs and ranges in file order; all columns if not given.")
    leave_out: tuple[str, ...] = Field((), alias="except")
    missing: tuple[Code, ...] = ()
    wildtype: tuple[Code, ...] = Field((), description="Kind mutation: codes of no mutation; any other cell is one.")
    matrix: str | None = Field(None, min_length=1, description=".npy, patients x features.")
    patients: str | None = Field(None, min_length=1, description="One identifier per line, in the order of the rows.")
    features: str | None = Field(None, min_length=1, description="One feature per line, in the order of the columns.")
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @property
    def title(self) -> str:
        """Name of the block."""
        return self.name or self.kind

    @model_validator(mode="after")
    def _one_form(self) -> GenomicsSpec:
        if (self.table is None) == (self.matrix is None):
            raise ValueError("genomics need a table, or a matrix with its patients")
        if self.matrix is not None and self.patients is None:
            raise ValueError("a matrix needs patients, a file with one identifier per line")
        if self.wildtype and self.kind != "mutation":
            raise ValueError('wildtype belongs to kind = "mutation"')
        return self


class JoinSpec(_Spec):
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
        None, min_length=1, description="Its weights: .safetensors, .pt or .pth, below OSLER_WEIGHTS or the root."
    )
    normalise: Literal["imagenet", "image"] | None = Field(
        None,
        description='What its weights expect: "imagenet" (mean and spread of that collection; default for pictures) '
        'or "image" (each image to mean 0 and spread 1; default for volumes).',
    )
    first_stride: Literal[1, 2] = Field(2, description="Stride of its first convolution; MONAI's own default is 1.")
    channels: Literal[1, 3] = Field(1, description="1 grey, 3 colour.")
    columns: tuple[str, ...] = Field((), description="Embedding: columns of the index that hold the vector.")
    archive: str | None = Field(None, min_length=1, description="Embedding: .npz with one vector per patient.")

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
        if self.form == "pixels" and (self.index is None or self.file is None or self.archive or self.columns):
            raise ValueError("pixels need index, a table, and file, its column of file names")
        if self.form == "embedding":
            if (self.archive is None) == (self.index is None):
                raise ValueError("embeddings come from an archive (.npz) or from an index, one of the two")
            if self.index is not None and bool(self.columns) == bool(self.file):
                raise ValueError(
                    "an index of embeddings names columns (of numbers) or file (of .npy names), one of the two"
                )
        return self


class CompetingSpec(_Spec):
    """A competing event: own columns, or a further code of the outcome's event column."""

    name: Name
    time: ColumnName | None = None
    time_unit: TimeUnit | None = None
    event: ColumnName | None = None
    codes: tuple[Code, ...] = Field(("1",), min_length=1)
    censored: tuple[Code, ...] = Field(("0",), description="With an own event column: codes of no event.")

    @model_validator(mode="after")
    def _own_columns(self) -> CompetingSpec:
        if self.time is not None and self.event is None:
            raise ValueError("a competing event with its own time needs its own event column")
        return self


class AlsoSpec(_Spec):
    """Further columns in which the event of interest is told, such as death beside recurrence."""

    event: ColumnName
    time: ColumnName | None = Field(None, description="The time of the outcome if not given.")
    time_unit: TimeUnit | None = None
    codes: tuple[Code, ...] = Field(("1",), min_length=1)
    censored: tuple[Code, ...] = Field(("0",), description="Codes of no event.")

    @model_validator(mode="after")
    def _codes_apart(self) -> AlsoSpec:
        if set(self.codes) & set(self.censored):
            raise ValueError("a code means one thing: event or none")
        return self


class OutcomeSpec(RowsSpec):
    """The ``[outcome]`` block: follow-up and events."""

    kind: Literal["survival", "fixed"] = "survival"
    name: Name = Field(description="The event of interest, as reports call it.")
    table: str | None = Field(None, min_length=1, description="The first record table (its own rows) if not given.")
    time: ColumnName | None = None
    time_unit: TimeUnit | None = None
    event: ColumnName
    codes: tuple[Code, ...] = Field(("1",), min_length=1, description="Codes of the event of interest.")
    censored: tuple[Code, ...] = Field(("0",), min_length=1, description="Codes of no event.")
    missing: tuple[Code, ...] = Field((), description="Codes of an unknown outcome.")
    also: tuple[AlsoSpec, ...] = Field((), description="A composite event: further columns of it; the earliest counts.")
    competing: tuple[CompetingSpec, ...] = ()
    within: Duration | None = Field(None, description="Kind fixed: the time by which the event happened or did not.")
    unknown: Literal["error", "exclude"] = Field("error", description="Patients whose outcome is not known.")
    zero_time: Literal["error", "exclude"] = Field("error", description="Follow-up of zero or less.")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns the outcome is read from."""
        others: tuple[AlsoSpec | CompetingSpec, ...] = (*self.also, *self.competing)
        asked = [self.time, self.event, *(name for other in others for name in (other.time, other.event))]
        return tuple(dict.fromkeys(name for name in asked if name is not None))

    @model_validator(mode="after")
    def _fits_kind(self) -> OutcomeSpec:
        if self.kind == "survival" and (self.time is None or self.within is not None):
            raise ValueError('kind "survival" needs time, a column of follow-up times, and has no within')
        if self.kind == "fixed" and (self.within is None or self.time is not None):
            raise ValueError('kind "fixed" needs within, such as "30d", and has no time')
        if self.kind == "fixed" and (self.within or 0) <= 0:
            raise ValueError("within must be longer than nothing")
        if self.kind == "fixed" and any(c.event for c in self.competing):
            raise ValueError('kind "fixed" takes competing events as further codes of its own event column')
        if self.kind == "fixed" and self.also:
            raise ValueError('also belongs to kind "survival": the earliest of several events needs their times')
        if self.table is None and (self.where or self.patient_id or self.id_prefix):
            raise ValueError("where, patient_id and id_prefix of the outcome belong to its own table")
        return self
