"""From files to a Cohort: every way in which tables may be laid out."""

# ruff: noqa: E501 (an inline table of TOML must stay on one line)

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from folders import MANIFEST, Folder, N, identifier, npz, png
from osler.cohort.cohort import FlowStep
from osler.cohort.tables import read_cohort, validate
from osler.errors import DataError, UsageError

HEAD = '[cohort]\nname = "x"\npatient_id = "id"\n'
RECORD = '[record]\ntable = "t.csv"\nvariables = [{ name = "age", type = "number" }]\n'


def read(tmp_path, manifest, outcome=True, **files):
    """A cohort of a manifest and files; ``__`` in a name stands for the full stop."""
    folder = Folder({name.replace("__", "."): content for name, content in files.items()})
    return read_cohort(folder.put("cohort.toml", manifest).write(tmp_path), outcome=outcome)


def refused(tmp_path, manifest, **files):
    with pytest.raises(DataError) as caught:
        read(tmp_path, manifest, **files)
    return caught.value.violations


@pytest.fixture
def sound(tmp_path):
    return read_cohort(Folder().write(tmp_path))


# The sound cohort


def test_patients_and_flow(sound):
    assert len(sound) == N - 1
    assert sound.patients.tolist() == [identifier(i) for i in range(1, N)]
    assert sound.flow == (FlowStep("patients in record.csv", 0, N), FlowStep("prevalent disease", 1, N - 1))


def test_record(sound):
    assert sound.record["age"].tolist() == list(range(40, 51))
    assert sound.record["sex"].dtype == pd.CategoricalDtype(["male", "female"])
    assert sound.record["sex"].tolist()[:2] == ["male", "female"]
    assert sound.record["smoker"].dtype == np.float64
    age = sound.variables["age"]
    assert (age.label, age.unit, age.minimum, age.maximum, age.modality) == ("Age", "a", 18, 110, "record")


def test_visits_of_blocks_and_images_are_merged(sound):
    assert sound.visits.columns.tolist() == ["patient", "time", "sbp", "stage"]
    assert (sound.visits["patient"].dtype, sound.visits["time"].dtype) == (np.int64, np.float64)
    first = sound.visits[sound.visits["patient"] == 0]
    assert first["time"].tolist() == [0, 50, 100]  # 50 is known from an image alone
    assert first["sbp"].isna().tolist() == [False, True, False]
    assert first["stage"].isna().tolist() == [True, True, False]
    assert len(sound.visits) == 2 * (N - 1) + 6


def test_genomics(sound):
    block = sound.genomics["expression"]
    assert block.features == ("g1", "g2", "g3")
    assert block.values.dtype == np.float32
    np.testing.assert_array_equal(block.values[2], [2.5, -2, np.nan])
    assert block.available.tolist() == [True] * 10 + [False]


def test_images(sound):
    scan, slide = sound.images["scan"], sound.images["slide"]
    assert scan.values.shape == (12, 1, 16, 16)
    seen = sound.visits.iloc[scan.visit]
    assert list(zip(seen["patient"], seen["time"], strict=True)) == [(p, t) for p in range(6) for t in (0, 50)]
    np.testing.assert_allclose(scan.values[3].max(), (10 + 50) / 255, atol=1e-5)
    assert slide.values.shape == (8, 4)
    assert sound.visits.iloc[slide.visit]["time"].eq(0).all()
    assert slide.values[:, 0].tolist() == list(range(8))


def test_outcome_study_actions_sources(sound):
    assert sound.outcome.causes == ("stroke", "death")
    assert sound.outcome.time.tolist() == [200 + 10 * i for i in range(N - 1)]
    assert sound.outcome.event.tolist() == [i % 3 for i in range(N - 1)]
    assert sound.study.horizons == (365.25,)
    assert sound.actions[0].modifies == "sbp"
    assert sorted(sound.sources) == [
        "cohort.toml",
        "genes.csv",
        "images.csv",
        "outcome.csv",
        "pictures/ (12 files of 'scan')",
        "record.csv",
        "slides.npz",
        "visits.csv",
    ]
    assert all(len(digest) == 64 for digest in sound.sources.values())


