"""Datasets over HTTP: in every form that is accepted, and refused by row and column."""

from __future__ import annotations

import gzip
import io
from typing import Any

import pytest
from werkzeug.test import TestResponse

from backpropd.spec.limits import LIMITS
from tests.jobs import mazur_job
from tests.service.client import CheckingClient, details, faults
from tests.service.conftest import Service

CSV = "a,b,kind\n1,2,x\n3,4,y\n5,6,x\n"
ROWS = {"inputs": [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]], "targets": [[0.0], [1.0], [1.0]]}


def raw(client: CheckingClient, content: str | bytes, query: str = "") -> TestResponse:
    """A CSV file as the body."""
    return client.post(f"/v1/datasets{query}", data=content, content_type="text/csv")


def form(
    client: CheckingClient, content: bytes, file: str = "x.csv", **fields: Any
) -> TestResponse:
    """A CSV file as a form's field."""
    data = {"file": (io.BytesIO(content), file), **fields}
    return client.post("/v1/datasets", data=data, content_type="multipart/form-data")


def test_a_file_that_is_uploaded_is_described(client: CheckingClient) -> None:
    made = form(client, CSV.encode(), "flowers.csv")
    dataset = made.get_json()

    assert 201 == made.status_code
    assert f"/v1/datasets/{dataset['id']}" == made.headers["Location"]
    assert dataset["id"].startswith("ds_")
    expected = {
        "object": "dataset",
        "name": "flowers.csv",
        "status": "ready",
        "task": "classification",
        "rows": 3,
        "inputs": ["a", "b"],
        "targets": ["x", "y"],
        "classes": ["x", "y"],
        "scaling": "none",
        "warnings": [],
    }
    assert expected == {name: dataset[name] for name in expected}
    assert dataset == client.get(made.headers["Location"]).get_json()


def test_every_form_of_the_same_content_is_one_dataset(client: CheckingClient) -> None:
    """
    201 for what is new, 200 for what is here.
    """
    answers = [form(client, CSV.encode()), raw(client, CSV), raw(client, CSV.replace("\n", "\r\n"))]

    assert [201, 200, 200] == [answer.status_code for answer in answers]
    assert 1 == len({answer.get_json()["id"] for answer in answers})
    assert 1 == len(client.get("/v1/datasets").get_json()["data"])


def test_another_reading_of_the_same_file_is_another_dataset(client: CheckingClient) -> None:
    answers = [
        raw(client, CSV),
        raw(client, CSV, "?scaling=standard"),
        raw(client, CSV, "?inputs=a"),
    ]

    assert [201, 201, 201] == [answer.status_code for answer in answers]
    assert 3 == len({answer.get_json()["sha256"] for answer in answers})


def test_rows_may_come_in_the_request(client: CheckingClient) -> None:
    made = client.post("/v1/datasets", json=ROWS | {"name": "some"})
    dataset = made.get_json()
    rows = client.get(f"{made.headers['Location']}/rows").get_json()

    assert ("some", "classification", 3) == (dataset["name"], dataset["task"], dataset["rows"])
    assert ["0", "1"] == dataset["classes"]
    assert ROWS == {name: rows[name] for name in ROWS}


def test_a_form_says_which_columns_are_what(client: CheckingClient) -> None:
    dataset = form(
        client, b"a;b;c;d\n1;2;3;4\n5;6;7;9\n", inputs="d, a", targets="b", task="regression"
    ).get_json()

    assert (["d", "a"], ["b"], "regression") == (
        dataset["inputs"],
        dataset["targets"],
        dataset["task"],
    )


