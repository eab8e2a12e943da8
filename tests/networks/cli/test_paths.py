"""Files that cannot be read or written: one sentence, exit code 2, and nothing half done."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from drawn_network import write_run

from afir.cli.main import main
from afir.io.safe_write import writing

HCN = "3\n\nH 0.0 0.02 -1.06\nC 0.0 0.0 0.0\nN 0.01 0.0 1.14\n"
WRITERS = {
    "relax": (["relax", "in.xyz", "-o"], ".xyz"),
    "push": (["push", "in.xyz", "--push", "0|2", "-o"], ".xyz"),
    "peak": (["push", "in.xyz", "--push", "0|2", "--peak"], ".xyz"),
    "ts": (["ts", "in.xyz", "-o"], ".xyz"),
    "irc": (["irc", "in.xyz", "-o"], ".xyz"),
    "explore": (["explore", "in.xyz", "-o"], ".db"),
    "graphml": (["export", "run.db", "-o"], ".graphml"),
    "json": (["export", "run.db", "-o"], ".json"),
    "csv": (["export", "run.db", "-o"], ".csv"),
    "extxyz": (["export", "run.db", "-o"], ".extxyz"),
    "ase-db": (["export", "run.db", "-o"], ".db"),
    "plot": (["plot", "run.db", "-o"], ".png"),
}
READERS = (
    ["show"],
    ["resume"],
    ["export", "-o", "out.json"],
    ["plot", "-o", "out.png"],
)


@pytest.fixture(scope="module")
def drawn_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("drawn") / "run.db")


@pytest.fixture
def folder(tmp_path: Path, drawn_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an input, a run and a plain file; no command may add to it."""
    (tmp_path / "in.xyz").write_text(HCN)
    (tmp_path / "plain").touch()
    shutil.copy(drawn_file, tmp_path / "run.db")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.xyz", "plain", "run.db"]


def _sentence(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """What a command that must fail says."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = [line for line in err.splitlines() if not line.startswith("Exploring")]
    assert line.startswith("Error: ")
    for leak in ("sqlalche", "sqlite3", "SQL:", "SELECT", "Traceback", "no such table"):
        assert leak not in line
    return line


@pytest.mark.parametrize("what", WRITERS)
def test_where_nothing_can_be_written(
    folder: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    command, suffix = WRITERS[what]
    option = "--peak" if what == "peak" else "--output"
    first = f"out_eq{suffix}" if what == "csv" else f"out{suffix}"
    assert f"the folder missing of {option} does not exist; create it first" in _sentence(
        capsys, [*command, f"missing/out{suffix}"]
    )
    assert f"{option} must be in a folder, but plain is a file" in _sentence(
        capsys, [*command, f"plain/out{suffix}"]
    )
    # Nobody can make a file there, not even root.
    assert f"/proc/{first} cannot be written: " in _sentence(
        capsys, [*command, f"/proc/out{suffix}"]
    )


@pytest.mark.parametrize("what", sorted(set(WRITERS) - {"csv"}))
def test_a_folder_given_for_a_file(
    folder: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    command, suffix = WRITERS[what]
    option = "--peak" if what == "peak" else "--output"
    with tempfile.TemporaryDirectory(suffix=suffix) as name:
        sentence = _sentence(capsys, [*command, name])
    assert f"{option} must be a file, got the directory {name}" in sentence


@contextmanager
def _full_disk(room: int) -> Iterator[None]:
    """No file can grow past so many bytes: what a full disk does to who writes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("what", ["relax", "explore", "graphml", "json", "csv", "extxyz", "ase-db"])
def test_a_disk_that_gets_full(folder: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    command, suffix = WRITERS[what]
    with _full_disk(60):
        sentence = _sentence(capsys, [*command, f"out{suffix}"])
    assert "out" in sentence
    assert "written" in sentence


@pytest.mark.parametrize("linked", [False, True])
def test_a_disk_that_gets_full_costs_no_file_that_was_there(
    folder: Path, capsys: pytest.CaptureFixture[str], linked: bool
) -> None:
    path = folder / "precious.xyz"
    path.write_text("precious")
    path.chmod(0o640)
    out = path
    if linked:
        out = folder / "link.xyz"
        out.symlink_to(path)
    before = sorted(folder.iterdir())
    with _full_disk(60):
        sentence = _sentence(capsys, ["relax", "in.xyz", "--force", "-o", out.name])
    assert sentence == f"Error: {out.name} cannot be written: File too large"
    assert path.read_text() == "precious"
    assert sorted(folder.iterdir()) == before
    assert main(["relax", "in.xyz", "--force", "-o", out.name]) == 0
    assert path.read_text().startswith("3\n")
    assert path.stat().st_mode & 0o777 == 0o640
    assert out.is_symlink() is linked
    assert sorted(folder.iterdir()) == before
    path.unlink()
    if linked:
        out.unlink()


def test_ctrl_c_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    old.write_text("old")

    def stopped() -> None:
        with writing(old, new) as drafts:
            for draft in drafts:
                draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert [*tmp_path.iterdir()] == [old]
    assert old.read_text() == "old"


def test_a_full_device(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = _sentence(capsys, ["relax", "in.xyz", "--force", "-o", "/dev/full"])
    assert sentence == "Error: /dev/full cannot be written: No space left on device"


def _damaged(kind: str, good: Path) -> Path:
    """A file that is no run any more."""
    path = Path(tempfile.mkdtemp()) / "bad.db"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text(HCN * 100)
    elif kind == "cut":
        path.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    elif kind == "another database":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE systems (id INTEGER)")
        connection.close()
    else:
        shutil.copy(good, path)
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE eqs SET positions = x'00112233' WHERE number = 1")
        connection.close()
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("empty", "must be a run file of `afir explore`: it holds no run"),
        ("another database", "must be a run file of `afir explore`: it holds no run"),
        ("text", "must be a run file of `afir explore`: file is not a database"),
        ("cut", "malformed"),
        ("numbers", "is damaged (a row of eqs is not what was written); go back to a copy of it"),
    ],
)
def test_damaged_runs(
    folder: Path, capsys: pytest.CaptureFixture[str], kind: str, words: str
) -> None:
    bad = _damaged(kind, folder / "run.db")
    for name, *options in READERS:
        sentence = _sentence(capsys, [name, str(bad), *options])
        assert str(bad) in sentence
        assert words in sentence
    shutil.rmtree(bad.parent)


def test_runs_that_are_no_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, *options in READERS:
        assert "the run file missing.db does not exist" in _sentence(
            capsys, [name, "missing.db", *options]
        )
        assert "the run file . is not a file" in _sentence(capsys, [name, ".", *options])
    for format in ("csv", "json"):
        told = _sentence(capsys, ["export", "run.db", "-o", ".", "--format", format])
        assert "--output must be a file, got the directory ." in told


def test_inputs_that_are_no_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["relax"], ["push", "--push", "0|1"], ["ts"], ["irc"], ["explore"]):
        assert ". is a directory" in _sentence(capsys, [*command, "."])
        assert "/dev/zero must be an ordinary file" in _sentence(capsys, [*command, "/dev/zero"])
    assert ". is a directory" in _sentence(capsys, ["explore", "in.xyz", "--wanted", "."])
    assert "must be a job file" in _sentence(capsys, ["explore", "--job", "."])


