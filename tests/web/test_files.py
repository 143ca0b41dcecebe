"""The files of the pages as they are sent, without a browser: policy, caching, size."""

from __future__ import annotations

import gzip
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from backpropd.settings import Settings
from service.app import create_app
from service.web import pages

FIRST_VIEW_BYTES = 200_000


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    """The service without a database: its pages need none."""
    return create_app(Settings(database_url="sqlite:////nonexistent/none.sqlite")).test_client()


class Tags(HTMLParser):
    """Which tags a document has, and whether text stands in a script or style."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("script", "style") and data.strip():
            self.inline.append(data)


def test_every_page_has_one_document(client: FlaskClient) -> None:
    documents = {
        client.get(address.replace("<job_id>", "job_1")).get_data() for address in pages.ADDRESSES
    }

    assert 1 == len(documents)


def test_the_policy_allows_nothing_inline_and_nothing_from_outside(client: FlaskClient) -> None:
    policy = client.get("/").headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "require-trusted-types-for 'script'" in policy


def test_the_document_has_nothing_inline_and_names_files_that_are_there(
    client: FlaskClient,
) -> None:
    document = Tags(client.get("/").get_data(as_text=True))
    named = [
        address
        for tag, attrs in document.tags
        if tag in ("script", "link")
        for address in (attrs.get("src"), attrs.get("href"))
        if address
    ]

    assert not document.inline
    assert not [a for _, attrs in document.tags for a in attrs if a == "style" or a[:2] == "on"]
    assert len(named) >= 3
    for address in named:
        assert 200 == client.get(address).status_code, address


def test_a_file_is_kept_for_ever_and_compressed_for_who_can_read_it(client: FlaskClient) -> None:
    digest, _ = pages.assets()
    address = f"/assets/{digest}/app.js"
    plain = client.get(address)
    packed = client.get(address, headers={"Accept-Encoding": "gzip, br"})
    again = client.get(
        address, headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]}
    )

    assert "immutable" in plain.headers["Cache-Control"]
    assert "gzip" == packed.headers["Content-Encoding"]
    assert plain.get_data() == gzip.decompress(packed.get_data())
    assert plain.headers["ETag"] != packed.headers["ETag"]
    assert "Accept-Encoding" == packed.headers["Vary"]
    assert (304, b"") == (again.status_code, again.get_data())


def test_the_document_is_asked_for_again_and_answers_304(client: FlaskClient) -> None:
    first = client.get("/")
    again = client.get("/", headers={"If-None-Match": first.headers["ETag"]})

    assert "no-cache" == first.headers["Cache-Control"]
    assert 304 == again.status_code
    assert "Content-Security-Policy" in again.headers


@pytest.mark.parametrize(
    "path",
    [
        "/assets/0000000000000000/app.js",
        "/assets/{digest}/nothing.js",
        "/assets/{digest}/index.html",
        "/assets/{digest}/../pages.py",
        "/assets/{digest}/%2e%2e/pages.py",
        "/assets/{digest}//etc/passwd",
        "/assets/{digest}/vendor/README.md",
    ],
)
def test_no_other_file_is_served(client: FlaskClient, path: str) -> None:
    digest, _ = pages.assets()

    assert 404 == client.get(path.replace("{digest}", digest)).status_code


def test_every_module_imports_files_that_are_there() -> None:
    _, files = pages.assets()
    for name, file in files.items():
        if not name.endswith(".js") or name.startswith("vendor/uplot"):
            continue
        for found in re.findall(rb'(?:from|import)\s*\(?"(\.[^"]+)"', file.content):
            wanted = (pages.FILES / Path(name).parent / found.decode()).resolve()

            assert wanted.is_file(), (name, found)


def test_all_files_together_are_less_than_a_first_view_may_be() -> None:
    """
    Whichever page is seen first: it can't load more than there is.
    """
    _, files = pages.assets()

    assert sum(len(file.compressed) for file in files.values()) < FIRST_VIEW_BYTES
