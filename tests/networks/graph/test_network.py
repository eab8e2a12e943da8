from __future__ import annotations

import dataclasses
import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from toyworld import MOLECULE, energy, point, saddle_energy, structure

from afir.errors import InputError
from afir.geometry.bonds import bonds_changed
from afir.molecule import Molecule, Positions
from afir.stationary import Confirmation, Minimum, Outcome, StationaryPoint
from afir.units import KJ_PER_MOL
from networks.graph.flags import flags_of
from networks.graph.network import ReactionNetwork, fragments

WATERS = Molecule.from_symbols("OHHOHH")
WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


def confirmed(low: int, high: int) -> Confirmation:
    x = structure(low, high)
    ends = tuple(
        Minimum(Outcome.CONVERGED, structure(k), energy(k), np.zeros((4, 3)), np.eye(12), False)
        for k in (low, high)
    )
    return Confirmation(
        outcome=Outcome.CONFIRMED,
        point=point(x, saddle_energy(low, high), 1),
        ends=ends,
        monotone=True,
        irc_positions=np.stack([structure(low), x, structure(high)]),
        irc_energies=np.array([energy(low), saddle_energy(low, high), energy(high)]),
    )


def small() -> ReactionNetwork:
    network = ReactionNetwork(MOLECULE)
    for state in (1, 0, 2):
        network.add_eq(point(structure(state), energy(state), 0))
    network.add_ts(confirmed(1, 0), ("EQ0", "EQ1"))
    network.add_ts(confirmed(2, 0), ("EQ2", "EQ1"))
    network.add_ts(confirmed(2, 2), ("EQ2", "EQ2"))
    return network


def test_ids_follow_the_order_of_discovery() -> None:
    network = small()
    assert list(network.eqs) == ["EQ0", "EQ1", "EQ2"]
    assert list(network.tss) == ["TS0", "TS1", "TS2"]
    assert network.lowest.id == "EQ1"


def test_what_is_known_cannot_be_overwritten() -> None:
    """Methods and policies are given these very records, and in a process of their own copies."""
    network = small()
    x = structure(0).copy()
    network.add_dc(x, -90.0, origin="EQ0")
    known = [*network.eqs.values(), *network.tss.values(), *network.dcs.values()]
    for record in [*known, *(pickle.loads(pickle.dumps(each, protocol=4)) for each in known)]:
        arrays = {k: v for k, v in vars(record).items() if isinstance(v, np.ndarray)}
        assert "positions" in arrays
        for array in arrays.values():
            with pytest.raises(ValueError, match="read-only"):
                array += 1.0
    x += 1.0  # whoever added it keeps an array of his own


def test_records_are_the_stationary_points_that_were_added() -> None:
    network, path = small(), confirmed(1, 0)
    pairs = [
        (network.eqs["EQ0"], point(structure(1), energy(1), 0)),
        (network.tss["TS0"], path.point),
    ]
    for record, added in pairs:
        assert isinstance(record, StationaryPoint)
        for name, value in vars(added).items():
            assert np.array_equal(getattr(record, name), value), name
        # Two records are one only if they are the same object.
        assert record != dataclasses.replace(record)
        assert len({record, added}) == 2


def test_an_end_above_its_structure_is_told() -> None:
    network = small()
    low, high = confirmed(3, 0).ends
    network.add_eq(point(structure(3), energy(3), 0))
    for gap, told in ((0.3, False), (3.0, True)):
        fallen = replace(
            confirmed(3, 0), ends=(replace(low, energy=low.energy + gap * KJ_PER_MOL), high)
        )
        ends = tuple(network.find_eq(end.positions, end.energy) for end in (low, high))
        fresh = small()
        fresh.add_eq(point(structure(3), energy(3), 0))
        id, _ = fresh.add_ts(fallen, ends)
        ts = fresh.tss[id]
        assert ("end_above" in flags_of(ts)) is told
        if told:
            assert ts.proof["ends_above_kj_mol"] == pytest.approx([gap, 0.0], abs=1e-6)


def test_saddle_points_that_a_path_was_followed_down_from_are_in_its_proof() -> None:
    network = small()
    network.add_eq(point(structure(3), energy(3), 0))
    low, high = confirmed(3, 0).ends
    met = replace(confirmed(3, 0), ends=(replace(low, ridges=(-187.0, -24.5)), high))
    ends = tuple(network.find_eq(end.positions, end.energy) for end in (low, high))
    id, _ = network.add_ts(met, ends)
    assert network.tss[id].proof["ridges_cm1"] == [[-187.0, -24.5], []]
    assert "ridges_cm1" not in network.tss["TS0"].proof