def test_the_schema_tells_of_every_column(client: CheckingClient) -> None:
    path = raw(client, "size,colour,y\n1,red,0.5\n3,blue,1.5\n").headers["Location"]
    schema = client.get(f"{path}/schema").get_json()

    assert ["size", "colour=blue", "colour=red"] == schema["inputs"]
    assert [("size", "number", 1.0, 3.0, 2.0), ("colour", "category", None, None, None)] == [
        tuple(column[fact] for fact in ("name", "kind", "min", "max", "mean"))
        for column in schema["columns"][:2]
    ]
    assert ["blue", "red"] == schema["columns"][1]["categories"]
    assert "target" == schema["columns"][2]["role"]


def test_rows_are_shown_encoded_and_as_many_as_asked_for(client: CheckingClient) -> None:
    path = raw(client, CSV).headers["Location"]
    rows = client.get(f"{path}/rows?limit=2").get_json()

    assert (3, [[1, 2], [3, 4]], [[1, 0], [0, 1]]) == (
        rows["total"],
        rows["inputs"],
        rows["targets"],
    )


@pytest.mark.parametrize("asked", ["?validate_only=true", "?validate_only=1&targets=b"])
def test_what_is_only_validated_is_described_and_not_stored(
    client: CheckingClient, asked: str
) -> None:
    verdict = raw(client, CSV, asked)

    assert (200, None, 3) == (
        verdict.status_code,
        verdict.get_json()["id"],
        verdict.get_json()["rows"],
    )
    assert [] == client.get("/v1/datasets").get_json()["data"]
    assert 422 == raw(client, "a,b\n1,\n", asked.replace("&targets=b", "")).status_code


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2\n3,x\n5,6\n", "row 3, column 'b': 'x' is not a number"),
        ("a,b\n1,2\n3,\n", "row 3, column 'b': the cell is empty"),
        ("a,b\n1,2\nNaN,4\n", "row 3, column 'a': the cell is empty or says that it is"),
        ("a,b\n1,2\ninf,4\n", "row 3, column 'a': 'inf' is not a finite number"),
        ("a,b\n1,2\n1e999,4\n", "row 3, column 'a': '1e999' is not a finite number"),
        ("a,b\n1,2\n3\n", "row 3, column 'a': 1 cells, where the first row has 2"),
        ("a,b\n1,2\n3,4,5\n", "row 3, column 'b': 3 cells, where the first row has 2"),
        ("a,a\n1,2\n", "Two columns have the same name: a"),
        ('a,b\n1,"2\n', "unexpected end of data"),
        ("", "no rows"),
        ("\n\n", "no rows"),
        ("a,b\n", "a header and no rows"),
        ("a\n1\n2\n", "nothing left to learn from"),
        (b"\xff\xfea,b\n1", "not utf-16"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "no text"),
        (CSV.encode("utf-16-le"), "no text"),
        ("a,b\n1,x\n2,x\n", "the same in every row"),
    ],
)
def test_a_bad_file_is_refused_with_the_reason(
    client: CheckingClient, content: str | bytes, said: str
) -> None:
    for refused in (
        raw(client, content),
        form(client, content if isinstance(content, bytes) else content.encode()),
    ):
        assert 422 == refused.status_code
        assert said in details(refused)
    assert [] == client.get("/v1/datasets").get_json()["data"]


def test_every_bad_cell_is_told_up_to_fifty(client: CheckingClient) -> None:
    lines = ["1,2"] * 100 + ["?,?"] * 40
    refused = raw(client, "a,b\n" + "\n".join(lines))
    told = refused.get_json()["errors"]

    assert 51 == len(told)
    assert "and 30 more bad cells" in told[-1]["detail"]


