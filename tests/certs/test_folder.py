"""The certificate folder: made, renewed and mended, whatever is in it and whenever it was cut short."""

import itertools
import os
import stat
import subprocess
import sys
import textwrap
from datetime import timedelta

import pytest

from stateward.certs.authority import Authority, Leaf
from stateward.certs.context import HotContext
from stateward.certs.errors import CertificateError
from stateward.certs.folder import CertificateFolder
from stateward.certs.names import uncovered

NAMES = ("localhost", "127.0.0.1")
FILES = {"ca.crt", "ca.key", "tls.crt", "tls.key"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "certificates"


@pytest.fixture
def folder(path):
    return CertificateFolder(path)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def stored_pairs(path):
    """The authority and the leaf on disk; raises CertificateError if either is not a pair."""
    content = {name: (path / name).read_bytes() for name in FILES}
    return (
        Authority.from_pem(content["ca.crt"], content["ca.key"]),
        Leaf.from_pem(content["tls.crt"], content["tls.key"]),
    )


def assert_sound(path, served, now, names=NAMES):
    authority, leaf = stored_pairs(path)
    assert authority.certificate == served.authority.certificate
    assert leaf.to_pem() == served.leaf.to_pem()
    leaf.certificate.verify_directly_issued_by(authority.certificate)
    assert uncovered(leaf.certificate, names) == ()
    assert now < leaf.certificate.not_valid_after_utc
    assert {entry.name for entry in path.iterdir()} - {"old-ca.crt"} == FILES | {".lock"}
    assert {mode(path), mode(path / "ca.key"), mode(path / "tls.key")} == {0o700, 0o600}


def test_an_absent_folder_is_made_with_private_keys_whatever_the_umask(folder, path, now):
    before = os.umask(0)
    try:
        served = folder.ensure(NAMES, now)
    finally:
        os.umask(before)
    assert_sound(path, served, now)
    assert mode(path / "ca.crt") == mode(path / "tls.crt") == 0o644
    assert served.notes == (
        f"{path}/ca.crt: is missing; made a new authority, which clients must trust anew",
        f"{path}/tls.crt: is missing; issued a new certificate",
    )


def test_what_is_good_is_kept_without_a_word_or_a_write(folder, path, now):
    first = folder.ensure(NAMES, now)
    written = {name: (path / name).stat().st_mtime_ns for name in FILES}
    again = CertificateFolder(str(path)).ensure(reversed(NAMES), now + timedelta(days=59))
    assert again.notes == ()
    assert again.leaf.to_pem() == first.leaf.to_pem()
    assert again.bundle == first.bundle == first.authority.bundle
    assert {name: (path / name).stat().st_mtime_ns for name in FILES} == written


def test_a_client_that_trusts_the_bundle_accepts_what_the_folder_gives(folder, now, serving, trusting):
    served = folder.ensure(NAMES, now)
    hot = HotContext()
    hot.swap(*served.leaf.to_pem(), names=NAMES, now=now)
    with serving(hot.context) as server:
        client = trusting(served.bundle)
        assert {client.certificate(server.port, name) for name in NAMES} == {served.leaf.certificate}
        renewed = folder.ensure([*NAMES, "stateward.svc"], now)
        hot.swap(*renewed.leaf.to_pem(), names=NAMES, now=now)
        assert client.certificate(server.port, "stateward.svc") == renewed.leaf.certificate != served.leaf.certificate


@pytest.mark.parametrize(("days", "reason"), [(59.9, None), (60.1, "expires soon, at "), (91, "expired at ")])
def test_the_leaf_is_issued_again_in_the_last_third_of_its_life(folder, path, now, days, reason):
    first = folder.ensure(NAMES, now)
    later = now + timedelta(days=days)
    second = folder.ensure(NAMES, later)
    assert second.bundle == first.bundle
    assert (second.leaf.certificate == first.leaf.certificate) == (reason is None)
    assert [note.startswith(f"{path}/tls.crt: {reason}") for note in second.notes] == ([True] if reason else [])
    assert_sound(path, second, later)


@pytest.mark.parametrize(
    ("days", "reason"),
    [(3284, None), (3286, "expires soon, at "), (3651, "expired at "), (-1, "not valid before ")],
)
def test_the_authority_is_made_anew_in_the_last_tenth_of_its_life_or_when_the_clock_went_back(
    folder, path, now, days, reason
):
    first = folder.ensure(NAMES, now)
    later = now + timedelta(days=days)
    second = folder.ensure(NAMES, later)
    assert (second.bundle == first.bundle) == (reason is None)
    assert (second.notes[0].startswith(f"{path}/ca.crt: {reason}")) == (reason is not None)
    if reason:
        assert second.notes[1] == (
            f"{path}/tls.crt: was not issued by the authority in this folder; issued a new certificate"
        )
    assert_sound(path, second, later)
    assert folder.ensure(NAMES, later).notes == ()


def test_a_leaf_whose_clock_went_back_less_than_the_authority_is_issued_again(folder, path, now):
    authority = folder.ensure(NAMES, now).authority
    for name, content in zip(("tls.crt", "tls.key"), authority.issue(NAMES, now + timedelta(days=2)).to_pem(), strict=True):
        (path / name).write_bytes(content)
    served = folder.ensure(NAMES, now)
    assert served.bundle == authority.bundle
    assert [note.split("; ")[0].split(" 20")[0] for note in served.notes] == [f"{path}/tls.crt: not valid before"]


def test_a_new_name_gives_a_new_leaf_and_fewer_names_do_not(folder, path, now):
    first = folder.ensure(NAMES, now)
    more = folder.ensure([*NAMES, "stateward.svc", "::1"], now)
    assert more.notes == (f"{path}/tls.crt: does not cover stateward.svc, ::1; issued a new certificate",)
    assert more.bundle == first.bundle
    fewer = folder.ensure(["::1"], now)
    assert (fewer.notes, fewer.leaf.to_pem()) == ((), more.leaf.to_pem())


def test_a_leaf_of_another_authority_is_replaced(folder, path, now):
    folder.ensure(NAMES, now)
    for name, content in zip(("tls.crt", "tls.key"), Authority.create(now).issue(NAMES, now).to_pem(), strict=True):
        (path / name).write_bytes(content)
    served = folder.ensure(NAMES, now)
    assert served.notes == (f"{path}/tls.crt: was not issued by the authority in this folder; issued a new certificate",)
    assert_sound(path, served, now)


DAMAGE = {
    "missing": lambda file: file.unlink(),
    "empty": lambda file: file.write_bytes(b""),
    "half-written": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "noise": lambda file: file.write_bytes(os.urandom(700)),
    "one bit flipped in the signature or the key": lambda file: file.write_bytes(flipped(file.read_bytes())),
    "a dangling link": lambda file: (file.unlink(), file.symlink_to("nowhere")),
    "a link in a circle": lambda file: (file.unlink(), file.symlink_to(file.name)),
}


def flipped(pem):
    """The PEM with one base64 digit changed, six from the end of the body: still well-formed DER."""
    body, end = pem[: pem.rindex(b"\n-----END")], pem[pem.rindex(b"\n-----END") :]
    place = len(body) - 6
    return body[:place] + (b"A" if body[place : place + 1] != b"A" else b"B") + body[place + 1 :] + end


@pytest.mark.parametrize("file", sorted(FILES))
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_and_made_anew(folder, path, now, file, damage):
    first = folder.ensure(NAMES, now)
    DAMAGE[damage](path / file)
    served = folder.ensure(NAMES, now)
    assert_sound(path, served, now)
    assert served.leaf.certificate != first.leaf.certificate
    assert (served.bundle == first.bundle) == file.startswith("tls")
    assert len(served.notes) == (1 if file.startswith("tls") else 2)
    assert served.notes[0].startswith(str(path / file).rsplit(".", 1)[0]), "the note names the pair at fault"
    assert folder.ensure(NAMES, now).notes == ()


def test_every_file_damaged_at_once_is_like_a_new_folder(folder, path, now):
    folder.ensure(NAMES, now)
    for file in FILES:
        (path / file).write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    assert_sound(path, folder.ensure(NAMES, now), now)


def test_a_key_of_another_pair_is_not_served(folder, path, now):
    folder.ensure(NAMES, now)
    (path / "tls.key").write_bytes((path / "ca.key").read_bytes())
    served = folder.ensure(NAMES, now)
    problem = f"the key does not belong to the certificate in {path}/tls.crt"
    assert served.notes == (f"{path}/tls.key: {problem}; issued a new certificate",)
    assert_sound(path, served, now)


def test_keys_and_folder_left_open_to_others_are_closed_and_reported(folder, path, now):
    folder.ensure(NAMES, now)
    path.chmod(0o755)
    (path / "tls.key").chmod(0o644)
    (path / "ca.key").chmod(0o640)
    served = folder.ensure(NAMES, now)
    assert_sound(path, served, now)
    assert served.notes == (
        f"{path}/ca.key: mode 0640 let others read the key; set to 0600",
        f"{path}/tls.key: mode 0644 let others read the key; set to 0600",
        f"{path}: mode 0755 was open to others; set to 0700",
    )


@pytest.mark.parametrize(("before", "warned"), [(0o755, False), (0o777, True)])
def test_a_folder_that_holds_other_things_is_not_closed_to_their_users(folder, path, now, before, warned):
    path.mkdir()
    (path / "of-somebody-else").touch()
    path.chmod(before)
    served = folder.ensure(NAMES, now)
    assert mode(path) == before
    assert mode(path / "ca.key") == mode(path / "tls.key") == 0o600
    assert any("mode 0777 lets others replace the certificates" in note for note in served.notes) == warned


@pytest.mark.parametrize("names", [(), ["a b"], "localhost"])
def test_names_that_cannot_be_served_are_refused_before_anything_is_written(folder, path, now, names):
    with pytest.raises(CertificateError, match="names: "):
        folder.ensure(names, now)
    assert not path.exists()


def test_a_time_without_zone_is_refused_before_anything_is_written(folder, path, now):
    with pytest.raises(ValueError, match="no time zone"):
        folder.ensure(NAMES, now.replace(tzinfo=None))
    assert not path.exists()


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path, now, below):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / below
    with pytest.raises(CertificateError) as refused:
        CertificateFolder(path).ensure(NAMES, now)
    assert refused.value.where == str(path)
    assert f"the certificate folder {path} cannot be written" in refused.value.problem
    assert "name another folder" in refused.value.next_step