def test_a_structure_is_one_node_however_it_lies() -> None:
    network = small()
    turned = Rotation.random(rng=np.random.default_rng(1)).apply(structure(0)) + 3.0
    for x in (turned, -turned):
        assert network.add_eq(point(x, energy(0), 0)) == ("EQ1", False)
        assert network.find_eq(x, energy(0) + 1e-5) == "EQ1"
    assert network.find_eq(turned, energy(0) + 0.02) is None
    assert network.add_ts(confirmed(1, 0), ("EQ0", "EQ1")) == ("TS0", False)


def test_the_graph_holds_loops_and_parallel_edges() -> None:
    network = small()
    twin = dataclasses.replace(network.tss["TS0"], id="TS3", energy=-90.0)
    network.insert(twin)
    assert network.neighbours("EQ0") == {"EQ1": ("TS0", "TS3")}
    assert network.neighbours("EQ2") == {"EQ1": ("TS1",), "EQ2": ("TS2",)}
    assert network.graph.number_of_edges() == 4


def test_a_proof_says_why_a_ts_counts() -> None:
    ts = small().tss["TS0"]
    assert ts.verified
    assert ts.imaginary_cm1 == 500.0
    assert ts.proof == {
        "negative_eigenvalues": 1,
        "imaginary_cm1": 500.0,
        "gradient_max": 1e-4,
        "irc": "monotone",
        "ends": ["converged", "converged"],
        "labelled_ends": ["EQ0.0", "EQ1.0"],
    }


def test_two_molecules_that_hold_together_are_a_complex() -> None:
    network = ReactionNetwork(WATERS)
    modes = dataclasses.replace(
        point(structure(0), -1.0, 0), positions=np.vstack([WATER, WATER + 2.5])
    )
    id, _ = network.add_eq(modes)
    assert network.eqs[id].flags == ("complex",)
    assert fragments(WATERS, modes.positions) == ("H2O", "H2O")


def apart(first: Positions, second: Positions, distance: float) -> Positions:
    return np.vstack([first, second + np.array([distance, 0.0, 0.0])])


def test_channels_are_told_apart_by_their_bonds_only() -> None:
    network = ReactionNetwork(WATERS)
    assert network.add_dc(apart(WATER, WATER, 6.0), -5.0, origin="EQ0") == ("DC0", True)
    assert network.add_dc(apart(1.05 * WATER, WATER, 9.0), -4.9, origin="EQ0") == ("DC0", False)
    # The same formula bonded in another way, H–O–H and O–H–H, is another channel.
    other = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [1.7, 0.0, 0.0]])
    assert network.add_dc(apart(WATER, other, 8.0), -4.0, origin="EQ0") == ("DC1", True)
    swapped = apart(other, WATER, 8.0)
    assert network.add_dc(swapped, -4.0, origin="EQ0") == ("DC1", False)


def test_a_channel_with_a_ts_is_no_ts_known_no_longer() -> None:
    network = small()
    x = structure(0).copy()
    x[3] += 20.0
    network.add_dc(x, -90.0, origin="EQ1")
    assert network.dcs["DC0"].no_ts_known
    network.add_ts(confirmed(0, 3), ("EQ1", "DC0"))
    assert not network.dcs["DC0"].no_ts_known
    assert network.dcs["DC0"].origin == "EQ1"


def test_misuse_is_refused() -> None:
    network = small()
    with pytest.raises(InputError, match="EQ9"):
        network.node("EQ9")
    with pytest.raises(InputError, match="second time"):
        network.insert(network.eqs["EQ1"])
    with pytest.raises(InputError, match="EQ7"):
        network.insert(dataclasses.replace(network.tss["TS0"], id="TS9", ends=("EQ0", "EQ7")))
    with pytest.raises(InputError, match="empty"):
        _ = ReactionNetwork(MOLECULE).lowest


def test_bonds_made_and_broken_are_counted() -> None:
    first = np.zeros((3, 3), dtype=bool)
    second = first.copy()
    first[0, 1] = first[1, 0] = True
    second[1, 2] = second[2, 1] = True
    assert bonds_changed(first, second) == 2
    assert bonds_changed(first, first) == 0


def test_a_path_that_swaps_like_atoms_ends_in_another_arrangement() -> None:
    network = ReactionNetwork(Molecule.from_symbols("OHH"))
    # One bond longer than the other: swapping the hydrogens is not a rotation.
    lopsided = WATER * np.array([[1.0], [1.6], [1.0]])
    network.add_eq(point(lopsided, -100.0, 0))
    swapped = Rotation.from_rotvec([0.4, 1.0, 0.2]).apply(lopsided[[0, 2, 1]])
    path = np.stack([lopsided, WATER, swapped])
    confirmation = dataclasses.replace(
        confirmed(1, 0), point=point(WATER, -99.0, 1), irc_positions=path
    )
    id, _ = network.add_ts(confirmation, ("EQ0", "EQ0"))
    assert network.tss[id].proof["labelled_ends"] == ["EQ0.0", "EQ0.1"]