def test_same_files_same_cohort_and_another_pixel_another(tmp_path, sound):
    again = read_cohort(Folder().write(tmp_path / "again"))
    assert (again.digest, again.sources) == (sound.digest, sound.sources)
    assert again.pseudonyms.tolist() == sound.pseudonyms.tolist()
    other = read_cohort(Folder().put(f"pictures/{identifier(1)}-0.png", png(77)).write(tmp_path / "other"))
    assert other.digest != sound.digest
    assert other.sources != sound.sources


def test_validate_is_empty_and_scoring_needs_no_outcome(tmp_path):
    folder = Folder().write(tmp_path)
    assert validate(folder) == []
    (folder / "outcome.csv").unlink()
    assert [v.rule for v in validate(folder)] == ["the file must exist"]
    scored = read_cohort(folder, outcome=False)
    assert scored.outcome is None
    assert len(scored) == N - 1


def test_pseudonyms_do_not_depend_on_the_outcome_or_on_the_criteria(tmp_path, sound):
    scored = read_cohort(Folder().write(tmp_path / "a"), outcome=False)
    assert scored.pseudonyms.tolist() == sound.pseudonyms.tolist()
    everyone = read_cohort(Folder().manifest("prevalent == 1", "prevalent == 2").write(tmp_path / "b"))
    assert everyone.pseudonyms.tolist()[: N - 1] == sound.pseudonyms.tolist()
    assert sorted(everyone.pseudonyms) == [f"P{i:04d}" for i in range(1, N + 1)]


def test_parquet_gives_what_csv_gives(tmp_path, sound):
    folder = Folder().write(tmp_path / "p")
    for name in ("record", "visits", "genes", "images", "outcome"):
        frame = pd.read_csv(folder / f"{name}.csv", dtype={"id": str}, na_values=["NA"])
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    text = (folder / "cohort.toml").read_text().replace('.csv"', '.parquet"')
    (folder / "cohort.toml").write_text(text)
    read_back = read_cohort(folder)
    pd.testing.assert_frame_equal(read_back.record, sound.record)
    pd.testing.assert_frame_equal(read_back.visits, sound.visits)
    np.testing.assert_array_equal(read_back.genomics["expression"].values, sound.genomics["expression"].values)
    np.testing.assert_array_equal(read_back.outcome.time, sound.outcome.time)


# Where the files lie


def test_root_by_argument_environment_and_manifest(tmp_path, monkeypatch):
    data, recipe = tmp_path / "data", tmp_path / "recipe"
    manifest = MANIFEST.replace('patient_id = "id"', 'patient_id = "id"\nroot = "sub"')
    Folder().write(data / "sub")
    Folder({"cohort.toml": manifest}).write(recipe)
    with pytest.raises(UsageError, match="--root"):
        read_cohort(recipe)
    assert len(read_cohort(recipe, data)) == N - 1
    monkeypatch.setenv("OSLER_DATA", str(data))
    assert len(read_cohort(recipe / "cohort.toml")) == N - 1
    with pytest.raises(UsageError, match="--root"):
        read_cohort(recipe, tmp_path)  # the argument comes first


def test_environment_leaves_manifests_beside_their_files_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("OSLER_DATA", str(tmp_path / "elsewhere"))
    assert len(read_cohort(Folder().write(tmp_path / "here"))) == N - 1


@pytest.mark.parametrize("root", ["..", "../other", "/etc", "a/../../b"])
def test_root_may_not_lead_out(tmp_path, root):
    (tmp_path / "other").mkdir()
    folder = Folder().manifest('patient_id = "id"', f'patient_id = "id"\nroot = "{root}"').write(tmp_path / "here")
    with pytest.raises(UsageError, match="below --root"):
        read_cohort(folder)


def test_no_manifest(tmp_path):
    with pytest.raises(UsageError, match=r"cohort\.toml"):
        read_cohort(tmp_path)


# Record


