"""A reader who does what a document says: runs every block, in order, and compares what it prints.

Blocks are told apart by their language; there is none that nobody executes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OUTPUTS = ("text", "json")
BLOCK_SECONDS = 120

# What a reader types and a test cannot do as it stands, each by its name. The rest is bash.
PRELUDE = r"""
make() { command make --dry-run --directory "$ROOT" "$@" > /dev/null; }
pip() { [ "$*" = 'install .[postgres]' ] && grep -q '^postgres = ' "$ROOT/pyproject.toml"; }
docker() {  # no engine runs here; `make check` and test_laws.py hold the file itself
  [[ "$*" =~ ^compose\ run\ --rm\ api\ (keys\ create)\  ]] &&
    "$PYTHON" -m backpropd.cli ${BASH_REMATCH[1]} --help > /dev/null && return
  [[ "$*" =~ ^compose\ up\ --detach\ --scale\ ([a-z]+)=[0-9]+$ ]] &&
    grep -q "^  ${BASH_REMATCH[1]}:$" "$ROOT/docker-compose.yml" &&
    for name in $(grep -o 'BACKPROPD_[A-Z]*_PASSWORD' "$ROOT/docker-compose.yml" | sort -u); do
      [ -n "${!name}" ] || return 1
    done
}
backpropd() {
  case $1 in
    api|worker|reconcile)  # these stay, each in a terminal of its own
      "$PYTHON" -m backpropd.cli "$@" > "$1.log" 2>&1 & echo $! >> staying ;;
    *) "$PYTHON" -m backpropd.cli "$@" ;;
  esac
}
set -a  # what is assigned in one block is there in the next, as in one terminal
"""
# Runs block after block in one namespace, and tells for each what it printed and what it raised.
INTERPRETER = """
import contextlib, io, json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    place, text = json.loads(line)
    printed, raised = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(text, place, "exec"), names)
        except BaseException:
            raised = traceback.format_exc()
    print(json.dumps([printed.getvalue(), raised]), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a document."""

    language: str
    text: str
    place: str  # document:line


def blocks_of(document: Path) -> list[Block]:
    """The fenced blocks of a Markdown file, in order."""
    tokens = MarkdownIt("commonmark").parse(document.read_text())
    name = document.relative_to(ROOT)
    return [
        Block(token.info.strip(), token.content, f"{name}:{token.map[0] + 1}")
        for token in tokens
        if token.type == "fence" and token.map
    ]


class Reader:
    """Follows a document in an empty folder, with the examples beside it."""

    def __init__(
        self, folder: Path, address: str, instead: Mapping[str, str] | None = None
    ) -> None:
        """`instead` says what to read in the place of names that a document makes up."""
        self.folder, self.address, self.instead = folder, address, instead or {}
        self.interpreter: subprocess.Popen[str] | None = None
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("BACKPROPD_")},
            "ROOT": str(ROOT),
            "PYTHON": sys.executable,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        (folder / "examples").symlink_to(ROOT / "examples")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def follow(self, blocks: list[Block]) -> None:
        """Do all of it; AssertionError names the block that does not do what it says."""
        at = 0
        while at < len(blocks):
            block = blocks[at]
            if block.language in ("bash", "python"):
                run = self.bash if block.language == "bash" else self.python
                said = run(block)
                if at + 1 < len(blocks) and blocks[at + 1].language in OUTPUTS:
                    at += 1
                    compare(blocks[at], said)
            elif block.language == "json":
                self.ask(block)
            else:
                raise AssertionError(f"{block.place}: nobody executes a {block.language!r} block")
            at += 1

    def bash(self, block: Block) -> str:
        """Run it in the terminal of this document; what it prints."""
        after = self.folder / "environment"
        script = f"{PRELUDE}\n{self._read(block.text)}\nenv -0 > '{after}'\n"
        done = subprocess.run(
            ["bash", "-e", "-u", "-o", "pipefail", "-c", script],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment,
            timeout=BLOCK_SECONDS,
        )
        told = f"{block.place} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        assert done.returncode == 0, told
        pairs = filter(None, after.read_text().split("\0"))
        self.environment = dict(pair.split("=", 1) for pair in pairs)
        return done.stdout

    def python(self, block: Block) -> str:
        """Run it after the Python blocks before it, in a process of their own; what it prints."""
        if self.interpreter is None:
            self.interpreter = subprocess.Popen(
                [sys.executable, "-c", INTERPRETER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=self.folder,
                env=self.environment,
            )
        assert self.interpreter.stdin is not None
        assert self.interpreter.stdout is not None
        lines = "\n" * int(block.place.rsplit(":", 1)[1])  # a traceback names the document's line
        self.interpreter.stdin.write(json.dumps([block.place, lines + self._read(block.text)]))
        self.interpreter.stdin.write("\n")
        self.interpreter.stdin.flush()
        said, raised = json.loads(self.interpreter.stdout.readline())
        assert raised is None, f"{block.place}: {raised}"
        return str(said)

    def ask(self, block: Block) -> None:
        """A job's or a network's definition: the service accepts it, and stores nothing."""
        body = json.loads(block.text)
        path = "/v1/jobs?validate_only=true" if "training" in body else "/v1/networks/validate"
        answer = httpx.post(f"{self.address}{path}", json=body)
        assert answer.json().get("valid"), f"{block.place}: {answer.text}"

    def close(self) -> None:
        """Stop what the document has started and left running."""
        if self.interpreter is not None:
            self.interpreter.communicate(timeout=BLOCK_SECONDS)
        started = self.folder / "staying"
        pids = [int(line) for line in started.read_text().split()] if started.exists() else []
        processes = list(_living(pids))
        for process in processes:
            process.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(processes, timeout=15)
        assert not alive

    def _read(self, text: str) -> str:
        text = text.replace("http://127.0.0.1:8000", self.address)
        for written, meant in self.instead.items():
            text = text.replace(written, meant)
        return text


def compare(expected: Block, said: str) -> None:
    """What was printed is what the document shows; `...` stands for anything."""
    if expected.language == "json":
        shown, answered = json.loads(expected.text), json.loads(said)
        assert alike(shown, answered), f"{expected.place}: {json.dumps(answered, indent=1)}"
        return
    pattern = re.escape(expected.text.rstrip()).replace(re.escape("..."), ".*?")
    assert re.fullmatch(pattern, said.rstrip(), re.DOTALL), f"{expected.place}: printed\n{said}"


def alike(shown: Any, answered: Any) -> bool:
    """Whether JSON is what is shown; "..." is any value, and as a key any other fields."""
    if shown == "...":
        return True
    if isinstance(shown, dict) and isinstance(answered, dict):
        named = set(shown) - {"..."}
        whole = named == set(answered) or ("..." in shown and named <= set(answered))
        return whole and all(alike(shown[name], answered[name]) for name in named)
    if isinstance(shown, list) and isinstance(answered, list):
        same_length = len(shown) == len(answered)
        return same_length and all(alike(s, a) for s, a in zip(shown, answered, strict=True))
    return bool(shown == answered)


def _living(pids: list[int]) -> Iterator[psutil.Process]:
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid)
