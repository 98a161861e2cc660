"""Gene sets of a genomic block, from the manifest to the cohort."""

from __future__ import annotations

import pytest

from folders import Folder
from osler.cohort.describe import describe
from osler.cohort.tables import read_cohort
from osler.errors import DataError

MANIFEST = """\
[cohort]
name = "x"
patient_id = "id"
[record]
table = "t.csv"
variables = [{ name = "age", type = "number" }]
[genomics]
kind = "expression"
table = "g.csv"
"""
PEOPLE = "id,age\na,1\nb,2\n"
GENES = "id,A_rna,B_rna,C_rna,D_rna,E_rna,F_rna\na,1,2,3,4,5,6\nb,2,3,4,5,6,7\n"
SETS = "FIRST\tx\ta\tB\tC\tD\tE\tZ\nSMALL\tx\tA\tB\tY\nSECOND\tx\tB\tC\tD\tE\tF\n"


def _read(tmp_path, options, sets=SETS):
    files = {"t.csv": PEOPLE, "g.csv": GENES, "s.gmt": sets}
    folder = Folder(files).put("cohort.toml", MANIFEST + options)
    return read_cohort(folder.write(tmp_path), outcome=False)


def test_sets_name_measured_features(tmp_path):
    cohort = _read(tmp_path, 'sets = "s.gmt"\ngene = "*_rna"\n')
    block = cohort.genomics["expression"]
    assert block.sets == {
        "FIRST": ("A_rna", "B_rna", "C_rna", "D_rna", "E_rna"),
        "SECOND": ("B_rna", "C_rna", "D_rna", "E_rna", "F_rna"),
    }
    assert "s.gmt" in cohort.sources
    told = "2 of 3 gene sets have 5 or more measured members; 2 of 8 genes named were not measured"
    assert block.sets_told == told
    shown = next(row for row in describe(cohort)["modalities"] if row["modality"] == "expression")
    assert shown["size"] == f"6 features ({told})"
    assert cohort.subset([1]).genomics["expression"].sets == block.sets


def test_sets_are_content(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    one = _read(tmp_path / "one", 'sets = "s.gmt"\ngene = "*_rna"\n')
    other = _read(tmp_path / "other", 'sets = "s.gmt"\ngene = "*_rna"\n', SETS.replace("SECOND", "THIRD"))
    assert one.digest != other.digest


def test_sets_of_other_identifiers_are_refused(tmp_path):
    with pytest.raises(DataError, match="none of 3 sets; 8 of 8 genes"):
        _read(tmp_path, 'sets = "s.gmt"\n')


def test_too_many_sets_are_refused(tmp_path):
    many = "".join(f"S{i}\tx\tA\tB\tC\tD\tE\n" for i in range(501))
    with pytest.raises(DataError, match="at most 500 gene sets"):
        _read(tmp_path, 'sets = "s.gmt"\ngene = "*_rna"\n', many)


@pytest.mark.parametrize("options", ['gene = "*_rna"\n', 'sets = "s.gmt"\ngene = "_rna"\n'])
def test_a_pattern_without_star_or_sets_is_refused(tmp_path, options):
    with pytest.raises(DataError, match="gene "):
        _read(tmp_path, options)
