"""Networks: building the study's, loading anybody's, and the graph of their layers."""