def test_a_folder_in_the_place_of_a_file_is_a_clear_error_and_is_left_alone(folder, path, now):
    (path / "tls.key" / "precious").mkdir(parents=True)
    with pytest.raises(CertificateError, match=r"tls\.key.*cannot be written \(Is a directory\).*remove what is in the way"):
        folder.ensure(NAMES, now)
    assert (path / "tls.key" / "precious").is_dir()


@pytest.mark.parametrize("call", ["replace", "fsync", "open", "makedirs"])
def test_a_full_or_read_only_disk_is_a_clear_error_and_leaves_no_half_file(folder, path, now, monkeypatch, call):
    def fail(*_args, **_options):
        raise OSError(30, "Read-only file system", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(CertificateError, match=r"certificates: .*\(Read-only file system\)"):
            folder.ensure(NAMES, now)
    assert not path.exists() or {entry.name for entry in path.iterdir()} <= {".lock"}
    assert_sound(path, folder.ensure(NAMES, now), now)


class PowerCut(BaseException):
    """Not an Exception: nothing may catch it and go on."""


class CutShort:
    """Stands for os.replace or os.fsync and raises at the k-th call, before or after doing the work."""

    def __init__(self, work, k, after):
        self.work, self.left, self.after = work, k, after

    def __call__(self, *args):
        self.left -= 1
        if self.left == 0 and not self.after:
            raise PowerCut
        self.work(*args)
        if self.left == 0:
            raise PowerCut


SITUATIONS = {
    "a new folder": (None, 4),
    "a leaf that is due": (timedelta(days=80), 2),
    "an authority that is due": (timedelta(days=3640), 5),
}


def cut_short(folder, now, monkeypatch, call, k, *, after):
    """Whether the k-th call of os.replace or os.fsync came, and with it the power cut."""
    with monkeypatch.context() as patched:
        patched.setattr(os, call, CutShort(getattr(os, call), k, after))
        try:
            folder.ensure(NAMES, now)
        except PowerCut:
            return True
    return False


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize(("call", "calls_a_write"), [("replace", 1), ("fsync", 2)])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_cut_short_at_any_write_the_next_start_mends_it(tmp_path, now, monkeypatch, situation, call, calls_a_write, after):
    age, writes = SITUATIONS[situation]
    for k in itertools.count(1):
        path = tmp_path / str(k)
        folder = CertificateFolder(path)
        if age is not None:
            folder.ensure(NAMES, now - age)
        was_cut = cut_short(folder, now, monkeypatch, call, k, after=after)
        assert not list(path.glob(".*.new")), "a key was left behind"
        assert_sound(path, folder.ensure(NAMES, now), now)
        assert folder.ensure(NAMES, now).notes == ()
        if not was_cut:
            break
    assert k == writes * calls_a_write + 1


KILLED = """
    import os, sys
    from datetime import datetime
    from stateward.certs.folder import CertificateFolder

    replace, left = os.replace, int(sys.argv[3])

    def cut_short(source, target):
        global left
        left -= 1
        if left == 0:
            os._exit(9)
        replace(source, target)

    os.replace = cut_short
    CertificateFolder(sys.argv[1]).ensure(["localhost", "127.0.0.1"], datetime.fromisoformat(sys.argv[2]))
"""


def run(script, *arguments, **options):
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)], **options)


