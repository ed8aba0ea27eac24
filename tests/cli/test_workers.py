"""Work shared among processes: nothing is lost, nothing is in another order, and what fails is done again."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from click.testing import CliRunner

from stateward.cli import linting, manifests, workers
from stateward.cli.main import cli

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there")


@pytest.fixture
def three(monkeypatch):
    """Three processes for a handful of files and objects."""
    monkeypatch.setattr(workers, "_processors", lambda: 3)
    monkeypatch.setattr(manifests, "_LEAST_FILES", 2)
    monkeypatch.setattr(linting, "_LEAST_EDITS", 2)
    monkeypatch.setattr(linting, "_LEAST_TASK", 2)
    monkeypatch.setattr(manifests, "_LEAST_TASK", 2)


def same(made):
    return made


@pytest.mark.parametrize("tasks", [0, 1, 2, 7, 100])
def test_every_task_of_a_crew_is_done_once_and_in_order(monkeypatch, tasks, tmp_path):
    monkeypatch.setattr(workers, "_processors", lambda: 4)

    def work(number):
        with open(tmp_path / "done", "ab", buffering=0) as log:
            log.write(bytes([number]))
        return bytes([number])

    before = open_files()
    with workers.Crew(tasks, work, same, same) as crew:
        assert list(crew.results()) == [bytes([number]) for number in range(tasks)]
    assert open_files() == before
    assert tasks == 0 or sorted((tmp_path / "done").read_bytes()) == list(range(tasks))


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_what_copies_make_waits_for_nobody_and_comes_whole(monkeypatch, size):
    monkeypatch.setattr(workers, "_processors", lambda: 3)
    first = os.getpid()

    def work(number):
        return os.getpid(), bytes([number]) * size

    with workers.Crew(20, work, pickle.dumps, pickle.loads) as crew:
        with suppress(ChildProcessError):  # they end although nobody has asked for anything yet
            for helper in crew._helpers:
                os.waitid(os.P_PID, helper._pid, os.WEXITED | os.WNOWAIT)
        found = list(crew.results())
    assert [made for _, made in found] == [bytes([number]) * size for number in range(20)]
    assert first not in {pid for pid, _ in found}


@pytest.mark.parametrize(
    "end",
    [
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        lambda: sys.exit(0),
        lambda: 1 // 0,
        lambda: (_ for _ in ()).throw(MemoryError),
        lambda: (_ for _ in ()).throw(KeyboardInterrupt),
    ],
)
def test_what_a_lost_member_of_a_crew_had_taken_is_done_by_the_caller(monkeypatch, end, capfd):
    monkeypatch.setattr(workers, "_processors", lambda: 3)
    first = os.getpid()

    def work(number):
        if os.getpid() != first and number % 2:
            end()
        return bytes([number])

    with workers.Crew(50, work, same, same) as crew:
        time.sleep(0.1)  # so that there is something to lose
        assert list(crew.results()) == [bytes([number]) for number in range(50)]
    assert capfd.readouterr() == ("", "")


def test_what_comes_first_is_given_before_the_rest_is_done(monkeypatch):
    monkeypatch.setattr(workers, "_processors", lambda: 1)
    done = []
    with workers.Crew(9, lambda number: done.append(number) or number, same, same) as crew:  # type: ignore[func-returns-value,arg-type,return-value]
        assert next(crew.results()) == 0
    assert done == [0]


def test_a_crew_ends_with_what_began_it(monkeypatch):
    monkeypatch.setattr(workers, "_processors", lambda: 3)
    before = open_files()
    with pytest.raises(KeyboardInterrupt), workers.Crew(9, lambda _: signal.pause(), same, same):  # type: ignore[arg-type,return-value]
        raise KeyboardInterrupt
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, 0)
    assert open_files() == before


@pytest.mark.parametrize("forbidden", ["fork", "memfd_create"])
def test_where_no_process_can_be_made_all_is_left_to_the_caller(monkeypatch, forbidden):
    def refused(*_):
        raise BlockingIOError

    monkeypatch.setattr(workers, "_processors", lambda: 3)
    before = open_files()
    monkeypatch.setattr(os, forbidden, refused)
    with workers.Crew(9, lambda number: bytes([number]), same, same) as crew:
        assert list(crew.results()) == [bytes([number]) for number in range(9)]
    assert open_files() == before


def open_files():
    return len(os.listdir("/proc/self/fd"))


STATEFUL = """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: {name}, namespace: shop}}
spec:
  replicas: 3
  template:
    spec:
      containers:
        - name: etcd
          image: quay.io/coreos/etcd:latest
          command: [etcd, --data-dir=/var/lib/etcd, "--initial-cluster-token=s3cret"]
