"""The report: the documented JSON object, and tables that say the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_network import dc, drawn_run, eq, network_of, records, ts, write_run
from toyworld import MOLECULE, SETTINGS, toy
from toyworld import structure as toy_structure

import networks.graph.identity
import networks.graph.network
from afir.errors import InputError
from afir.geometry import naming
from afir.geometry.bonds import rebonded
from afir.molecule import Molecule
from afir.stationary import Outcome
from afir.units import HARTREE
from networks import explore, open_run
from networks.exploration.events import RoundDone
from networks.graph.bonding import Bonding
from networks.graph.network import ReactionNetwork
from networks.records.runs import Complete, Model, StoppedBy
from networks.records.structures import EQ
from networks.records.trials import Absorbed
from networks.reporting.advice import advice
from networks.reporting.run import heading, load_run
from networks.reporting.show_json import show_object
from networks.reporting.tables import graph_lines, sections
from networks.scheduling.remains import Remains
from networks.scheduling.unseen import unseen
from networks.settings import Settings
from networks.storage import rows
from networks.storage.store import Store

NUMBER = (int, float)
STRUCTURE = {
    "id": str,
    "energy_hartree": float,
    "relative_kj_mol": float,
    "flags": list,
    "xyz": list,
}
NODE = {**STRUCTURE, "name": str}
OBJECT = {
    "schema_version": int,
    "molecule": {"formula": str, "charge": int, "multiplicity": int},
    "surface": str,
    "searched_on": str,
    "learned": bool,
    "seed": int,
    "eq": [NODE],
    "dc": [{**NODE, "origin": str}],
    "ts": [{**STRUCTURE, "imaginary_cm1": float, "ends": list, "verified": bool, "proof": Mapping}],
    "barrierless": [{"ends": list, "energy_hartree": float, "relative_kj_mol": float}],
    "trials": Mapping,
    "gradients": {"total": int, "counted": int, "stages": Mapping},
    "seconds": float,
    "complete": {"anything_left": bool, "stopped_by": str},
    "unseen": {
        "observed": int,
        "met_once": int,
        "met_twice": int,
        "trials": int,
        "estimate": float,
        "low": float,
        "high": float,
    },
    "pushes": {"listed": int, "left": int},
    "window": {"kj_mol": float, "trials_above": int, "eqs_above": int},
    "doubts": [str],
}


def _check(value: Any, wanted: Any, where: str) -> None:
    if isinstance(wanted, dict):
        assert isinstance(value, dict), where
        assert set(value) == set(wanted), where
        for key, inner in wanted.items():
            _check(value[key], inner, f"{where}.{key}")
    elif isinstance(wanted, list):
        assert value, where
        for item in value:
            _check(item, wanted[0], f"{where}[]")
    else:
        assert isinstance(value, wanted), where


def test_keys_and_types_are_those_that_are_documented() -> None:
    remains = Remains(unseen([1, 1, 2, 5], 30), 1, 40, 10)
    limited = Settings(window_kj_mol=300.0)
    doubts = ("the surface mine: its gradient is 1.05 times the slope of its energy",)
    run = replace(drawn_run(), remains=remains, settings=limited, doubts=doubts)
    shown = json.loads(json.dumps(show_object(run)))
    _check(shown, OBJECT, "show")
    assert shown["schema_version"] == 1
    for structure in (*shown["eq"], *shown["ts"], *shown["dc"]):
        for symbol, *xyz in structure["xyz"]:
            assert isinstance(symbol, str)
            assert [type(x) for x in xyz] == [float] * 3
    for item in shown["ts"]:
        assert len(item["ends"]) == 2
        proof = set(item["proof"])
        assert {"negative_eigenvalues", "imaginary_cm1", "gradient_max", "irc"} <= proof


def test_every_key_is_in_the_page_about_it() -> None:
    page = (Path(__file__).parents[3] / "docs" / "show-json.md").read_text(encoding="utf-8")

    def keys(wanted: Any) -> set[str]:
        if isinstance(wanted, list):
            return keys(wanted[0])
        if isinstance(wanted, dict):
            return set(wanted).union(*(keys(value) for value in wanted.values()))
        return set()

    assert {key for key in keys(OBJECT) if f"`{key}`" not in page} == set()


def test_numbers() -> None:
    run = drawn_run()
    shown = show_object(run)
    assert [node["relative_kj_mol"] for node in shown["eq"]] == pytest.approx(
        [0, 216.5, 208.6, 179.6]
    )
    assert shown["eq"][0]["energy_hartree"] == pytest.approx(-7.175648095)
    assert shown["ts"][0]["energy_hartree"] * HARTREE == pytest.approx(
        run.network.tss["TS0"].energy
    )
    assert shown["ts"][1]["ends"] == ["EQ2", "EQ1"]
    assert shown["eq"][3]["flags"] == ["complex"]
    assert [node["flags"] for node in shown["dc"]] == [[], ["no_ts_known"]]
    assert [item["flags"] for item in shown["ts"]] == [[], [], [], [], [], ["loop"]]
    assert [edge["ends"] for edge in shown["barrierless"]] == [["EQ3", "DC0"], ["EQ3", "DC1"]]
    assert [edge["relative_kj_mol"] for edge in shown["barrierless"]] == pytest.approx([181, 390])
    assert shown["gradients"]["total"] == 2000 == sum(shown["gradients"]["stages"].values())
    assert shown["trials"] == {"found": 9, "no_barrier": 21}
    assert shown["complete"] == {"anything_left": True, "stopped_by": "trials"}


def test_the_heading_tells_state_surface_and_zero() -> None:
    run = drawn_run()
    assert heading(run) == "CH2O on gfn2; energies in kJ/mol, relative to EQ0, the lowest"
    ion = replace(
        run,
        molecule=Molecule(run.molecule.numbers, charge=-1, multiplicity=2),
        settings=Settings(surface_options={"solvent": "water"}),
        network=network_of([eq(0, 0.0), eq(1, -3.0)]),
    )
    assert heading(ion) == (
        "CH2O (charge -1, multiplicity 2) on gfn2 (solvent=water); energies in kJ/mol, relative to "
        "EQ1, the lowest"
    )
    better = replace(
        run,
        settings=Settings(reference="dft", learn=True),
        models=(Model(1, 3, 150, 60.0, {}), Model(2, 5, 190, 20.0, {})),
    )
    assert heading(better).startswith(
        "CH2O on dft, searched on gfn2 with a correction learned from 190 labels; energies"
    )
    untaught = replace(better, models=())
    assert heading(untaught).startswith("CH2O on dft, searched on gfn2, nothing learned yet")
    assert show_object(better)["learned"]
    assert not show_object(untaught)["learned"]


def test_a_run_file_gives_the_same(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run.db", job="gamma = 1.0\n"))
    assert run.job == "gamma = 1.0\n"
    shown, drawn = show_object(run), show_object(drawn_run())
    for key in ("molecule", "eq", "ts", "dc", "barrierless", "surface", "seed", "complete"):
        assert shown[key] == drawn[key]
    assert shown["gradients"] == {
        "total": 73,
        "counted": 73,
        "stages": {"hessian": 13, "push": 40, "saddle": 20},
    }


def test_a_run_without_anything_is_reported_too() -> None:
    run = drawn_run(StoppedBy.INTERRUPTED, [])
    assert show_object(run)["eq"] == []
    assert graph_lines(run) == []
    assert sections(run)


def test_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        load_run(tmp_path / "no.db")
    (tmp_path / "no.db").write_text("text")
    with pytest.raises(InputError):
        load_run(tmp_path / "no.db")


def test_tables_are_sorted_and_can_be_cut() -> None:
    run = drawn_run()
    eqs, tss, dcs, trials, rejected, gradients = sections(run)
    assert [row[0] for row in eqs.rows] == ["EQ0", "EQ3", "EQ2", "EQ1"]
    assert [row[0] for row in tss.rows] == ["TS2", "TS1", "TS0", "TS3", "TS4"]
    assert tss.rows[2][3:6] == ("384.8", "384.8", "168.3")
    assert eqs.rows[1][3] == "C–O + H2"
    assert eqs.rows[1][4:] == ("complex", "EQ2 DC0 DC1")
    assert [row[3:] for row in dcs.rows] == [
        ("barrierless from EQ3", "EQ0 EQ3"),
        ("barrierless from EQ3", "EQ2 EQ3"),
    ]
    assert trials.rows[-1] == rejected_sum(trials.rows)
    assert rejected.rows[-1] == ("total", "2")
    assert gradients.rows[-1] == ("total", "2000")
    short = sections(run, limit=2)
    assert [len(section.rows) for section in short[:3]] == [2, 2, 2]
    assert short[0].title == "Equilibrium structures: 4, the lowest 2"
    for section in sections(run):
        assert all(len(row) == len(section.columns) for row in section.rows)


def rejected_sum(rows: tuple[tuple[str, ...], ...]) -> tuple[str, str]:
    return ("total", str(sum(int(row[1]) for row in rows[:-1])))


def test_loops_are_counted_unless_they_are_wanted() -> None:
    run = drawn_run()
    assert sections(run)[1].title == (
        "Transition states: 6, 1 loop not shown; `show --loops` lists it"
    )
    whole = sections(run, loops=True)[1]
    assert whole.title == "Transition states: 6"
    assert whole.rows[-1][0] == "TS5"
    assert whole.rows[-1][-1] == "loop"
    two = drawn_run(found=[*records(), ts(6, 700.0, "EQ2", "EQ2")])
    assert sections(two, limit=3)[1].title == (
        "Transition states: 7, the lowest 3, 2 loops not shown; `show --loops` lists them"
    )
    # Where there is nothing else they are shown.
    only = drawn_run(found=[eq(0, 0.0), ts(0, 90.0, "EQ0", "EQ0")])
    assert [row[0] for row in sections(only)[1].rows] == ["TS0"]
    assert "└─ 1 loop not shown" in graph_lines(run)


def test_loops_in_which_bonds_change_are_reactions() -> None:
    loop = ts(6, 700.0, "EQ2", "EQ2")
    there = loop.irc_positions[0]
    back = there.copy()
    back[2] = [2.1, 0.3, 0.0]  # a hydrogen on oxygen
    assert rebonded(drawn_run().molecule, there, back)
    changed = replace(loop, irc_positions=np.array([there, loop.positions, back]))
    run = drawn_run(found=[*records(), changed])
    shown = sections(run)[1]
    assert shown.title == "Transition states: 7, 1 loop not shown; `show --loops` lists it"
    assert (shown.rows[-1][0], shown.rows[-1][-1]) == ("TS6", "loop")
    # The bonds tell reactions from changes of the conformation.
    place = shown.columns.index("<bonds")
    assert shown.rows[-1][place] == "-C0–H2 +O1–H2"
    assert {row[place] for row in shown.rows[:-1]} == {""}
    assert "├─ TS6  700.0  → itself" in graph_lines(run)


def test_what_is_wrong_with_a_transition_state_is_said() -> None:
    high = replace(ts(6, 800.0, "EQ0", "EQ1"), imaginary_cm1=3600.0)
    labels = {"labelled_ends": ["EQ0.0", "EQ0.0"]}
    back = ts(7, 700.0, "EQ0", "EQ0")
    begun, top = back.irc_positions[0], back.positions
    back = replace(
        back, proof={**back.proof, **labels}, irc_positions=np.array([begun, top, begun])
    )
    # Distortions of one structure, closer to each other than structures are told apart.
    turned = ts(10, 715.0, "EQ0", "EQ0")
    bent = begun + 1.5 * (top - begun)
    turned = replace(
        turned, proof={**turned.proof, **labels}, irc_positions=np.array([begun, top, bent])
    )
    exchange = ts(8, 710.0, "EQ0", "EQ0")
    exchange = replace(exchange, proof={**exchange.proof, "labelled_ends": ["EQ0.0", "EQ0.1"]})
    apart = ts(9, 720.0, "DC0", "DC0")
    apart = replace(apart, proof={**apart.proof, "labelled_ends": ["DC0", "DC0"]})
    run = drawn_run(found=[*records(), high, back, exchange, apart, turned])
    flags = {item["id"]: item["flags"] for item in show_object(run)["ts"]}
    assert [flags[f"TS{k}"] for k in (0, 6, 7, 8, 9, 10)] == [
        [],
        ["cusp"],
        ["loop", "same_ends"],
        ["loop"],
        ["loop"],
        ["loop"],
    ]
    table = sections(run)[1]
    said = {row[0]: row[-1] for row in table.rows}
    # Shown though it is a loop.
    assert said["TS7"] == "loop, same ends"
    assert said["TS6"] == "cusp"
    assert not {"TS5", "TS8"} & set(said)
    assert [note.split(":")[0] for note in table.notes] == ["cusp", "same ends"]
    assert not sections(drawn_run())[1].notes


def test_the_graph_lists_every_transition_state_once() -> None:
    lines = graph_lines(drawn_run(), loops=True)
    text = "\n".join(lines)
    for number in range(6):
        assert text.count(f"TS{number} ") == 1
    assert lines[0] == "EQ0 (CH2–O)  0.0"
    assert "└─ TS5  650.0  → itself" in lines
    assert "├─ TS2  305.6  → DC0 (C–O + H2)" in lines
    assert "├─ barrierless  181.0  → DC0 (C–O + H2)" in lines
    # Where it was reached from is told though a complex is joined to it.
    assert lines[lines.index("EQ2 (CH2–O)  208.6") + 2] == "└─ no TS known  → DC1 (C–O + H2)"
    assert [node["origin"] for node in show_object(drawn_run())["dc"]] == ["EQ0", "EQ2"]
    loose = drawn_run(found=[eq(0, 0.0), dc(0, 181.0, "EQ0")])
    assert "└─ no TS known  → DC0 (C–O + H2)" in graph_lines(loose)


@pytest.mark.parametrize(
    ("stopped", "words"),
    [
        (StoppedBy.INTERRUPTED, "`afir resume run.db` continues"),
        (StoppedBy.TRIALS, "`afir resume run.db --max-trials 60` continues"),
        (StoppedBy.WANTED, "`afir plot run.db --output profile.png --from EQ0 --to EQ2` draws"),
        (StoppedBy.NOTHING_LEFT, "--gamma-max above 1800"),
    ],
)
def test_advice_fits_what_stopped_the_run(stopped: StoppedBy, words: str) -> None:
    run = replace(drawn_run(stopped), wanted="EQ2")
    assert words in " ".join(advice(run, Path("run.db")))


def test_advice_fits_on_a_line() -> None:
    run = replace(drawn_run(StoppedBy.NOTHING_LEFT), settings=Settings(terms=1))
    assert advice(run, Path("run.db"))[0] == (
        "A new run with --effort thorough, --gamma-max above 2000, another seed or --terms 2 may "
        "find more."
    )
    for stopped in StoppedBy:
        run = replace(run, summary=replace(run.summary, complete=Complete(True, stopped)))
        assert max(map(len, advice(run, Path("butadiene.db")))) <= 100


@pytest.mark.parametrize(
    ("limit", "used", "suggested"),
    [(0, 0, 2), (30, 30, 60), (30, 16, 60), (0, 16, 32), (1, 2000, 4000)],
)
def test_advised_limits_are_above_what_was_used(limit: int, used: int, suggested: int) -> None:
    run = drawn_run()
    for stopped, key in (
        (StoppedBy.TRIALS, "max_trials"),
        (StoppedBy.GRADIENTS, "max_gradients"),
        (StoppedBy.SECONDS, "max_seconds"),
        (StoppedBy.PATIENCE, "patience"),
    ):
        value = max(limit, 1) if key in ("max_seconds", "patience") else limit
        stuck = replace(
            run,
            settings=Settings(**{key: value}),
            summary=replace(
                run.summary,
                trials={Outcome.FOUND: used},
                gradients={"push": used},
                seconds=float(used) - 0.5,
                complete=Complete(True, stopped),
            ),
            barren=used,
        )
        flag = f"--{key.replace('_', '-')}"
        assert f"`afir resume run.db {flag} {suggested}`" in advice(stuck, Path("run.db"))[0]


def test_the_way_to_the_wanted_product_is_drawn_only_if_there_is_one() -> None:
    run = drawn_run(StoppedBy.WANTED)
    at_once = advice(replace(run, wanted="EQ0"), Path("run.db"))
    assert at_once[0] == "The wanted product is the start itself, EQ0."
    no_way = drawn_run(StoppedBy.WANTED, [eq(0, 0.0), eq(1, 3.0)])
    for id in ("EQ1", None):
        assert "profile" not in " ".join(advice(replace(no_way, wanted=id), Path("run.db")))


def test_patience_and_the_wanted_product_are_read(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.db")
    run = load_run(path)
    assert (run.barren, run.wanted) == (0, None)
    eq2 = run.network.eqs["EQ2"]
    with Store.open(path, writing=True) as store:
        (trial,) = store.trials()
        barren = replace(trial, number=2, round=1, push=1, found=())
        wanted = eq2.positions, eq2.energy
        store.absorb(Absorbed(1, (), (), (), (barren,), (), {}, 0.0, wanted), 2.5)
    run = load_run(path)
    assert (run.barren, run.wanted) == (1, "EQ2")


def test_a_run_that_goes_on_while_it_is_read_is_read_as_of_one_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The EQs of one commit and the TSs of the next would not fit each other."""
    path = tmp_path / "run.db"
    events = explore(MOLECULE, toy_structure(0), SETTINGS, path, executor=toy)
    rounds = (event for event in events if isinstance(event, RoundDone))
    next(rounds)
    with open_run(path) as store:
        before = len(store.load_network().eqs)
    read, left = rows.eq_record, before

    def eq_record(row: Any) -> EQ:
        nonlocal left
        left -= 1
        if left == 0:
            next(rounds)
            next(rounds)
        return read(row)

    monkeypatch.setattr(rows, "eq_record", eq_record)
    run = load_run(path)
    assert left <= 0
    assert len(run.network.eqs) == before
    monkeypatch.undo()
    list(events)
    assert len(load_run(path).network.eqs) > before


