"""What is handed on holds all that is needed to test and to use it."""

import configparser
import re
import shutil
import subprocess
import sys
import tarfile
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parent.parent


def files_of_the_project() -> list[str]:
    """What git tracks; in a copy without a repository all that is not to be ignored."""
    git = shutil.which("git")
    if git is not None and (ROOT / ".git").exists():
        listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
        names = listed.stdout.decode().split("\0")
        return [name for name in names if name and (ROOT / name).exists()]
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    anywhere = [line.rstrip("/") for line in lines if line and line[0] not in "#/"]
    files = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file()]
    return [
        str(path)
        for path in files
        if not any(fnmatch(part, pattern) for part in path.parts for pattern in anywhere)
    ]


def test_the_source_distribution_holds_every_tracked_file(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    names = files_of_the_project()
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    # What was tried in a folder is no part of it.
    (tree / "examples" / "h2co.db").write_bytes(b"")
    code = "from setuptools import build_meta; print(build_meta.build_sdist('dist'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    archive = tree / "dist" / done.stdout.splitlines()[-1]
    with tarfile.open(archive) as packed:
        files = {member.name.partition("/")[2]: member for member in packed if member.isfile()}
    assert sorted(set(names) - set(files)) == []
    assert "examples/h2co.db" not in files
    assert files[".ci/run"].mode & 0o100


def test_every_version_of_python_that_is_promised_is_tested() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    promised = re.findall(r"Python :: (3\.\d+)", config["metadata"]["classifiers"])
    (said,) = re.findall(
        r"You need Linux and Python ([\d., or]+)\.", (ROOT / "README.md").read_text("utf-8")
    )
    assert re.findall(r"3\.\d+", said) == promised
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (others,) = re.findall(r"^ *for version in (.*); do$", script, re.M)
    oldest, *rest = promised  # that of the README's command
    assert others.split() == rest
    assert config["options"]["python_requires"] == f">={oldest}"