@pytest.mark.parametrize(
    ("query", "pointer", "said"),
    [
        ("targets=knd", "/targets/0", "Did you mean 'kind'?"),
        ("inputs=a,zz", "/inputs/1", "no column 'zz'"),
        ("inputs=a,kind", "/inputs", "kind can't be input and target at once"),
        ("task=regression", "/targets", "'kind' holds words"),
        ("task=clustering", "/task", "no name 'clustering'"),
        ("scaling=log", "/scaling", "no name 'log'"),
        ("header=perhaps", "/header", "header is true or false"),
        ("colums=a", "/colums", "no field 'colums'"),
        ("validate_only=perhaps", "/validate_only", "validate_only is true or false"),
    ],
)
def test_an_option_that_means_nothing_is_refused(
    client: CheckingClient, query: str, pointer: str, said: str
) -> None:
    refused = raw(client, CSV, f"?{query}")

    assert [pointer] == list(faults(refused))
    assert said in details(refused)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({}, {"/inputs": "missing", "/targets": "missing"}),
        ({"inputs": [], "targets": []}, {"/inputs": "out_of_range", "/targets": "out_of_range"}),
        ({"inputs": [[]], "targets": [[1]]}, {"/inputs/0": "out_of_range"}),
        ({"inputs": [[1]], "targets": [[1], [2]]}, {"/targets": "shape_mismatch"}),
        ({"inputs": [[1, 2], [1]], "targets": [[1], [2]]}, {"/inputs/1": "shape_mismatch"}),
        ({"inputs": [["NaN"]], "targets": [[1]]}, {"/inputs/0/0": "not_finite"}),
        (
            {"inputs": [[None]], "targets": [["a"]]},
            {"/inputs/0/0": "wrong_type", "/targets/0/0": "wrong_type"},
        ),
        (
            {"inputs": [[1]], "targets": [[5]], "task": "classification"},
            {"/targets": "not_classes"},
        ),
    ],
)
def test_rows_that_are_no_dataset_are_refused(
    client: CheckingClient, rows: dict[str, Any], expected: dict[str, str]
) -> None:
    assert expected == faults(client.post("/v1/datasets", json=rows))


def test_a_file_beside_no_form_field_is_missed(client: CheckingClient) -> None:
    data = {"upload": (io.BytesIO(CSV.encode()), "x.csv")}
    refused = client.post("/v1/datasets", data=data, content_type="multipart/form-data")

    assert {"/file": "missing"} == faults(refused)


def test_options_beside_a_form_belong_into_it(client: CheckingClient) -> None:
    data = {"file": (io.BytesIO(CSV.encode()), "x.csv")}
    refused = client.post("/v1/datasets?targets=a", data=data, content_type="multipart/form-data")

    assert {"/targets": "unknown_field"} == faults(refused)


@pytest.mark.parametrize("kind", ["application/xml", "text/plain", ""])
def test_a_file_of_another_type_is_refused(client: CheckingClient, kind: str) -> None:
    refused = client.post("/v1/datasets", data=b"PAR1", content_type=kind)

    assert 415 == refused.status_code
    assert "text/csv" in refused.get_json()["detail"]


def test_a_compressed_body_is_refused_by_name(client: CheckingClient) -> None:
    refused = client.post(
        "/v1/datasets",
        data=gzip.compress(CSV.encode()),
        content_type="text/csv",
        headers={"Content-Encoding": "gzip"},
    )

    assert (415, "unsupported_encoding") == (refused.status_code, refused.get_json()["code"])


def test_a_file_may_be_compressed_and_of_any_format(client: CheckingClient) -> None:
    """
    By its type or by its name; what it is said to be, and is not, is refused.
    """
    packed = gzip.compress(CSV.encode())
    lines = b'{"a": 1, "b": 2, "kind": "x"}\n{"a": 3, "b": 4, "kind": "y"}\n'
    answers = [
        client.post("/v1/datasets", data=packed, content_type="application/gzip"),
        form(client, packed, "flowers.csv.gz"),
        raw(client, CSV),
        client.post("/v1/datasets", data=lines, content_type="application/x-ndjson"),
        form(client, lines, "flowers.jsonl"),
    ]
    wrong = client.post("/v1/datasets", data=CSV, content_type="application/x-parquet")

    assert [201, 200, 200, 201, 200] == [answer.status_code for answer in answers]
    assert "said to be parquet" in details(wrong)


