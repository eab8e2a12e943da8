"""Export a network: graph files, tables, figures and the route of lowest barrier.

The commands ``afir export`` and ``afir plot`` do the same from the shell.
"""

from pathlib import Path

from afir import KJ_PER_MOL, read_structure, save_figure
from networks import (
    Settings,
    explore,
    export,
    load_run,
    lowest_route,
    network_figure,
    profile_figure,
)

molecule, start = read_structure(Path(__file__).with_name("h2co.xyz"))
# A few trials, in the order of the list: climbs of the softest modes first.
settings = Settings(seed=7, policy="lowest-energy", max_trials=4)
output = Path("04.db")
for file in [*Path().glob("04.*"), *Path().glob("04_*")]:
    file.unlink()  # left by an earlier run of this example
for _ in explore(molecule, start, settings, output):
    pass
run = load_run(output)

# For Gephi and Cytoscape, for a spreadsheet, for a molecular viewer.
for name in ("04.graphml", "04.csv", "04.extxyz"):
    for file in export(run, Path(name)):
        print(f"written: {file}")

# The network as a graph of networkx: nodes are structures, edges transition states, or
# barrierless steps between a complex and the channel of its molecules.
graph = run.network.graph
print(f"{graph.number_of_nodes()} nodes, {graph.number_of_edges()} edges")

# The route of lowest barrier from the start, which is lowest, to the next structure above it. Ids
# follow the order of discovery, which depends on rounding, so structures are chosen by energy.
first, second = sorted(run.network.eqs.values(), key=lambda eq: eq.energy)[:2]
route = lowest_route(run.network, first.id, second.id)
height = (route.top - first.energy) / KJ_PER_MOL
print(f"{' – '.join(route.nodes)} through {', '.join(route.tss)}: {height:.1f} kJ/mol")
save_figure(network_figure(run, route), Path("04_network.svg"))
save_figure(profile_figure(run, route), Path("04_profile.svg"))
print("written: 04_network.svg and 04_profile.svg")
