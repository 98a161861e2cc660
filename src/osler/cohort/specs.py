"""The blocks of ``cohort.toml``: what each of the user's tables means. Read them through ``osler.cohort.manifest``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from osler.config import Duration
from osler.errors import UsageError
from osler.readers.codes import canonical
from osler.readers.where import parse_where
from osler.units import unit_in_days

__all__ = [
    "CohortSpec",
    "ColumnName",
    "ColumnsSpec",
    "ExcludeSpec",
    "Extra",
    "GenomicsSpec",
    "MomentSpec",
    "Name",
    "RecordSpec",
    "RowsSpec",
    "Spec",
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


class Spec(BaseModel):
    """What every block of a manifest shares: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ExcludeSpec(Spec):
    """One criterion: patients with any row that fulfils ``where`` leave the cohort."""

    reason: Name
    where: Condition
    table: str | None = Field(None, description="Table to look in; the first record table (its own rows) if not given.")


class CohortSpec(Spec):
    """The ``[cohort]`` table: what the cohort is called and how its tables are written."""

    name: Name
    description: str = ""
    patient_id: ColumnName = Field(description="Column of the identifier, in every table that does not say otherwise.")
    time_unit: TimeUnit = Field("days", description="Unit of every time column that does not say otherwise.")
    root: str = Field(".", description="Folder of the files, below --root, OSLER_DATA or the manifest's folder.")
    missing: tuple[Code, ...] = Field((), description="Codes that mean missing in every table, beside the empty cell.")
    exclude: tuple[ExcludeSpec, ...] = ()


class RowsSpec(Spec):
    """How rows of a text table are read, which of them count, and whose they are."""

    where: Condition | None = Field(None, description="Which rows count.")
    patient_id: ColumnName | None = Field(None, description="Column of the identifier here.")
    id_prefix: str | tuple[str, ...] = Field(
        "", description="Text before the identifier in this table, taken off; a list where rows differ in it."
    )
    sep: str | None = Field(None, min_length=1, max_length=1)
    comment: str | None = Field(None, min_length=1, description="Lines that begin with it are left out.")
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The texts of which one stands before every identifier, the longest first; none where there is no prefix."""
        several = (self.id_prefix,) if isinstance(self.id_prefix, str) else self.id_prefix
        return tuple(sorted(filter(None, several), key=len, reverse=True))


class TableSpec(RowsSpec):
    """Where the rows of a block come from."""

    table: str = Field(min_length=1, description="csv, tsv or txt (plain or .gz) or parquet, relative to the root.")
    extra: Extra = Field("error", description="Patients who are not in the first record table.")


class MomentSpec(Spec):
    """One column of a wide table: a variable at a stated time."""

    column: ColumnName
    at: Duration


class _Meaning(Spec):
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


class TimedSpec(Spec):
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
    sets: str | None = Field(
        None, min_length=1, description="Gene sets, a .gmt file: groups with a penalty of their own."
    )
    gene: str = Field("*", description='How a feature\'s name holds the gene of a set, such as "*_rnaseq".')
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
        if self.gene.count("*") != 1:
            raise ValueError('gene has one star, which stands for the name of the gene: gene = "*_rnaseq"')
        if self.gene != "*" and self.sets is None:
            raise ValueError("gene belongs to sets")
        return self
