"""Files of every format, in every dialect: what is made of them, and what is guessed."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backpropd.data.encoding import Encoding
from backpropd.data.reading import read
from backpropd.data.table import Dataset
from backpropd.spec.base import parse
from backpropd.spec.dataset import UploadSpec
from backpropd.spec.faults import Invalid
from backpropd.spec.limits import LIMITS, Limits

ROWS: list[dict[str, Any]] = [
    {"size": 1.5, "colour": "red", "old": True, "kind": "x"},
    {"size": 2.0, "colour": "blue", "old": False, "kind": "y"},
    {"size": 3.0, "colour": "red", "old": False, "kind": "x"},
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "upload"


def dataset_of(
    file: Path, content: bytes | str, limits: Limits = LIMITS, **options: Any
) -> Dataset:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(file, parse(UploadSpec, options), limits=limits)


def faults_of(file: Path, content: bytes | str, limits: Limits = LIMITS, **options: Any) -> str:
    with pytest.raises(Invalid) as caught:
        dataset_of(file, content, limits, **options)
    return "\n".join(f"{f.code} {f.detail}" for f in caught.value.faults)


def parquet_of(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def npz_of(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def csv_of_rows() -> str:
    lines = [f"{r['size']},{r['colour']},{str(r['old']).lower()},{r['kind']}\n" for r in ROWS]
    return "size,colour,old,kind\n" + "".join(lines)


def test_the_same_table_is_the_same_dataset_in_every_format(file: Path) -> None:
    as_csv = csv_of_rows()
    as_lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    as_lists = "".join(json.dumps(list(row.values())) + "\n" for row in ROWS)
    found = [
        dataset_of(file, as_csv),
        dataset_of(file, as_lines, file_format="jsonl"),
        dataset_of(file, parquet_of(pa.Table.from_pylist(ROWS))),
        dataset_of(file, gzip.compress(as_csv.encode())),
        dataset_of(file, gzip.compress(as_lines.encode()), file_format="jsonl"),
    ]

    assert len({dataset.sha256 for dataset in found}) == 1
    first = found[0]
    assert first.input_names == ("size", "colour=blue", "colour=red", "old=false", "old=true")
    assert first.inputs.tolist() == [[1.5, 0, 1, 0, 1], [2, 1, 0, 1, 0], [3, 0, 1, 1, 0]]
    lists = dataset_of(file, as_lists, file_format="jsonl")
    assert (lists.inputs == first.inputs).all()
    assert lists.input_names[0] == "column1"
    assert [each.reading["format"] for each in found] == ["csv", "jsonl", "parquet", "csv", "jsonl"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_dialects_and_encodings_are_told(file: Path, separator: str, encoding: str) -> None:
    words = ["Zürich", "Genève", "Straße", "Zürich", "Kraków" if encoding[0] == "u" else "Málaga"]
    rows = [["größe", "ort"], *[[str(n / 2), word] for n, word in enumerate(words)]]
    text = "".join(separator.join(row) + "\r\n" for row in rows * 1)
    dataset = dataset_of(file, text.encode(encoding))

    assert dataset.input_names == ("größe",)
    assert dataset.classes == tuple(sorted(set(words)))
    assert dataset.reading["separator"] == separator
    assert {"encoding", "separator", "header", "decimal", "targets", "inputs", "task"} <= set(
        dataset.reading["guessed"]
    )


def test_an_encoding_may_be_said(file: Path) -> None:
    content = "a,b\n1,кот\n2,пёс\n".encode("koi8-r")
    dataset = dataset_of(file, content, encoding="koi8-r")

    assert dataset.classes == ("кот", "пёс")
    assert "encoding" not in dataset.reading["guessed"]
    assert "not utf-8" in faults_of(file, content, encoding="utf-8")
    with pytest.raises(Invalid, match="no encoding of text"):
        parse(UploadSpec, {"encoding": "base64"})


def test_quotes_hold_separators_newlines_and_quotes(file: Path) -> None:
    dataset = dataset_of(file, 'a,b\n1,"x, ""y""\nz"\n2,w\n')
    other = dataset_of(file, "a,b\n1,'x, y'\n2,w\n", quote="'")

    assert dataset.classes == ("w", 'x, "y"\nz')
    assert other.classes == ("w", "x, y")


def test_decimal_commas(file: Path) -> None:
    told = dataset_of(file, "a;b\n1,5;2\n2,25;3,5\n")

    assert told.inputs.tolist() == [[1.5], [2.25]]
    assert told.targets.tolist() == [[2], [3.5]]
    assert told.reading["decimal"] == ","
    assert dataset_of(file, "a;b\n1.5;x\n2;y\n").reading["decimal"] == "."


def test_thousands_of_columns(file: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 100, (20, 5000))
    names = ",".join(f"gene{i}" for i in range(5000))
    text = names + ",y\n" + "".join(",".join(map(str, row)) + ",0.5\n" for row in values)
    dataset = dataset_of(file, text)

    assert (dataset.inputs == values).all()
    assert "at most 100" in faults_of(file, text, Limits(dataset_columns=100))


def test_roles_are_guessed_and_shown(file: Path) -> None:
    names = [f"person {i}" for i in range(30)]
    text = "id,name,age,group,y\n" + "".join(
        f"{i},{name},{20 + i % 7},{'ab'[i % 2]},{i % 2}\n" for i, name in enumerate(names)
    )
    dataset = dataset_of(file, text)
    named = dataset_of(file, text, inputs=["id", "age"])
    grouped = dataset_of(file, text, groups="group", ignore=["age"], inputs=["id"])

    assert dataset.input_names == ("age", "group=a", "group=b")
    roles = {column.name: column.role for column in dataset.columns}
    assert roles == {
        "id": "ignored",
        "name": "ignored",
        "age": "input",
        "group": "input",
        "y": "target",
    }
    assert [warning for warning in dataset.warnings if "ignored" in warning] == [
        "column 'id' is ignored: it numbers the rows, by its name",
        "column 'name' is ignored: it has another word in every row, as names have",
    ]
    assert named.input_names == ("id", "age")
    assert grouped.groups is not None
    assert grouped.groups.tolist() == [i % 2 for i in range(30)]
    assert grouped.sha256 != dataset_of(file, text, inputs=["id"]).sha256


def test_the_row_numbers_of_other_programs_are_ignored(file: Path) -> None:
    dataset = dataset_of(file, '"","a","y"\n"1",5,1.5\n"2",6,2.5\n')

    assert dataset.input_names == ("a",)
    assert "has no name, as row numbers have" in dataset.warnings[0]
    assert dataset_of(file, "1,5,1.5\n2,6,2.5\n").input_names == ("column1", "column2")


@pytest.mark.parametrize(
    ("rule", "expected"), [("mean", 2.5), ("median", 1.5), ("most_frequent", 1.0)]
)
def test_missing_numbers_are_filled_by_the_rule_from_training_rows(
    file: Path, rule: str, expected: float
) -> None:
    text = "a,w,y\n1,u,0\n1,v,1\n2,v,0\n,,1\n6,v,1\nNA,u,0\n1000,u,1\n"
    dataset = dataset_of(file, text, missing=rule)
    rows = np.arange(6)
    X = Encoding.fit(dataset, rows).inputs(dataset.inputs)

    assert X[3].tolist() == [expected, 0, 1]  # v is the word of most rows
    assert X[5].tolist() == [expected, 1, 0]
    assert dataset.columns[0].missing == 2
    assert np.isnan(dataset.inputs[3]).all()


def test_missing_values_are_refused_or_their_rows_dropped(file: Path) -> None:
    text = "a,w,y\n1,u,0\n,v,1\n2,,0\n3,u,\n4,v,1\n"
    dropped = dataset_of(file, text, missing="drop")

    assert dropped.inputs[:, 0].tolist() == [1, 4]
    assert dropped.reading["rows_dropped"] == 3
    told = faults_of(file, text)
    assert [line.split(":")[0] for line in told.splitlines()] == [
        "missing row 3, column 'a'",
        "missing row 4, column 'w'",
        "missing row 5, column 'y'",
    ]
    assert faults_of(file, text, missing="mean").splitlines() == [
        "missing row 5, column 'y': the cell is empty or says that it is"
    ]
    assert "empty" in faults_of(file, "a,b\n1,\n,2\n", missing="drop")


def test_words_and_scales_are_learned_from_training_rows_alone(file: Path) -> None:
    text = "a,w,y\n1,u,0.5\n3,v,1.5\n5,u,2.5\n100,z,9\n"
    dataset = dataset_of(file, text, scaling="standard", target_scaling="minmax")
    encoding = Encoding.fit(dataset, np.arange(3))
    X = encoding.inputs(dataset.inputs)
    T = encoding.targets(dataset.targets)

    assert X[:3, 0].mean() == pytest.approx(0)
    assert X[:3, 1:].tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0]]  # words are not scaled
    assert X[3, 1:].tolist() == [0, 0, 0]  # z is as good as unknown
    assert T[:, 0].tolist() == [0, 0.5, 1, 4.25]
    assert encoding.outputs(T).tolist() == dataset.targets.tolist()
    again = Encoding.from_json(json.loads(json.dumps(encoding.to_json())))
    assert (again.inputs(dataset.inputs) == X).all()


def test_classes_have_the_order_that_is_asked_for(file: Path) -> None:
    dataset = dataset_of(file, csv_of_rows(), classes=["y", "x", "w"])

    assert dataset.classes == ("y", "x", "w")
    assert dataset.targets.tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert "not listed: x" in faults_of(file, csv_of_rows(), classes=["y", "w"])


def test_arrays_are_columns_or_a_pair(file: Path) -> None:
    X, y = np.arange(12).reshape(6, 2), np.array([0, 1, 2, 0, 1, 2])
    pair = dataset_of(file, npz_of(X=X, y=y), task="classification")
    columns = dataset_of(file, npz_of(a=X[:, 0], b=X[:, 1] * 0.5, c=y > 1))

    assert (pair.inputs == X).all()
    assert (pair.classes, pair.input_names) == (("0", "1", "2"), ("x1", "x2"))
    assert columns.input_names == ("a", "b")
    assert columns.targets[:, 0].tolist() == [0, 0, 1, 0, 0, 1]
    assert dataset_of(file, npz_of(inputs=X, targets=np.eye(3)[y])).classes == ("y1", "y2", "y3")


def test_parquet_of_every_kind_of_number(file: Path) -> None:
    table = pa.table(
        {
            "i": pa.array([1, 2, None], pa.int8()),
            "f": pa.array([0.5, 1.5, 2.5], pa.float32()),
            "w": pa.array(["u", "v", "u"]).dictionary_encode(),
            "t": pa.array([1, 2, 3], pa.timestamp("s")),
            "y": pa.array([1.0, 2.0, 4.0]),
        }
    )
    dataset = dataset_of(file, parquet_of(table, row_group_size=2), missing="mean")

    assert dataset.input_names == ("i", "f", "w=u", "w=v")
    assert np.isnan(dataset.inputs[2, 0])
    assert dataset.inputs[1].tolist() == [2, 1.5, 0, 1]
    assert any("'t' is ignored: it holds timestamp" in warning for warning in dataset.warnings)
    assert "missing row 3, column 'i'" in faults_of(file, parquet_of(table))
    assert "holds timestamp" in faults_of(file, parquet_of(table), inputs=["t"])


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ('{"a": 1}\n{"a": }\n', {"file_format": "jsonl"}, "bad_json row 2"),
        ('{"a": 1, "b": 2}\n[1, 2]\n', {"file_format": "jsonl"}, "uneven_row row 2"),
        ('{"a": 1, "b": {}}\n', {"file_format": "jsonl"}, "wrong_type row 1, column 'b'"),
        ("[" * 100_000, {"file_format": "jsonl"}, "bad_json row 1"),
        (b"PAR1" + bytes(100), {}, "bad_parquet"),
        (b"PK\x03\x04" + bytes(100), {}, "bad_npz"),
        (b"\x1f\x8b" + bytes(100), {}, "bad_gzip"),
        (gzip.compress(b"a,b\n1,2\n" * 999, mtime=0)[:-20], {}, "bad_gzip"),
        ("a,b\n1,2\n", {"file_format": "parquet"}, "wrong_format"),
        ("a,b\n1,2\n", {"file_format": "npz"}, "wrong_format"),
        (npz_of(a=np.array([object()], object), b=np.zeros(1)), {}, "wrong_type"),
        (npz_of(a=np.zeros((2, 2, 2))), {}, "shape"),
        (npz_of(X=np.zeros((3, 2)), y=np.zeros(4)), {}, "shape_mismatch"),
        (npz_of(X=np.full((2, 1), np.inf), y=np.zeros(2)), {}, "not_finite row 1, column 'x1'"),
        ("a,b\n1,2\n", {"groups": "c"}, "no column 'c'"),
        ("a,b\n1,2\n", {"groups": "a"}, "nothing left to learn"),
        ("a,b,c\n1,2,3\n", {"inputs": ["a"], "ignore": ["a"]}, "can't be used and ignored"),
        ("a,b\n1,x\n2,y\n", {"target_scaling": "standard"}, "Classes are not scaled"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(
    file: Path, content: bytes | str, options: dict[str, Any], said: str
) -> None:
    assert said in faults_of(file, content, **options)
