"""The small parts: deadlines, log lines, readiness, the renewal of certificates."""

import io
import json
import logging
import threading
import time

import pytest

from stateward.certs.errors import CertificateError
from stateward.webhook import logs
from stateward.webhook.certificates import Certificates
from stateward.webhook.deadline import LONGEST, budget, duration
from stateward.webhook.readiness import Readiness


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5s", 5), ("500ms", 0.5), ("1m0s", 60), ("1.5s", 1.5), (".5s", 0.5), ("1h0m0s", 3600), ("250us", 0.00025), ("0", 0)],
)
def test_a_duration_reads_as_go_writes_it(text, seconds):
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 s", "5sec", "١s", "1e3s", "9" * 100 + "s"])
def test_what_is_no_duration_is_none(text):
    assert duration(text) is None


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        (b"timeout=5s", 5),
        (b"a=b&timeout=3s", 3),
        (b"timeout=500ms", 0.5),
        (b"timeout=1m0s", LONGEST),
        (b"", LONGEST),
        (b"timeout=soon", LONGEST),
        (b"timeout=%35s", 5),
        (b"\xff=1", LONGEST),
    ],
)
def test_the_budget_is_what_the_caller_gives_but_never_more_than_the_longest(query, seconds):
    assert budget(query) == seconds


def test_json_lines_hold_the_same_fields_each_on_one_line():
    stream = io.StringIO()
    with logs.written(stream, style="json"):
        log = logging.getLogger("stateward.webhook")
        log.info(logs.line("denied", user='a "b"\nc', rules="SW103", dry_run=""))
        log.error("%s\n%s", logs.line("fault", uid="u"), "ValueError at\n  here")
        logging.getLogger("elsewhere").warning("said %s", "so")
    denied, fault, other = (json.loads(line) for line in stream.getvalue().splitlines())
    assert denied["time"].endswith("Z")
    assert {key: value for key, value in denied.items() if key != "time"} == {
        "level": "INFO",
        "logger": "stateward.webhook",
        "event": "denied",
        "user": 'a "b"\nc',
        "rules": "SW103",
    }
    assert (fault["event"], fault["uid"], fault["trace"]) == ("fault", "u", "ValueError at\n  here")
    assert (other["logger"], other["message"]) == ("elsewhere", "said so")


def test_a_log_line_quotes_what_is_not_plain_cuts_what_is_long_and_leaves_out_what_is_empty():
    said = logs.line("denied", uid="a-1", user='a "b"\nc', rules="SW103,SW301", dry_run="", name="x" * 999)
    assert said == f'denied uid=a-1 user="a \\"b\\"\\nc" rules=SW103,SW301 name={json_quoted("x" * 252 + "…")}'


def json_quoted(text):
    import json

    return json.dumps(text)


def test_the_frames_of_an_exception_say_where_and_never_what():
    try:
        try:
            raise ValueError("hunter2")
        except ValueError as error:
            raise KeyError("hunter2 again") from error
    except KeyError as error:
        said = logs.frames(error)
    assert said.startswith("KeyError at\n")
    assert "from ValueError at" in said
    assert "test_parts.py" in said
    assert 'raise ValueError("hunter2")' in said  # a line of source, no value
    assert "hunter2 again'" not in said


def test_a_recursion_without_end_leaves_few_frames():
    def deeper():
        deeper()

    with pytest.raises(RecursionError) as caught:
        deeper()
    assert logs.frames(caught.value).count("\n") < 100


class Stuck(io.StringIO):
    """A pipe that nobody reads until `held` is set."""

    def __init__(self):
        super().__init__()
        self.held = threading.Event()

    def write(self, text):
        self.held.wait(10)
        return super().write(text)


def write_lines(count):
    log = logging.getLogger("stateward.webhook")
    for number in range(count):
        log.info("line %d", number)


def test_a_reader_of_the_log_that_hangs_holds_up_no_request(monkeypatch):
    monkeypatch.setattr(logs, "_WAITING", 100)
    stream = Stuck()
    with logs.written(stream):
        started = time.monotonic()
        write_lines(1000)
        assert time.monotonic() - started < 1
        stream.held.set()
    written = stream.getvalue().splitlines()
    assert written[0].endswith("INFO stateward.webhook line 0")
    assert 100 <= len(written) <= 102  # the rest was dropped


def test_a_reader_of_the_log_that_hangs_holds_up_no_end():
    stream = Stuck()
    started = time.monotonic()
    with logs.written(stream):
        write_lines(10)
    assert time.monotonic() - started < 3
    stream.held.set()


class Watched:
    def __init__(self, **unknown):
        self.kinds = unknown

    def awaited(self):
        return list(self.kinds)


def test_a_door_is_ready_once_everything_is_known_and_stays_so():
    watch = Watched(Pod="not yet", Node="not yet")
    ready = Readiness(watch, clock=lambda: 0.0)
    assert ready() == (False, "not known yet: Node, Pod")
    watch.kinds = {}
    assert ready() == (True, "")
    watch.kinds = {"Pod": "stale"}
    assert ready() == (True, "")


def test_a_door_that_cannot_know_everything_is_ready_when_its_patience_ends():
    now = [100.0]
    ready = Readiness(Watched(Secret="forbidden"), patience=20, clock=lambda: now[0])
    now[0] = 119.9
    assert not ready()[0]
    now[0] = 120.0
    assert ready()[0]


def test_certificates_are_looked_at_again_and_again_and_mended(tmp_path, caplog):
    with Certificates(tmp_path, ["localhost"], every=0.05) as certificates:
        first = certificates.hot.certificate
        (tmp_path / "tls.crt").write_text("broken")
        until = time.monotonic() + 5
        while certificates.hot.certificate is first and time.monotonic() < until:
            time.sleep(0.01)
        assert certificates.hot.certificate is not first
    assert "certificate note=" in caplog.text


def test_a_folder_that_cannot_be_used_ends_it_at_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CertificateError):
        Certificates(tmp_path / "file", ["localhost"])
