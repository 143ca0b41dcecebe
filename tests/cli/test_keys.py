"""`backpropd keys`: the key alone on standard output, and every wrong word told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.test_app import backpropd, migrated_in


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Commands on a new database."""
    return migrated_in(tmp_path)


def test_a_key_is_made_listed_replaced_and_revoked(environment: dict[str, str]) -> None:
    arguments = ["--owner", "alice", "--scope", "read", "--expires", "90d", "--name", "laptop"]
    made = backpropd("keys", "create", *arguments, **environment)
    key_id = made.stderr.split(":")[0]
    listed = backpropd("keys", "list", **environment).output
    replaced = backpropd("keys", "rotate", key_id, "--overlap", "30m", **environment)
    revoked = backpropd("keys", "revoke", key_id, **environment)
    states = backpropd("keys", "list", **environment).output

    for key in (made.stdout, replaced.stdout):
        assert re.fullmatch(r"bp_[0-9a-f]{12}_[0-9a-f]{64}\n", key)
    assert made.stdout.split("_")[1] in listed
    assert made.stdout.strip() not in listed
    for shown in (key_id, "alice", "laptop", "until"):
        assert shown in listed
    assert f"{key_id} is revoked." in revoked.output
    assert "revoked" in states


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["create"], "Missing option '--owner'"),
        (["create", "--owner", "Alice C."], "owner: "),
        (["create", "--owner", "a", "--scope", "read,root"], "scopes/1: "),
        (["create", "--owner", "a", "--expires", "soon"], "expires_at: "),
        (["create", "--owner", "a", "--expires", "2020-01-01T00:00:00Z"], "is past"),
        (["revoke", "key_x"], "There is no key 'key_x'."),
        (["rotate", "key_x"], "There is no key 'key_x'."),
        (["rotate", "key_x", "--overlap", "3"], "--overlap is a number and m, h or d"),
        (["rotate", "key_x", "--overlap", "99999d"], "overlap_seconds: "),
    ],
    ids=" ".join,
)
def test_what_cannot_be_is_told(
    arguments: list[str], sentence: str, environment: dict[str, str]
) -> None:
    result = backpropd("keys", *arguments, **environment)

    assert result.exit_code in (1, 2)
    assert sentence in result.output
    assert "Traceback" not in result.output
    assert "alice" not in backpropd("keys", "list", **environment).output


def test_a_database_of_another_version_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'empty.sqlite'}"
    result = backpropd("keys", "list", BACKPROPD_DATABASE_URL=url)

    assert 1 == result.exit_code
    assert "run `backpropd migrate`" in result.output