def test_a_process_killed_at_any_write_leaves_a_lock_that_opens_and_rests_that_are_swept(tmp_path, now):
    killed = [(tmp_path / str(k), run(KILLED, tmp_path / str(k), now.isoformat(), k)) for k in range(1, 6)]
    assert [process.wait(10) for _, process in killed] == [9, 9, 9, 9, 0]
    for (path, _), left_behind in zip(killed, [".ca.key.new", ".ca.crt.new", ".tls.key.new", ".tls.crt.new"], strict=False):
        assert [rest.name for rest in path.glob(".*.new")] == [left_behind]
        served = CertificateFolder(path).ensure(NAMES, now)
        assert served.notes[0] == f"{path}/{left_behind}: left by a write that was cut short; removed"
        assert_sound(path, served, now)


RACING = """
    import sys
    from datetime import datetime
    from stateward.certs.authority import Leaf
    from stateward.certs.folder import CertificateFolder

    path, now, who = sys.argv[1], datetime.fromisoformat(sys.argv[2]), sys.argv[3]
    folder, authorities = CertificateFolder(path), set()
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(15):
        name = f"turn-{turn}.process-{who}.svc"
        served = folder.ensure([name], now)
        assert name in str(served.leaf.certificate.extensions)
        Leaf.from_pem(*served.leaf.to_pem())
        served.leaf.certificate.verify_directly_issued_by(served.authority.certificate)
        authorities.add(served.authority.certificate.serial_number)
    print(*authorities)
"""