def test_a_complex_is_joined_to_the_channel_of_its_molecules() -> None:
    """Whichever comes first, in whatever order of like atoms; other fragments are others."""
    shift = np.array([0.0, 0.0, 3.2])
    near = np.concatenate([WATER, WATER + shift])
    far = np.concatenate([WATER, WATER + 3.0 * shift])[[3, 1, 5, 0, 4, 2]]
    split = np.concatenate([WATER, WATER + shift])
    split[5] += np.array([0.0, 9.0, 0.0])
    atoms = 4.0 * np.arange(18.0).reshape(6, 3)
    shown = {}
    for name in ("complex first", "channel first"):
        network = ReactionNetwork(WATERS)

        def complex_(network: ReactionNetwork = network) -> None:
            modes = StationaryPoint(
                near, -10.0, 0.0, np.eye(18), np.full(12, 90.0), np.zeros((6, 3)), 0
            )
            assert network.add_eq(modes) == ("EQ0", True)

        if name == "complex first":
            complex_()
        assert network.add_dc(atoms, -5.0, origin="EQ0") == ("DC0", True)
        assert network.add_dc(far, -9.9, origin="EQ0") == ("DC1", True)
        assert network.add_dc(split, -7.0, origin="EQ0") == ("DC2", True)
        if name == "channel first":
            complex_()
        (edge,) = network.barrierless.values()
        assert (edge.id, edge.ends, edge.energy) == ("EQ0–DC1", ("EQ0", "DC1"), -9.9)
        assert network.neighbours("EQ0") == {"DC1": ("EQ0–DC1",)}
        assert network.joined_to("DC1") == ("EQ0",)
        assert network.joined_to("EQ0") == ("DC1",)
        assert network.joined_to("DC2") == ()
        assert network.graph.edges["EQ0", "DC1", "EQ0–DC1"] == {
            "energy": -9.9,
            "barrierless": True,
        }
        # It is no transition state that is known.
        assert network.dcs["DC1"].no_ts_known
        shown[name] = list(network.barrierless)
    assert shown["complex first"] == shown["channel first"]


def test_a_dissociation_over_a_transition_state_is_not_barrierless() -> None:
    """Unless bonds change on its path: an exchange of atoms says nothing of the dissociation."""
    near, far = (np.concatenate([WATER, WATER + np.array([0.0, 0.0, z])]) for z in (3.2, 9.6))
    exchanged = far[[0, 4, 2, 3, 1, 5]]
    for last, barrierless in ((far, []), (exchanged, ["EQ0–DC0"])):
        network = ReactionNetwork(WATERS)
        modes = np.eye(18), np.full(12, 90.0), np.zeros((6, 3))
        network.add_eq(StationaryPoint(near, -10.0, 0.0, *modes, 0))
        network.add_dc(far, -9.9, origin="EQ0")
        assert list(network.barrierless) == ["EQ0–DC0"]
        top = np.concatenate([WATER, WATER + np.array([0.0, 0.4, 5.0])])
        ends = tuple(
            Minimum(Outcome.CONVERGED, x, e, np.zeros((6, 3)), np.eye(18), False)
            for x, e in ((near, -10.0), (last, -9.9))
        )
        found = Confirmation(
            outcome=Outcome.CONFIRMED,
            point=StationaryPoint(top, -9.8, 0.0, *modes, 1),
            ends=ends,
            monotone=True,
            irc_positions=np.stack([near, top, last]),
            irc_energies=np.array([-10.0, -9.8, -9.9]),
        )
        id, new = network.add_ts(found, ("EQ0", "DC0"))
        assert new
        assert list(network.barrierless) == barrierless
        assert network.joined_to("DC0") == (("EQ0",) if barrierless else ())
        assert network.neighbours("EQ0") == {"DC0": (*barrierless, id)}


def test_the_edge_of_a_complex_is_as_high_as_the_higher_end() -> None:
    network = ReactionNetwork(WATERS)
    near = np.concatenate([WATER, WATER + np.array([0.0, 0.0, 3.2])])
    network.add_eq(
        StationaryPoint(near, -9.0, 0.0, np.eye(18), np.full(12, 90.0), np.zeros((6, 3)), 0)
    )
    far = np.concatenate([WATER, WATER + np.array([0.0, 0.0, 9.6])])
    network.add_dc(far, -9.9, origin="EQ0")
    assert [edge.energy for edge in network.barrierless.values()] == [-9.0]
    assert not small().barrierless
