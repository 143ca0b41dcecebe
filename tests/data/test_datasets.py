"""Bytes to arrays: what a CSV file is taken for, and every bad cell by row and column."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from backpropd.data.builtin import builtin, builtin_list
from backpropd.data.inline import from_inline
from backpropd.data.prepare import prepare
from backpropd.data.reading import read as read_file
from backpropd.data.scaling import Scaling
from backpropd.data.splits import split
from backpropd.data.table import Dataset
from backpropd.spec.base import parse
from backpropd.spec.dataset import InlineDatasetSpec, UploadSpec
from backpropd.spec.faults import Invalid
from backpropd.spec.limits import LIMITS, Limits
from backpropd.spec.training import TrainingSpec


def read(text: str | bytes, limits: Limits = LIMITS, **options: Any) -> Dataset:
    content = text.encode() if isinstance(text, str) else text
    with TemporaryDirectory() as folder:
        path = Path(folder) / "upload"
        path.write_bytes(content)
        return read_file(path, parse(UploadSpec, options), limits=limits)


def refused(text: str | bytes, limits: Limits = LIMITS, **options: Any) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        read(text, limits, **options)
    return [(fault.code, fault.detail) for fault in caught.value.faults]


def test_words_in_the_last_column_are_classes() -> None:
    dataset = read("a,b,kind\n1,2,y\n3,4,x\n5,6,y\n")

    assert dataset.inputs.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert dataset.targets.tolist() == [[0, 1], [1, 0], [0, 1]]
    assert (dataset.classes, dataset.task) == (("x", "y"), "classification")
    assert dataset.input_names == ("a", "b")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_dialects(separator: str, newline: str, mark: str) -> None:
    rows = [["a", "b"], ["1", "2.5"], ["3", "4"]]
    dataset = read(mark + newline.join(separator.join(row) for row in rows))

    assert (dataset.input_names, dataset.inputs.tolist()) == (("a",), [[1], [3]])
    assert (dataset.task, dataset.targets.tolist()) == ("regression", [[2.5], [4]])


def test_a_file_without_header_gets_names() -> None:
    dataset = read("1,2,0\n3,4,1\n")

    assert dataset.input_names == ("column1", "column2")
    assert (dataset.rows, dataset.classes, dataset.targets.shape) == (2, ("0", "1"), (2, 1))
    assert read("1,2,0\n3,4,1\n", header=True).rows == 1


def test_words_among_inputs_become_one_column_each() -> None:
    dataset = read("colour,size,y\nred,1,2\nblue,2,3\n")

    assert dataset.input_names == ("colour=blue", "colour=red", "size")
    assert dataset.inputs.tolist() == [[0, 1, 1], [1, 0, 2]]
    assert dataset.columns[0].categories == ("blue", "red")


def test_columns_are_chosen_by_name() -> None:
    dataset = read("a,b,c\n1,2,3\n4,5,6\n", inputs=["c"], targets=["a", "b"])

    assert (dataset.input_names, dataset.target_names) == (("c",), ("a", "b"))
    assert dataset.targets.tolist() == [[1, 2], [4, 5]]


def test_numbers_as_classes_where_asked_for() -> None:
    dataset = read("a,digit\n1,7\n2,3\n3,7\n", task="classification")

    assert (dataset.classes, dataset.targets.tolist()) == (("3", "7"), [[0, 1], [1, 0], [0, 1]])


def test_every_bad_cell_is_named_by_row_and_column() -> None:
    found = refused("a,b,c\n1,abc,2\n3,,4\n5,inf,6\n7,8,NaN\n")

    assert found == [
        ("not_a_number", "row 2, column 'b': 'abc' is not a number"),
        ("missing", "row 3, column 'b': the cell is empty or says that it is"),
        ("not_finite", "row 4, column 'b': 'inf' is not a finite number"),
        ("missing", "row 5, column 'c': the cell is empty or says that it is"),
    ]


def test_rows_are_lines_also_with_quoted_newlines() -> None:
    found = refused('name,x,y\n"two\nlines",1,2\nb,,3\n')

    assert found == [("missing", "row 4, column 'x': the cell is empty or says that it is")]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("a,b\n", "empty"),
        ("a,a\n1,2\n", "duplicate_column"),
        ("a,b\n1,2,3\n", "uneven_row"),
        ("a\n1\n2\n", "empty"),
        (b"\xff\xfea,b\n1", "not_utf8"),
        (b"a,b\n" + b"1,2\n" * 50_000 + b"3,\xff\n", "not_a_number"),
        ('a,b\n"1,2\n', "bad_csv"),
        ("a,b\n1,2\0\n", "bad_text"),
    ],
)
def test_what_is_no_dataset_is_refused(text: str | bytes, code: str) -> None:
    assert code in [found for found, _ in refused(text)]


def test_unknown_columns_are_refused_with_the_closest() -> None:
    found = refused("width,height,y\n1,2,3\n", inputs=["widht"])

    assert "Did you mean 'width'" in found[0][1]
    assert refused("a,b\n1,2\n", inputs=["b"], targets=["b"])[0][0] == "contradiction"
    assert refused("a,b\n1,x\n", task="regression")[0][0] == "contradiction"


def test_too_many_cells_are_refused() -> None:
    assert refused("a,b\n1,2\n3,4\n", Limits(dataset_cells=3))[0][0] == "too_large"


def test_a_long_line_is_refused() -> None:
    assert refused("a,b\n" + "x" * 300_000 + ",1\n")[0][0] == "bad_csv"


def test_faults_are_cut_off_at_fifty() -> None:
    found = refused("a,b\n" + "".join(f"{n},\n" for n in range(200)))

    assert len(found) == 51
    assert found[-1] == ("more_faults", "and 150 more bad cells")


def test_constant_and_repeated_columns_are_reported() -> None:
    dataset = read("a,b,c,y\n1,5,1,0\n2,5,2,1\n3,5,3,1\n")

    assert dataset.warnings == ("column 'b' is constant", "column 'c' repeats column 'a'")


def test_content_is_known_by_its_hash() -> None:
    first, same = read("a,b\n1,2\n3,5\n"), read("a;b\n1.0;2\n3;5.0\n")
    other, scaled = read("a,b\n1,2\n3,6\n"), read("a,b\n1,2\n3,5\n", scaling="minmax")

    assert first.sha256 == same.sha256
    assert len({first.sha256, other.sha256, scaled.sha256}) == 3


@pytest.mark.parametrize("name", [each.name for each in builtin_list()])
def test_built_in_sets_survive_a_round_trip(name: str) -> None:
    dataset = builtin(f"builtin:{name}")
    back = Dataset.from_bytes(dataset.to_bytes())

    assert dataset.sha256 == back.sha256
    assert dataset.schema() == back.schema()
    assert np.isfinite(dataset.inputs).all()


def test_families_of_built_in_sets() -> None:
    assert builtin("parity-10").inputs.shape == (1024, 10)
    assert builtin("encoder-12-4-12").targets.shape == (12, 12)
    assert builtin("xor").targets.tolist() == [[0], [1], [1], [0]]
    for unknown in ("parity-1", "parity-11", "encoder-8-3-9", "encoder-65-2-65", "irs"):
        with pytest.raises(Invalid, match="no built-in dataset"):
            builtin(unknown)


def test_the_example_file_is_iris() -> None:
    with open("examples/iris.csv", "rb") as file:
        dataset, iris = read(file.read()), builtin("iris")

    assert (dataset.inputs == iris.inputs).all()
    assert (dataset.targets == iris.targets).all()
    assert (dataset.classes, dataset.input_names) == (iris.classes, iris.input_names)


def test_inline_rows_are_taken_as_they_are() -> None:
    spec = parse(InlineDatasetSpec, {"inputs": [[0, 1], [1, 0]], "targets": [[0.5], [2]]})
    dataset = from_inline(spec)

    assert (dataset.task, dataset.classes) == ("regression", None)
    with pytest.raises(Invalid, match="one column of 0 and 1"):
        from_inline(spec.model_copy(update={"task": "classification"}))


def test_a_split_is_stratified_repeatable_and_whole() -> None:
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    how: dict[str, Any] = {"method": "stratified", "labels": labels, "groups": None}
    train, held = split(100, 0.2, np.random.default_rng(3), **how)
    again = split(100, 0.2, np.random.default_rng(3), **how)

    assert sorted([*train, *held]) == list(range(100))
    assert np.bincount(labels[held]).tolist() == [12, 6, 2]
    assert (train == again[0]).all()


@pytest.mark.parametrize(("rows", "fraction"), [(2, 0.01), (2, 0.99), (3, 0.5)])
def test_a_split_leaves_nobody_empty(rows: int, fraction: float) -> None:
    train, held = split(
        rows, fraction, np.random.default_rng(0), method="random", labels=None, groups=None
    )

    assert len(train) >= 1
    assert len(held) >= 1


@pytest.mark.parametrize("kind", ["none", "standard", "minmax"])
def test_scaling_is_what_its_name_says(kind: str) -> None:
    X = np.random.default_rng(0).normal(5, 3, (50, 3))
    X[:, 2] = 4.0
    scaling = Scaling.fit(X, kind)
    scaled = scaling.apply(X)

    assert (Scaling.from_json(scaling.to_json()).apply(X) == scaled).all()
    if kind == "standard":
        assert scaled[:, :2].mean(axis=0) == pytest.approx(np.zeros(2), abs=1e-12)
        assert scaled[:, :2].std(axis=0) == pytest.approx(np.ones(2))
    elif kind == "minmax":
        assert (scaled[:, :2].min(axis=0).tolist(), scaled[:, :2].max(axis=0).tolist()) == (
            [0, 0],
            [1, 1],
        )
    else:
        assert (scaled == X).all()
    assert np.isfinite(scaled).all()


def test_scaling_learns_from_the_training_rows_alone() -> None:
    training = parse(TrainingSpec, {"loss": "cross_entropy", "validation": {"fraction": 0.3}})
    prepared = prepare(builtin("wine"), training, rng=np.random.default_rng(1))

    assert prepared.validation_inputs is not None
    assert prepared.inputs.mean(axis=0) == pytest.approx(np.zeros(13), abs=1e-12)
    assert abs(prepared.validation_inputs.mean(axis=0)).max() > 1e-3