def test_processes_at_once_agree_on_one_authority_and_leave_a_matching_pair(folder, path, now):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    racers = [run(RACING, path, now.isoformat(), who, **pipes) for who in range(4)]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    outcomes = [(*racer.communicate(timeout=10), racer.returncode) for racer in racers]
    authority, leaf = stored_pairs(path)
    assert outcomes == [(f"{authority.certificate.serial_number}\n", "", 0)] * 4
    leaf.certificate.verify_directly_issued_by(authority.certificate)
    assert {entry.name for entry in path.iterdir()} == FILES | {".lock"}


# --- rotation --------------------------------------------------------------------------------------------------------


def test_an_authority_that_is_due_stays_in_the_bundle_until_its_last_leaf_has_expired(folder, path, now):
    first = folder.ensure(NAMES, now)
    later = now + timedelta(days=3300)
    second = folder.ensure(NAMES, later)
    assert second.bundle == first.bundle + second.authority.bundle
    assert (path / "old-ca.crt").read_text().startswith("# trusted until ")
    assert mode(path / "old-ca.crt") == 0o644
    assert folder.ensure(NAMES, later + timedelta(days=50)).bundle == second.bundle
    third = folder.ensure(NAMES, later + timedelta(days=91))
    assert third.bundle == second.authority.bundle
    assert not (path / "old-ca.crt").exists()


@pytest.mark.parametrize(("what", "authorities"), [("leaf", 1), ("authority", 2)])
def test_a_rotation_that_is_asked_for_is_done_at_once(folder, path, now, what, authorities):
    first = folder.ensure(NAMES, now)
    stamp = folder.stamp()
    second = folder.rotate(NAMES, now, what)
    assert folder.stamp() != stamp
    assert second.leaf.certificate != first.leaf.certificate
    assert second.bundle.count(b"BEGIN CERTIFICATE") == authorities
    assert (second.authority.certificate == first.authority.certificate) == (what == "leaf")
    assert any("a new one is asked for" in note for note in second.notes)
    assert_sound(path, second, now)
    assert folder.ensure(NAMES, now).notes == ()


def test_a_lost_key_keeps_its_authority_in_the_bundle_and_an_expired_one_goes(folder, path, now):
    first = folder.ensure(NAMES, now)
    (path / "ca.key").unlink()
    assert folder.ensure(NAMES, now).bundle.startswith(first.bundle)
    other = folder.ensure(NAMES, now + timedelta(days=4000))
    assert other.bundle == other.authority.bundle


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_a_rotation_cut_short_at_any_write_leaves_what_is_trusted_and_served_sound(folder, path, now, monkeypatch, k):
    before = folder.ensure(NAMES, now)
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", CutShort(os.replace, k, after=False))
        with pytest.raises(PowerCut):
            folder.rotate(NAMES, now, "authority")
    again = folder.ensure(NAMES, now)
    assert_sound(path, again, now)
    assert before.authority.bundle in again.bundle, "somebody may serve a leaf of it yet"