"""
BROKEN = "apiVersion: v1\nkind: [\n"
LIST = "apiVersion: v1\nkind: List\nitems:\n" + "".join(
    f"- {{apiVersion: v1, kind: ConfigMap, metadata: {{name: c{number}}}}}\n" for number in range(3)
)
JSON = "".join(f'{{"apiVersion": "v1", "kind": "Secret", "metadata": {{"name": "{name}"}}}}\n' for name in "st")
TWICE = "apiVersion: v1\nkind: ConfigMap\nkind: ConfigMap\nmetadata: {name: twice}\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts = [STATEFUL.format(name=f"s{number}") for number in range(7)]
    texts += [BROKEN, LIST, JSON, TWICE, "a: b\n", STATEFUL.format(name="x") + "---\n" + STATEFUL.format(name="y"), ""]
    for number, text in enumerate(texts):
        (tmp_path / f"{number:02}.yaml").write_text(text)
    (tmp_path / "latin.yaml").write_bytes("kind: é".encode("latin-1"))
    return tmp_path


@pytest.mark.parametrize("style", ["text", "json", "sarif", "junit", "github", "html"])
def test_a_report_is_the_same_whoever_worked_on_it(folder, monkeypatch, three, style):
    command = ["lint", "--now", "2026-11-21T12:00:00Z", "-f", style, "."]
    shared = CliRunner().invoke(cli, command)
    monkeypatch.setattr(workers, "_processors", lambda: 1)
    alone = CliRunner().invoke(cli, command)
    assert (shared.stdout, shared.stderr, shared.exit_code) == (alone.stdout, alone.stderr, alone.exit_code)
    assert shared.exit_code == 2
    assert "SW105" in shared.stdout


@pytest.mark.usefixtures("three")
def test_a_report_is_the_same_where_every_copy_is_killed(folder, monkeypatch):
    command = ["lint", "--now", "2026-11-21T12:00:00Z", "."]
    shared = CliRunner().invoke(cli, command)
    serve = workers._serve

    def killed(work, made, writing):
        os.kill(os.getpid(), signal.SIGKILL)
        serve(work, made, writing)

    monkeypatch.setattr(workers, "_serve", killed)
    alone = CliRunner().invoke(cli, command)
    assert (shared.stdout, shared.stderr, shared.exit_code) == (alone.stdout, alone.stderr, alone.exit_code)


@pytest.mark.usefixtures("folder", "three")
def test_documents_of_one_text_share_it():
    loaded = manifests.load(["."])
    listed = [one for one in loaded.documents if one.source.endswith("08.yaml")]
    assert len(listed) == 3
    assert len({id(one._part) for one in listed}) == 1
    both = [one for one in loaded.documents if one.source.endswith("12.yaml")]
    assert both[0].text is both[1].text
    assert both[1].locate(("metadata", "name")).line == 15


def test_a_run_ends_at_once_with_all_that_it_wrote_and_its_code(folder):
    program = "from stateward.cli.main import main; main()"
    command = [sys.executable, "-c", program, "lint", "--now", "2026-11-21T12:00:00Z"]
    for arguments in (["."], ["-f", "json", "00.yaml"]):
        there = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        here = CliRunner().invoke(cli, [*command[3:], *arguments])
        assert (there.stdout, there.stderr, there.returncode) == (here.stdout, here.stderr, here.exit_code)
        assert there.stdout


def test_a_reader_that_goes_away_is_told_nothing(folder):
    program = "from stateward.cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "lint", "."], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        told = run.stderr.read()
    assert b"Traceback" not in told
    assert b"BrokenPipe" not in told