def test_identifiers_and_codes(tmp_path):
    manifest = HEAD + RECORD.replace(
        " }]\n",
        """ },
  { name = "site", type = "category", levels = { "01" = "north", 1 = "south", "x y" = "north" } },
  { name = "drug", column = "given", type = "flag", codes = { Yes = 1, No = 0 }, missing = ["?", 9] },
  { name = "lab", type = "number", codes = { "<0.1" = 0.05 }, factor = 10, missing = [-9] },
]
""",
    )
    cohort = read(
        tmp_path,
        manifest,
        t__csv="id,age,site,given,lab\n001,50,01,Yes,2\n01,51,1.0,No,<0.1\n1, 52 ,x y,?,-9.0\n2,53,,9,\n",
    )
    assert cohort.patients.tolist() == ["001", "01", "1", "2"]
    assert cohort.record["site"].tolist()[:3] == ["north", "south", "north"]
    assert cohort.variables["site"].levels == ("north", "south")
    np.testing.assert_array_equal(cohort.record["drug"], [1, 0, np.nan, np.nan])
    np.testing.assert_array_equal(cohort.record["lab"], [20, 0.05, np.nan, np.nan])
    assert cohort.outcome is None
    assert cohort.visits.columns.tolist() == ["patient", "time"]


def test_stored_truth_is_a_flag(tmp_path):
    Folder({"cohort.toml": HEAD + RECORD.replace("t.csv", "t.parquet").replace('"number"', '"flag"')}).write(tmp_path)
    pd.DataFrame({"id": [7, 8], "age": [True, False]}).to_parquet(tmp_path / "t.parquet")
    cohort = read_cohort(tmp_path)
    assert (cohort.patients.tolist(), cohort.record["age"].tolist()) == (["7", "8"], [1.0, 0.0])


@pytest.mark.parametrize(("policy", "values"), [("missing", [np.nan, 50, np.nan]), ("clip", [18, 50, 110])])
def test_values_outside(tmp_path, policy, values):
    manifest = HEAD + RECORD.replace('"number"', f'"number", min = 18, max = 110, outside = "{policy}"')
    cohort = read(tmp_path, manifest, t__csv="id,age\na,3\nb,50\nc,1000\n")
    np.testing.assert_array_equal(cohort.record["age"], values)
    step = cohort.flow[-1]
    assert (step.excluded, step.remaining, step.unit) == (2, 1, "rows")


def test_several_record_blocks(tmp_path):
    manifest = HEAD + (
        '[[record]]\nname = "clinical"\ntable = "t.csv"\nvariables = [{ name = "age", type = "number" }]\n'
        '[[record]]\nname = "blood"\ntable = "b.csv"\npatient_id = "pid"\nid_prefix = "X_"\nextra = "ignore"\nrepeated = "first"\n'
        'variables = [{ name = "b1", label = "First", type = "number", unit = "g" }]\n'
        'columns = [{ pattern = "b*", type = "number", except = ["b9"] }, { pattern = "f1:f2", type = "flag" }]\n'
    )
    blood = "pid,b1,b2,b9,f1,f2\nX_c,1,2,x,0,1\nX_a,3,,x,1,0\nX_a,9,9,x,1,0\nX_z,5,5,x,0,0\n"
    cohort = read(tmp_path, manifest, t__csv="id,age\na,1\nb,2\nc,3\n", b__csv=blood)
    np.testing.assert_array_equal(cohort.record["b1"], [3, np.nan, 1])
    np.testing.assert_array_equal(cohort.record["b2"], [np.nan, np.nan, 2])
    assert cohort.record.columns.tolist() == ["age", "b1", "b2", "f1", "f2"]
    assert cohort.variables["b1"].label == "First"
    assert {cohort.variables[v].modality for v in ("b1", "b2", "f1")} == {"blood"}
    assert cohort.flow[-1] == FlowStep("blood: rows of patients outside the record", 1, 3, "rows")


def test_patterns_never_take_identifiers_or_outcomes(tmp_path):
    manifest = HEAD + (
        '[record]\ntable = "t.csv"\ncolumns = [{ pattern = "*", type = "number" }]\n'
        '[outcome]\nname = "death"\ntime = "days"\nevent = "dead"\n'
    )
    cohort = read(tmp_path, manifest, t__csv="id,x,days,dead,y\na,1,9,1,2\nb,2,8,0,3\n")
    assert cohort.record.columns.tolist() == ["x", "y"]


# One table as record and visits


