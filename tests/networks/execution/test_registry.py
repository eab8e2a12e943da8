"""Executors by name, those of strangers among them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from runs import HCN, HCN_START, snapshot

from afir.cli.main import main
from afir.errors import AfirError, InputError
from afir.options import entries, find_entry
from networks import Settings, explore, open_run, resume
from networks.execution.base import declares
from networks.execution.context import Bench
from networks.execution.local import BatchedExecutor, SerialExecutor
from networks.execution.processes import ProcessExecutor
from networks.execution.registry import ENTRY_POINT_GROUP, executor_factory, plain_options
from networks.exploration.events import TaskDone

# The whole of a stranger's package but for its entry point.
STRANGER = '''
"""Tasks in threads of this process, the newest first."""

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from afir import InputError
from networks.execution.context import Bench
from networks.execution.tasks import Task, TaskResult


class Threads:
    def __init__(self, bench: Bench, workers: int, log: str) -> None:
        self.bench = bench
        self.log = Path(log) if log else None
        self.note(f"made for {bench.surface}")
        self.pool = ThreadPoolExecutor(workers)

    def note(self, words: str) -> None:
        if self.log is not None:
            with self.log.open("a") as log:
                print(words, file=log)

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        begun, open_ = 0, {}
        while begun < len(tasks) or open_:
            for index in reversed(range(begun, len(tasks))):
                open_[self.pool.submit(lambda task: self.bench.open()(task), tasks[index])] = index
            begun = len(tasks)
            for done in wait(open_, return_when=FIRST_COMPLETED).done:
                yield open_.pop(done), done.result()

    def close(self) -> None:
        self.pool.shutdown(cancel_futures=True)
        self.note("closed")


def threads(bench: Bench, *, workers: int = 1, log: str = "") -> Threads:
    return Threads(bench, workers, log)


def picky(bench: Bench, *, nodes: int = 1, command: str = "") -> Threads:
    return Threads(bench, nodes, "log")


def check(*, nodes: int = 1, command: str = "") -> None:
    if nodes > 4:
        raise InputError(f"`nodes` must be 4 or less, got {nodes}")
    if command == "odd":
        raise KeyError(command)


picky.plain_options = ("nodes",)
picky.check_options = check


def broken(bench: Bench, *, how: str) -> object:
    if how == "raises":
        raise RuntimeError("no licence")
    return how
'''


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a stranger's package, and HCN."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "threading_stranger.py").write_text(STRANGER)
    info = tmp_path / "package" / "stranger-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: stranger\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[afir.executors]\nthreads = threading_stranger:threads\n"
        "broken = threading_stranger:broken\npicky = threading_stranger:picky\n"
        "absent = no_such_module:make\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "package")
    monkeypatch.chdir(tmp_path)
    Path("hcn.xyz").write_text("3\n\nH 0.0 0.0 -1.06\nC 0.0 0.0 0.0\nN 0.0 0.0 1.15\n")
    return tmp_path


COMMAND = "command=touch x"
RUN = ["explore", "hcn.xyz", "--gamma", "600", "--seed", "1", "--max-trials", "12"]


@pytest.mark.slow
def test_an_executor_of_a_stranger_works_from_the_command_line(stranger: Path) -> None:
    assert len(STRANGER.splitlines()) < 80
    assert main([*RUN, "-o", "ours.db"]) == 0
    theirs = ["--executor", "threads", "--executor-option", "log=log", "--workers", "2"]
    assert main([*RUN, "-o", "theirs.db", *theirs]) == 0
    assert snapshot(Path("theirs.db")) == snapshot(Path("ours.db"))
    assert Path("log").read_text() == "made for gfn2\nclosed\n"


@pytest.mark.slow
def test_an_executor_of_a_stranger_works_in_a_run_that_learns(stranger: Path) -> None:
    learning = ["--surface", "gfn1", "--reference", "gfn2", "--learn", "--learner", "gaussian"]
    theirs = ["--executor", "threads", "--executor-option", "log=log"]
    assert main([*RUN[:-2], "-o", "run.db", *learning, *theirs]) == 0
    with open_run(Path("run.db")) as store:
        models = len(store.models())
    made = [line.split(":")[0] for line in Path("log").read_text().splitlines()]
    assert models >= 1
    assert made == ["made for gfn1", "closed", *["made for gaussian", "closed"] * models]


@pytest.mark.slow
def test_a_job_file_holds_the_executor_but_does_not_choose_it(
    stranger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("job.toml").write_text(
        'input = "hcn.xyz"\nmax_trials = 2\nexecutor = "threads"\n[executor_options]\nlog = "log"\n'
    )
    begin, go_on = ["explore", "--job", "job.toml", "-o", "run.db"], ["resume", "run.db"]
    named = ["--executor", "threads", "--executor-option", "log=log"]
    for given in ([], named[:2]):
        assert main([*begin, *given]) == 2
    assert "job.toml names the executor threads with" in capsys.readouterr().err
    assert main([*begin, *named]) == 0
    assert Path("log").read_text() == "made for gfn2\nclosed\n"
    again = "afir resume run.db --executor threads --executor-option log=log --max-trials 4"
    assert again in capsys.readouterr().out
    for given in ([], named[:2]):
        assert main([*go_on, "--max-trials", "4", *given]) == 2
        told = " ".join(capsys.readouterr().err.split())
        assert told.endswith(
            'run.db names the executor threads with {"log": "log"}, and options of an executor '
            "may start commands; if you trust it, name it yourself: add --executor threads "
            "--executor-option log=log"
        )
    assert main([*go_on, "--max-trials", "4", *named]) == 0
    assert Path("log").read_text() == "made for gfn2\nclosed\n" * 2
    # Another executor has nothing to do with those options, and other options are the user's own.
    assert main([*go_on, "--max-trials", "5", "--executor", "serial"]) == 0
    assert main([*go_on, "--max-trials", "6", *named[:3], "log=other"]) == 0
    flags = ["--executor", "serial", "--max-trials", "1"]
    assert main(["explore", "--job", "job.toml", "-o", "other.db", *flags]) == 0
    assert Path("log").read_text() == "made for gfn2\nclosed\n" * 2
    capsys.readouterr()
    assert main(["show", "run.db", "--job"]) == 0
    job = capsys.readouterr().out
    assert 'executor = "threads"' in job
    assert '[executor_options]\nlog = "log"' in job


WRONG = {
    "unknown name": (
        ["--executor", "clowd"],
        "--executor must be one of absent, batched, broken, dask, picky, processes, serial, "
        "threads, "
        "got 'clowd'",
    ),
    "unknown option": (
        ["--executor", "threads", "--executor-option", "lgo=1"],
        "the executor 'threads' has no option 'lgo'; did you mean 'log'? It has the options log",
    ),
    "missing option": (
        ["--executor", "broken"],
        "the executor 'broken' needs the option 'how'; it has the options how",
    ),
    "wrong value": (
        ["--executor", "batched", "--executor-option", "width=wide"],
        "--executor-option width must be a whole number, got 'wide'",
    ),
    "too small": (
        ["--executor", "batched", "--executor-option", "width=0"],
        "--executor-option width must be a whole number of 1 or more, got 0",
    ),
    "checked by itself": (
        ["--executor", "picky", "--executor-option", "nodes=9"],
        "--executor-option nodes must be 4 or less, got 9",
    ),
    "wrongly checked": (
        ["--executor", "picky", "--executor-option", "command=odd"],
        "the executor 'picky' cannot check its options: KeyError: 'odd'",
    ),
    "without a cluster": (
        ["--executor", "dask", "--executor-option", "cores=2"],
        "the executor 'dask' has no option 'cores' without `cluster`; it has address, cluster and "
        "rounding",
    ),
    "workers twice": (
        ["--executor", "processes", "--executor-option", "workers=2"],
        "the executor 'processes' has no option 'workers'; --workers sets their number",
    ),
    "alone": (
        ["--executor", "serial", "--workers", "2"],
        "--workers must be 1 with the executor 'serial', which has no workers, got 2",
    ),
    "options alone": (
        ["--executor-option", "width=2"],
        "--executor-option must go with --executor",
    ),
    "not there": (
        ["--executor", "absent"],
        "the executor 'absent' cannot be loaded: ModuleNotFoundError: No module named "
        "'no_such_module'",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_makes_no_sense_is_one_sentence(
    what: str, stranger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags, words = WRONG[what]
    if "dask" in flags:
        pytest.importorskip("distributed")
    assert main([*RUN, *flags]) == 2
    assert capsys.readouterr().err == f"Error: {words}\n"
    assert not Path("hcn.db").exists()
    # A file that is in the way hides nothing.
    Path("hcn.db").touch()
    assert main([*RUN, *flags]) == 2
    assert capsys.readouterr().err == f"Error: {words}\n"


def test_plain_options_of_a_stranger_may_stand_in_a_file(
    stranger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = 'input = "hcn.xyz"\nmax_trials = 0\nexecutor = "picky"\n[executor_options]\nnodes = 2\n'
    Path("plain.toml").write_text(job)
    Path("odd.toml").write_text(f'{job}command = "touch x"\n')
    named = ["--executor", "picky"]
    for path, added in (
        ("plain.toml", named),
        ("odd.toml", [*named, *["--executor-option", "nodes=2", "--executor-option"], COMMAND]),
    ):
        assert main(["explore", "--job", path, "-o", "run.db"]) == 2
        told = capsys.readouterr().err
        assert shlex.split(told.split(", name it yourself: add ")[1]) == added
        assert ("may start commands" in told) == (path == "odd.toml")
    assert main(["explore", "--job", "odd.toml", "-o", "run.db", *named]) == 2
    capsys.readouterr()
    assert main(["explore", "--job", "plain.toml", "-o", "run.db", *named]) == 0
    assert f"afir resume run.db {' '.join(named)} " in capsys.readouterr().out
    assert main(["resume", "run.db"]) == 2
    assert main(["resume", "run.db", *named]) == 0


@pytest.mark.parametrize("said_of_it", [(["nodes"],), "nodes", 3, (1,)])
def test_plain_options_that_are_no_names_are_told(stranger: Path, said_of_it: object) -> None:
    picky = find_entry(ENTRY_POINT_GROUP, "executor", "picky").load("it")
    picky.plain_options = said_of_it
    with pytest.raises(InputError, match=r"^`plain_options` of the executor 'picky' must be names"):
        plain_options("picky")


def _more_than_none(*, option: float = 1.0) -> None:
    if option <= 0.0:
        raise InputError(f"`option` must be more than 0, got {option}")


def test_a_check_of_options_need_not_know_of_workers() -> None:
    @declares(check=_more_than_none)
    def mine(bench: Bench, *, workers: int = 1, option: float = 1.0) -> SerialExecutor:
        return SerialExecutor(bench)

    executor_factory(mine, 2, {"option": 2.0})
    with pytest.raises(InputError, match=r"^`option` must be more than 0, got -1.0$"):
        executor_factory(mine, 2, {"option": -1.0})


def test_a_class_declares_what_there_is_to_know_of_it() -> None:
    @declares(plain=["option"], check=_more_than_none)
    class Mine(SerialExecutor):
        def __init__(self, bench: Bench, *, option: float = 1.0) -> None:
            super().__init__(bench)

    assert Mine.plain_options == ("option",)  # type: ignore[attr-defined]
    made = executor_factory(Mine, 1, {"option": 2.0})(Bench(HCN, "double-well"))
    assert type(made) is Mine
    for each in (Mine, made):
        with pytest.raises(InputError, match="must be more than 0"):
            each.check_options(option=0.0)  # type: ignore[union-attr]


def test_an_executor_that_is_waited_for_is_named(
    stranger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--executor", "broken", "--executor-option", "how=raises"]
    assert main([*RUN, *flags]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("Exploring CHN on gfn2")
    assert told[1:] == [
        "Starting the executor broken",
        "Error: the executor 'broken' cannot be made: RuntimeError: no licence",
    ]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("raises", "the executor 'broken' cannot be made: RuntimeError: no licence"),
        ("text", "the executor 'broken' must have `run` and `close`, got str; correct it"),
    ],
)
def test_an_executor_that_cannot_be_made_leaves_nothing(
    how: str, words: str, stranger: Path
) -> None:
    events = explore(
        HCN, HCN_START, Settings(), Path("run.db"), executor="broken", executor_options={"how": how}
    )
    with pytest.raises(AfirError, match=f"^{re.escape(words)}$"):
        list(events)
    assert not Path("run.db").exists()


@pytest.mark.parametrize(
    ("name", "workers", "options", "kind"),
    [
        (None, 1, {}, BatchedExecutor),
        (None, 2, {}, ProcessExecutor),
        ("serial", 1, {}, SerialExecutor),
        ("batched", 1, {"width": 3}, BatchedExecutor),
        ("processes", 2, {}, ProcessExecutor),
        (SerialExecutor, 1, {}, SerialExecutor),
        (ProcessExecutor, 2, {"seconds": 5.0}, ProcessExecutor),
    ],
)
def test_names_and_functions_make_executors(
    name: Any, workers: int, options: Mapping[str, Any], kind: type
) -> None:
    executor = executor_factory(name, workers, options)(Bench(HCN, "double-well"))
    assert type(executor) is kind
    executor.close()
    assert {"batched", "dask", "processes", "serial"} <= set(entries(ENTRY_POINT_GROUP))


def test_a_run_file_alone_brings_no_code_of_others_to_an_executor(stranger: Path) -> None:
    settings = Settings(surface="ase:ase.calculators.emt.EMT", max_trials=1)
    list(explore(HCN, HCN_START, settings, Path("run.db"), executor=SerialExecutor))
    for executor in ("serial", SerialExecutor):
        with pytest.raises(InputError, match="which runs code from outside afir"):
            resume(Path("run.db"), executor=executor)


@pytest.mark.slow
def test_a_run_is_resumed_with_another_executor(tmp_path: Path) -> None:
    whole, cut, settings = tmp_path / "whole.db", tmp_path / "cut.db", Settings(max_trials=6)
    list(explore(HCN, HCN_START, settings, whole))
    events = explore(HCN, HCN_START, settings, cut, executor="serial")
    assert any(isinstance(event, TaskDone) and event.kind == "push" for event in events)
    events.close()  # type: ignore[attr-defined]
    list(resume(cut, workers=2, executor="processes"))
    assert snapshot(cut) == snapshot(whole)