def test_a_report_of_many_structures_takes_no_look_at_each_pair(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is superposed or looked up, and a molecule is named once, however often it is met."""
    named = []
    name = naming._name

    def counted(part: object) -> str:
        named.append(part)
        return name(part)  # type: ignore[arg-type]

    def refused(*_: object) -> None:
        raise AssertionError("a report looks nothing up")

    monkeypatch.setattr(naming, "_name", counted)
    monkeypatch.setattr(networks.graph.network, "fingerprint", refused)
    monkeypatch.setattr(networks.graph.identity, "same_labelled", refused)
    naming._names.cache_clear()
    found = [
        *(eq(i, 1.0 * i) for i in range(150)),
        dc(0, 200.0, "EQ3"),
        *(ts(i, 300.0 + i, f"EQ{i}", f"EQ{i + 1}") for i in range(149)),
    ]
    run = drawn_run(found=found)
    sections(run)
    graph_lines(run)
    show_object(run)
    assert len(named) == 3  # CH2O, CO and H2


def test_channels_are_compared_with_those_of_the_same_bonds_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []
    same = Bonding.same
    monkeypatch.setattr(
        Bonding, "same", lambda one, other: compared.append(one) or same(one, other)
    )
    molecule = Molecule.from_symbols(["He"] * 40)
    line = 5.0 * np.arange(40.0)[:, None] * [1.0, 0.0, 0.0]
    network = ReactionNetwork(molecule)
    for number in range(39):  # channels of one to 39 pairs and clusters
        x = line.copy()
        x[1 : number + 2] = x[0] + 0.5 * np.arange(1, number + 2)[:, None] * [0.0, 1.0, 0.0]
        network.add_dc(x, -1.0, origin="EQ0")
    assert len(network.dcs) == 39
    assert not compared