def test_one_table_as_record_and_visits(tmp_path):
    manifest = HEAD + (
        'time_unit = "years"\nexclude = [{ reason = "ill", where = "ill == 1" }, { reason = "elsewhere", where = "n > 4", table = "u.csv" }]\n'
        '[record]\ntable = "t.csv"\nwhere = "exam == 1"\nvariables = [{ name = "sex", type = "flag" }]\n'
        '[visits]\ntable = "t.csv"\ntime = "t"\nafter_end = "drop"\n'
        'variables = [{ name = "sbp", type = "number" }]\n'
        '[outcome]\nname = "cvd"\ntime = "years"\nevent = "cvd"\n'
    )
    rows = ["id,exam,t,sex,sbp,ill,years,cvd"]
    rows += ["a,1,0,1,120,0,6,1", "a,2,2,1,130,0,6,1", "a,3,7,1,140,0,6,1"]
    rows += ["b,1,0,0,110,1,9,0", "b,2,3,0,111,0,9,0", "c,2,1,0,100,0,4,0", "d,1,0,1,150,0,8,0", "e,1,0,1,160,0,8,0"]
    cohort = read(tmp_path, manifest, t__csv="\n".join(rows), u__csv="id,n\na,1\nd,5\nd,1\n")
    assert cohort.patients.tolist() == ["a", "e"]
    assert [(s.reason, s.excluded, s.remaining, s.unit) for s in cohort.flow] == [
        ("patients in t.csv", 0, 5, "patients"),
        ("no row with exam == 1", 1, 4, "patients"),
        ("ill", 1, 3, "patients"),
        ("elsewhere", 1, 2, "patients"),
        ("visits: rows after the end of follow-up", 1, 3, "rows"),
    ]
    assert cohort.visits["time"].tolist() == [0, 730.5, 0]
    assert cohort.outcome.time.tolist() == [6 * 365.25, 8 * 365.25]


def test_any_row_of_a_patient_may_exclude_them_when_the_first_is_kept(tmp_path):
    manifest = HEAD + (
        'exclude = [{ reason = "ill", where = "ill == 1" }]\n'
        '[record]\ntable = "t.csv"\nrepeated = "first"\nvariables = [{ name = "age", type = "number" }]\n'
        '[outcome]\nname = "death"\ntime = "days"\nevent = "dead"\n'
    )
    rows = ["id,age,ill,days,dead", "a,50,0,9,1", "a,50,1,9,1", "b,60,0,8,0"]
    cohort = read(tmp_path, manifest, t__csv="\n".join(rows))
    assert cohort.patients.tolist() == ["b"]


# Visits

OUTCOME = '[outcome]\nname = "death"\ntime = "days"\nevent = "dead"\n'
PEOPLE = "id,age,days,dead\na,1,100,1\nb,2,50,0\nc,3,60,0\n"


def visits(tmp_path, rows, options="", table="id,t,x"):
    manifest = (
        HEAD
        + RECORD
        + '[visits]\ntable = "v.csv"\ntime = "t"\nvariables = [{ name = "x", type = "number" }]\n'
        + options
    )
    return read(tmp_path, manifest + "\n" + OUTCOME, t__csv=PEOPLE, v__csv="\n".join([table, *rows]))


def test_policies_of_time(tmp_path):
    rows = ["a,-3,1", "a,,2", "a,5,3", "a,5,4", "a,100,5", "a,101,6", "b,51,7", "b,0,8"]
    options = 'before_zero = "{}"\nafter_end = "drop"\nmissing_time = "{}"\nduplicates = "{}"\n'
    kept = visits(tmp_path / "1", rows, options.format("keep", "drop", "first"))
    assert kept.visits[["patient", "time", "x"]].to_numpy().tolist() == [[0, -3, 1], [0, 5, 3], [0, 100, 5], [1, 0, 8]]
    assert [s.excluded for s in kept.flow if s.unit == "rows"] == [1, 2, 1]
    dropped = visits(tmp_path / "2", rows, options.format("drop", "1wk", "last"))
    assert dropped.visits[["patient", "time", "x"]].to_numpy().tolist() == [
        [0, 5, 4],
        [0, 7, 2],
        [0, 100, 5],
        [1, 0, 8],
    ]


def test_rounded_ends_of_follow_up(tmp_path):
    manifest = (
        HEAD.replace("\n", "\n", 1)
        + 'time_unit = "years"\n'
        + RECORD
        + '[visits]\ntable = "v.csv"\ntime = "t"\ntime_unit = "days"\nvariables = [{ name = "x", type = "number" }]\n'
        + OUTCOME
    )
    cohort = read(
        tmp_path,
        manifest,
        t__csv="id,age,days,dead\na,1,1.09517029898149,1\n",
        v__csv="id,t,x\na,400.0109517029893,1\n",
    )
    assert len(cohort.visits) == 1


