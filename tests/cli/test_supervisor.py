"""The supervisor on real programs; the clock of its patience moves when the test says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from backpropd.cli import supervisor
from backpropd.cli.supervisor import Program, Supervisor
from tests.jobs import Fake
from tests.stack import gone
from tests.system.apart import wait_until


class Scene:
    """A supervisor, what it told, and the folder in which its programs run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.told, self.clock = folder, list[str](), Fake()
        self.supervisor: Supervisor | None = None

    def start(self, **scripts: str) -> Supervisor:
        """Supervise shell scripts, by name."""
        environment = {"PATH": os.environ["PATH"], "HERE": str(self.folder)}
        programs = [
            Program(name, ["/bin/sh", "-c", text], environment, self.folder / f"{name}.log")
            for name, text in scripts.items()
        ]
        self.supervisor = Supervisor(programs, tell=self.told.append, clock=self.clock)
        self.supervisor.start()
        return self.supervisor

    def process(self, index: int = 0) -> subprocess.Popen[bytes]:
        """The process of a program that runs."""
        assert self.supervisor is not None
        process = self.supervisor.children[index].process
        assert process is not None
        return process

    def lose(self) -> str:
        """Wait until the first program has ended and that was told; the sentence."""
        before, found = len(self.told), self.supervisor
        assert found is not None
        self.process().wait(10)
        found.revive()
        assert before + 1 == len(self.told)
        return self.told[-1]

    def file(self, name: str) -> list[str]:
        """The lines of a file that the programs write."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A place for programs, none of which stays."""
    scene = Scene(tmp_path)
    yield scene
    if scene.supervisor is not None:
        scene.supervisor.stop()


def runs(scene: Scene) -> bool:
    assert scene.supervisor is not None
    return scene.supervisor.children[0].process is not None


def test_a_program_that_dies_is_started_again_each_time_later(scene: Scene) -> None:
    found = scene.start(api="exit 7")
    for wait in ("0.5", "1.0", "2.0", "4.0", "8.0", "16.0", "30.0", "30.0"):
        assert f"api ended with 7; again in {wait} s (see {scene.folder}/api.log)" == scene.lose()
        scene.clock.time += float(wait) - 0.1
        found.revive()
        assert not runs(scene)
        scene.clock.time += 0.1
        found.revive()
        assert runs(scene)


def test_who_ran_for_long_is_started_again_at_once(scene: Scene) -> None:
    found = scene.start(api="exit 1")
    for _ in range(4):
        scene.lose()
        scene.clock.time += 10
        found.revive()
    scene.clock.time += supervisor.STEADY_SECONDS

    assert "again in 0.5 s" in scene.lose()


def test_a_killed_program_is_another_process_afterwards(scene: Scene) -> None:
    found = scene.start(api="sleep 1000", worker="sleep 1000")
    first, other = scene.process(0).pid, scene.process(1).pid
    os.kill(first, signal.SIGKILL)
    assert scene.lose().startswith("api ended with -9")
    scene.clock.time += 1
    found.revive()

    assert first != scene.process(0).pid
    assert other == scene.process(1).pid
    assert psutil.pid_exists(scene.process(0).pid)


def test_what_a_dead_program_leaves_behind_is_killed(scene: Scene) -> None:
    """A pool's children hold its port or its jobs."""
    scene.start(worker="sleep 1000 & echo $! > $HERE/child; wait")
    wait_until(lambda: scene.file("child"))
    child = psutil.Process(int(scene.file("child")[0]))
    scene.process().kill()
    scene.lose()

    assert gone([child])


def test_what_a_program_says_is_in_its_log(scene: Scene) -> None:
    """After what it said before it died."""
    found = scene.start(api="echo said; echo complained >&2; exit 1")
    scene.lose()
    scene.clock.time += 1
    found.revive()
    scene.process().wait(10)

    assert ["said", "complained"] * 2 == scene.file("api.log")


def on_term(act: str, name: str) -> str:
    """A script that stays, says that it is ready, and does this when it is told to go."""
    return f"trap '{act}' TERM; echo {name} >> $HERE/ready; while :; do sleep 0.05; done"


def ready(scene: Scene, count: int) -> Callable[[], bool]:
    return lambda: len(scene.file("ready")) == count


def test_the_first_program_is_stopped_last(scene: Scene) -> None:
    """The others may need the broker to go well."""
    names = ("broker", "api", "worker")
    found = scene.start(**{n: on_term(f"echo {n} >> $HERE/order; exit 0", n) for n in names})
    wait_until(ready(scene, 3))
    processes = [scene.process(index) for index in range(3)]
    found.stop()

    assert {"api", "worker"} == set(scene.file("order")[:2])
    assert "broker" == scene.file("order")[2]
    assert [0, 0, 0] == [process.returncode for process in processes]


def test_a_program_that_will_not_go_is_killed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 0.2)
    found = scene.start(broker=on_term("exit 0", "broker"), worker=on_term("", "worker"))
    wait_until(ready(scene, 2))
    broker, worker = scene.process(0), scene.process(1)
    found.stop()

    assert (0, -signal.SIGKILL) == (broker.returncode, worker.returncode)


def test_stopping_what_has_died_already_is_no_error(scene: Scene) -> None:
    found = scene.start(broker="exit 0", worker="exit 1")
    for index in range(2):
        scene.process(index).wait(10)
    found.stop()
    found.stop()

    assert [] == scene.told


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's help is Linux's")
def test_programs_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    text = (
        "import pathlib, sys, time; from backpropd.cli.supervisor import Program, Supervisor;"
        "log = pathlib.Path(sys.argv[1]) / 'log';"
        "s = Supervisor([Program('p', ['sleep', '1000'], {}, log)], tell=print); s.start();"
        "print(s.children[0].process.pid, flush=True); time.sleep(1000)"
    )
    command = [sys.executable, "-c", text, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        program = psutil.Process(int(parent.stdout.readline()))
        parent.kill()

    assert gone([program])