def test_a_bomb_is_refused(client: CheckingClient) -> None:
    bomb = gzip.compress(b"1,2\n" * 30_000_000, compresslevel=1)
    refused = client.post("/v1/datasets", data=bomb, content_type="application/gzip")

    assert {"": "too_large"} == faults(refused)


def test_a_file_that_is_too_large_is_refused_unread(client: CheckingClient) -> None:
    """
    The body's limit is told by its announced length, before a byte of it is read.
    """
    announced = client.post(
        "/v1/datasets",
        data=b"a,b\n",
        content_type="text/csv",
        environ_overrides={"CONTENT_LENGTH": str(LIMITS.body_bytes + 1)},
    )
    sent = raw(client, b" " * (LIMITS.dataset_bytes + 1))

    assert [413, 413] == [announced.status_code, sent.status_code]


def test_a_files_name_is_kept_as_far_as_it_can_be_shown(service_on_both: Service) -> None:
    """
    A client may send any file name, also one that PostgreSQL could not store.
    """
    dataset = form(service_on_both.client, CSV.encode(), "a\0b" + "c" * 300 + ".csv").get_json()

    assert "ab" + "c" * 198 == dataset["name"]


def test_the_largest_numbers_are_described_without_overflow(service_on_both: Service) -> None:
    """
    The sum of a column may be too large for a number; its mean is not.
    """
    rows = {"inputs": [[1.5e308], [1.7e308]], "targets": [[-1.5e308], [-1.7e308]]}
    columns = service_on_both.client.post("/v1/datasets", json=rows).get_json()["columns"]

    assert [1.6e308, -1.6e308] == pytest.approx([column["mean"] for column in columns])


def test_classes_that_are_numbers_have_names_of_their_own(client: CheckingClient) -> None:
    content = "a,y\n1,1234567\n2,1234568\n3,0.5\n"
    dataset = raw(client, content, "?task=classification").get_json()

    assert ["0.5", "1234567", "1234568"] == dataset["classes"]


def test_datasets_are_listed_newest_first_without_the_built_in_ones(service: Service) -> None:
    client = service.client
    made = [raw(client, f"a,b\n{i},2\n{i},3\n").get_json()["id"] for i in range(3)]
    service.submit(
        mazur_job()
        | {
            "dataset": "builtin:xor",
            "network": {"inputs": 2, "layers": [{"units": 1, "activation": "logistic"}]},
        }
    )
    first = client.get("/v1/datasets?limit=2").get_json()
    second = client.get(f"/v1/datasets?limit=2&cursor={first['next_cursor']}").get_json()

    assert made[::-1] == [each["id"] for page in (first, second) for each in page["data"]]


def test_the_built_in_ones_can_all_be_asked_for(client: CheckingClient) -> None:
    listed = client.get("/v1/datasets/builtin").get_json()["data"]
    names = {each["name"] for each in listed}

    assert {
        "builtin:xor",
        "builtin:parity-4",
        "builtin:encoder-8-3-8",
        "builtin:iris",
        "builtin:wine",
        "builtin:breast_cancer",
        "builtin:digits",
    } <= names
    iris = next(each for each in listed if each["name"] == "builtin:iris")
    assert (150, 4, 3) == (iris["rows"], iris["inputs"], iris["targets"])
    assert "Fisher" in iris["source"]


def test_a_dataset_in_use_stays_until_its_jobs_are_gone(service_on_both: Service) -> None:
    client = service_on_both.client
    path = client.post("/v1/datasets", json=mazur_job()["dataset"]).headers["Location"]
    job = service_on_both.submit(mazur_job() | {"dataset": path.rsplit("/", 1)[1]})["id"]
    refused = client.delete(path)
    client.post(f"/v1/jobs/{job}/cancel")
    client.delete(f"/v1/jobs/{job}")

    assert (409, [job]) == (refused.status_code, refused.get_json()["jobs"])
    assert [204, 404] == [client.delete(path).status_code, client.get(path).status_code]
