"""What a network and a run consist of."""