@contextmanager
def _nobody() -> Iterator[None]:
    """As a user who may not write everywhere, which root may."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_a_run_that_may_only_be_read(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The energies of this run are drawn: no surface has them.
    monkeypatch.setattr("networks.exploration.run.check_unchanged", lambda store: None)
    # The user who may not write may not be able to read where the packages are either.
    kinds = ("commands", "surfaces", "policies", "methods", "exports", "executors")
    known = {f"afir.{kind}": entry_points(group=f"afir.{kind}") for kind in kinds}
    for module in ("afir.cli.main", "afir.options"):
        monkeypatch.setattr(f"{module}.entry_points", lambda group: known[group])
    with tempfile.TemporaryDirectory() as name:
        run = Path(shutil.copy(folder / "run.db", name))
        assert main(["show", str(run)]) == 0  # whatever it imports, root can read
        assert main(["resume", str(run), "--max-trials", "1"]) == 0
        assert main(["export", str(run), "-o", f"{name}/first.db"]) == 0
        capsys.readouterr()
        run.chmod(0o444)
        Path(name).chmod(0o555)
        with _nobody():
            assert main(["show", str(run)]) == 0
            capsys.readouterr()
            resumed = _sentence(capsys, ["resume", str(run)])
            exported = _sentence(capsys, ["export", str(run), "-o", f"{name}/out.db"])
        Path(name).chmod(0o777)
        with _nobody():
            reason = _sentence(capsys, ["resume", str(run)])
        Path(name).chmod(0o755)
    assert resumed.endswith("must be in a directory that can be written, got: Permission denied")
    assert exported.endswith("out.db cannot be written: Permission denied; choose another --output")
    assert reason.endswith("cannot be written (attempt to write a readonly database)")


def _python(code: str, stdout: int) -> tuple[int, str]:
    """Exit code and stderr of a program."""
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=stdout, stderr=subprocess.PIPE, text=True
    )
    return done.returncode, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("form", [["--json"], []])
def test_output_that_nobody_can_take(folder: Path, form: list[str]) -> None:
    script = (
        f"import sys; sys.argv = ['afir', 'show', 'run.db', *{form}]\n"
        "from afir.cli.main import main; sys.exit(main())"
    )
    with Path("/dev/full").open("w") as full:
        ended = _python(script, full.fileno())
    assert ended == (2, "Error: the output cannot be written: No space left on device\n")
    reading, writing = os.pipe()
    os.close(reading)  # as `| head` does when it has seen enough
    ended = _python(script, writing)
    os.close(writing)
    assert ended == (1, "")
    closed = script.replace("import sys;", "import sys; sys.stdout = None;")  # as `>&-` does
    assert _python(closed, subprocess.DEVNULL) == (0, "")


def test_whoever_calls_from_python_keeps_stdout(folder: Path) -> None:
    script = (
        "import os; from afir.cli.main import main\n"
        "before = os.fstat(1)\n"
        "code = main(['show', 'run.db'])\n"
        "after = os.fstat(1)\n"
        "os._exit(code if os.path.samestat(before, after) else 99)"
    )
    reading, writing = os.pipe()
    os.close(reading)
    ended = _python(script, writing)
    os.close(writing)
    assert ended == (1, "")


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    reason: int,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr("fcntl.flock", refuse)
    for command in (["resume", "run.db"], ["explore", "in.xyz", "-o", "new.db"]):
        assert _sentence(capsys, command) == (
            f"Error: {command[-1]} must be where files can be locked and written, got: "
            f"{os.strerror(reason)}; choose another folder"
        )
