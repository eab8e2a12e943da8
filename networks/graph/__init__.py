"""The reaction-route network: nodes, edges, identity, routes."""
