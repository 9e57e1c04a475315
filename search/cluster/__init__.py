"""A search that is handed from one's own machine to the head of a cluster."""
