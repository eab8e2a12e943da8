"""What the documents say is true: commands, options, links, pins, the Python snippet."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

import click
import pytest

from afir.cli.main import build
from afir.io.structures import read_structure
from afir.pes.loading import load_surface
from networks.jobfile import job_from

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])


def blocks(language: str, text: str = README) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def set_up_commands() -> tuple[str, str]:
    section = README.split("## Set up\n")[1].split("\n## ")[0]
    first, second = (block.strip() for block in blocks("bash", section))
    return first, second


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with the examples in it, as in a fresh clone."""
    (tmp_path / "examples").mkdir()
    for path in (ROOT / "examples").glob("*.xyz"):
        shutil.copy(path, tmp_path / "examples")
    return tmp_path


def test_each_set_up_is_one_command() -> None:
    for command in set_up_commands():
        assert "\n" not in command
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -c ")


def test_ci_runs_the_test_command_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert set_up_commands()[1] in script.read_text(encoding="utf-8").splitlines()


def test_the_first_command_explores(folder: Path) -> None:
    program, *arguments = shlex.split(set_up_commands()[0].split(" && ")[-1])
    assert program == ".venv/bin/afir"
    done = run(["-m", "afir", *arguments, "--max-trials", "8"], folder)
    assert done.returncode == 0, done.stderr
    assert "Transition states" in done.stdout
    assert (folder / "c3h4.db").is_file()


SURE = {
    "EQ": [0.0, 20.7, 92.2, 249.2, 257.4, 291.4],
    "TS": [252.7, 279.8, 292.8, 300.4, 301.1, 336.8, 337.0, 343.5],
}
"""kJ/mol: what six seeds found alike; what lies higher turns on how a processor rounds."""


@pytest.mark.slow
def test_the_sample_is_what_is_found(folder: Path) -> None:
    (sample,) = blocks("text")
    program, *arguments = shlex.split(set_up_commands()[0].split(" && ")[-1])
    done = run(["-m", "afir", *arguments], folder)
    assert done.returncode == 0, done.stderr
    assert program == ".venv/bin/afir"
    for kind, energies in SURE.items():
        for text in (sample, done.stdout):
            rows = re.findall(rf"^ {kind}\d+ [^.]* (\d+\.\d) ", text, re.M)
            found = [float(row) for row in rows]
            assert found == sorted(found)
            for energy in energies:
                assert any(abs(each - energy) < 0.2 for each in found), (kind, energy)
    for heading in re.findall(r"^ (?:EQ|TS|DC) .*$", sample, re.M):  # columns as they are today
        assert heading.split() in [line.split() for line in done.stdout.splitlines()]


def test_the_python_snippet_runs(folder: Path) -> None:
    (snippet,) = blocks("python")
    code = [line for line in snippet.splitlines() if line]
    assert len(code) <= 11
    shortened = snippet.replace("max_trials=8", "max_trials=4")
    assert shortened != snippet
    for _ in range(2):  # what a newcomer does twice works twice
        done = run(["-c", shortened], folder)
        assert done.returncode == 0, done.stderr
    assert re.search(r"^TS0 \('EQ\d', 'EQ\d'\) \d+i cm⁻¹$", done.stdout, re.M)


def test_the_job_file_is_one() -> None:
    (text,) = blocks("toml")
    job = job_from(tomllib.loads(text))
    assert job.settings.surface_options == {"solvent": "acetonitrile", "temperature": 300.0}
    assert job.settings.step.push_steps == 200
    molecule, _ = read_structure(ROOT / job.input)
    load_surface(job.settings.surface, molecule, **job.settings.surface_options)


def test_what_the_commands_write_is_no_change_of_the_repository() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    patterns = [line.removeprefix("/") for line in ignored if line and not line.startswith("#")]
    outputs = {"h2co-relaxed.xyz", "h2co-path.xyz", "python.db", "h2co_eq.csv", "01.db", "04.svg"}
    for command in commands_in_text():
        words = shlex.split(command)
        for flag in ("-o", "--output", "--peak", ">"):
            outputs |= {after for word, after in pairwise(words) if word == flag}
    assert {"c3h4.db", "network.svg", "profile.svg", "c3h4.graphml"} <= outputs
    missed = {name for name in outputs if not any(fnmatch(name, pattern) for pattern in patterns)}
    assert missed == set()


def commands_in_text() -> list[str]:
    """Every ``afir …`` in a block of commands or between backticks, in all documents."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for block in blocks("bash", text):
            for line in block.splitlines():
                found += [part for part in re.split(r" && |#", line) if "afir " in part]
        found += re.findall(r"`(afir [^`]+)`", text)
    return [re.sub(r"^.*?\bafir ", "", command).strip() for command in found]


@pytest.mark.parametrize("command", sorted(set(commands_in_text())))
def test_commands_and_options_exist(command: str) -> None:
    name, *rest = shlex.split(command)
    if name == "COMMAND":
        return
    group = build()
    assert name in group.commands
    known = {
        text
        for parameter in [*group.commands[name].params]
        if isinstance(parameter, click.Option)
        for text in (*parameter.opts, *parameter.secondary_opts)
    } | {"--help"}
    assert {word for word in rest if word.startswith("-")} <= known


def test_options_in_the_tables_exist() -> None:
    options = {text for parameter in build().commands["explore"].params for text in parameter.opts}
    table = README.split("## Options that matter\n")[1].split("\n## ")[0]
    for row in table.splitlines():
        if row.startswith("| `"):
            named = re.findall(r"`(--[a-z-]+)", row.split(" | ")[0])
            assert named
            assert set(named) <= options


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", document.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (document.parent / target).exists(), target


def test_everything_required_is_pinned() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    required = config["options"]["install_requires"]
    required += "".join(config["options.extras_require"].values())
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")

    def names(text: str) -> set[str]:
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return {re.split(r"[<>=; ]", line)[0].lower().replace("_", "-") for line in lines}

    assert names(required) <= names(pins)