def test_several_visit_blocks_share_a_row(tmp_path):
    options = '[[visits]]\nname = "lab"\ntable = "w.csv"\ntime = "t"\nvariables = [{ name = "k", type = "category", levels = ["u", "v"] }]\n'
    manifest = (
        HEAD
        + RECORD
        + '[[visits]]\ntable = "v.csv"\ntime = "t"\nvariables = [{ name = "x", type = "number" }]\n'
        + options
    )
    cohort = read(
        tmp_path, manifest, t__csv=PEOPLE, v__csv="id,t,x\na,0,1\nb,3,2\n", w__csv="id,t,k\nb,3,v\na,1,u\na,0.0,v\n"
    )
    assert cohort.visits[["patient", "time"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 3]]
    assert cohort.visits["x"].isna().tolist() == [False, True, False]
    assert cohort.visits["k"].tolist() == ["v", "u", "v"]
    assert cohort.variables["k"].modality == "lab"


def test_wide_visits(tmp_path):
    manifest = (
        HEAD
        + RECORD
        + (
            '[visits]\nlayout = "wide"\ntable = "t.csv"\nafter_end = "drop"\nvariables = [\n'
            '  { name = "ld", type = "number", columns = [{ column = "ld 0", at = "0d" }, { column = "ld 8", at = "8wk" }] },\n'
            '  { name = "grade", type = "category", levels = ["lo", "hi"], columns = [{ column = "g8", at = "56d" }] },\n]\n'
            + OUTCOME
        )
    )
    cohort = read(
        tmp_path, manifest, t__csv="id,age,days,dead,ld 0,ld 8,g8\na,1,100,1,9,7,hi\nb,2,50,0,8,6,lo\nc,3,60,0,,,lo\n"
    )
    assert cohort.visits[["patient", "time"]].to_numpy().tolist() == [[0, 0], [0, 56], [1, 0], [2, 56]]
    np.testing.assert_array_equal(cohort.visits["ld"], [9, 7, 8, np.nan])
    assert cohort.visits["grade"].tolist()[1:] == ["hi", np.nan, "lo"]
    assert cohort.flow[-1] == FlowStep("visits: rows after the end of follow-up", 1, 4, "rows")


# Genomics and images


def test_mutations_as_text(tmp_path):
    manifest = (
        HEAD
        + RECORD
        + '[genomics]\nkind = "mutation"\ntable = "m.csv"\ncolumns = ["*_mut"]\nwildtype = ["0", "WT"]\nmissing = ["?"]\n'
    )
    cohort = read(tmp_path, manifest, t__csv=PEOPLE, m__csv="id,p_mut,q_mut\na,0,V600E\nc,?,WT\nb,0.0,\n")
    np.testing.assert_array_equal(cohort.genomics["mutation"].values, [[0, 1], [0, np.nan], [np.nan, 0]])


def test_a_matrix_with_lists(tmp_path):
    manifest = (
        HEAD
        + RECORD
        + (
            '[genomics]\nkind = "dosage"\nname = "snps"\nmatrix = "m.npy"\npatients = "ids.txt"\nfeatures = "f.txt"\nid_prefix = "s-"\nextra = "ignore"\n'
        )
    )
    np.save(tmp_path / "m.npy", np.array([[0, 1], [2, 1], [1, 1]], dtype=np.int8))
    cohort = read(tmp_path, manifest, t__csv=PEOPLE, ids__txt="s-c\ns-a\ns-z\n", f__txt="rs1\nrs2\n")
    np.testing.assert_array_equal(cohort.genomics["snps"].values, [[2, 1], [np.nan, np.nan], [0, 1]])
    assert cohort.genomics["snps"].features == ("rs1", "rs2")
    assert set(cohort.sources) == {"cohort.toml", "t.csv", "m.npy", "ids.txt", "f.txt"}


