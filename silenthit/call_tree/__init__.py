"""Call trees: which decision leads to whom, with how long to answer before it climbs."""