def test_a_joined_index(tmp_path):
    manifest = (
        HEAD
        + RECORD
        + (
            '[images]\nname = "xray"\nindex = "i.csv"\njoin = { table = "j.csv", on = "source", to = "original" }\nfile = "png"\n'
            'folder = "p"\ntime = "t"\nmissing_time = "0d"\nduplicates = "last"\nwhere = "view == \'PA\'"\nsize = [8, 8]\nchannels = 3\n'
        )
    )
    (tmp_path / "p").mkdir()
    for name, value in (("1", 10), ("2", 20), ("3", 30)):
        (tmp_path / "p" / f"{name}.png").write_bytes(png(value))
    index = "id,source,view,t\na,s1,PA,\na,s2,PA,0\nb,s3,L,1\nb,s9,PA,1\nc,s3,PA,4\n"
    join = "original,png\ns1,1.png\ns2,2.png\ns2,2.png\ns3,3.png\n"
    cohort = read(tmp_path, manifest, t__csv=PEOPLE, i__csv=index, j__csv=join)
    block = cohort.images["xray"]
    assert block.values.shape == (2, 3, 8, 8)
    np.testing.assert_allclose(block.values.max(axis=(1, 2, 3)), [20 / 255, 30 / 255], atol=1e-6)
    assert cohort.visits.iloc[block.visit][["patient", "time"]].to_numpy().tolist() == [[0, 0], [2, 4]]
    assert [(s.reason, s.excluded) for s in cohort.flow[1:]] == [
        ("xray: rows without an image", 1),
        ("xray: further rows at the same time", 1),
    ]


def test_embeddings_in_columns_and_in_files(tmp_path):
    manifest = (
        HEAD
        + RECORD
        + (
            '[[images]]\nname = "cols"\nform = "embedding"\nindex = "i.csv"\ncolumns = ["e0:e1"]\ntime = "t"\n'
            '[[images]]\nname = "files"\nform = "embedding"\nindex = "i.csv"\nfile = "npy"\nfolder = "."\n'
        )
    )
    np.save(tmp_path / "1.npy", np.array([1.0, 2, 3]))
    cohort = read(tmp_path, manifest, t__csv=PEOPLE, i__csv="id,t,e0,e1,npy\nb,2,1,2,1.npy\na,1,,,\n")
    cols, files = cohort.images["cols"], cohort.images["files"]
    assert cols.values.tolist() == [[1, 2]]
    assert files.values.tolist() == [[1, 2, 3]]
    assert cohort.visits[["patient", "time"]].to_numpy().tolist() == [[1, 0], [1, 2]]
    assert (cols.visit.tolist(), files.visit.tolist()) == ([1], [0])


def test_pictures_of_nobody_are_not_opened(tmp_path):
    folder = Folder()
    folder.append("images.csv", f"{identifier(12)},0,not there.png")  # patient 12 is excluded
    assert len(read_cohort(folder.write(tmp_path)).images["scan"].visit) == 12


def test_no_images_at_all(tmp_path):
    folder = Folder().put("images.csv", "id,day,file\n").put("slides.npz", npz())
    cohort = read_cohort(folder.write(tmp_path))
    assert cohort.images["scan"].values.shape == (0, 1, 16, 16)
    assert len(cohort.images["slide"].values) == 0
    assert len(cohort.subset([0, 1]).visits) == 4


# Between the blocks


def test_actions_are_held_against_the_variables(tmp_path):
    folder = Folder().manifest('where = "sbp >= 140"', "where = \"spb >= 140 and sex == '1' and smoker == 'yes'\"")
    with pytest.raises(DataError) as caught:
        read_cohort(folder.write(tmp_path))
    assert [(v.column, v.found) for v in caught.value.violations] == [
        ("actions.1.where", "'spb'"),
        ("actions.1.where", "'1'"),
        ("actions.1.where", "'yes'"),
    ]
    assert "Did you mean sbp" in caught.value.violations[0].remedy


def test_a_pattern_may_not_bring_a_name_in_twice(tmp_path):
    manifest = (
        HEAD + RECORD + '[visits]\ntable = "t.csv"\ntime = "t"\ncolumns = [{ pattern = "age:x", type = "number" }]\n'
    )
    (found,) = refused(tmp_path, manifest, t__csv="id,age,x,t\na,1,2,0\n")
    assert found.found == "'age' again"


def test_wrong_separator_is_guessed_in_the_remedy_only(tmp_path):
    found = refused(tmp_path, HEAD + RECORD, t__csv="id;age\na;1\n")
    assert {v.column for v in found} == {"id", "age"}
    assert all('sep = ";"' in v.remedy for v in found)
