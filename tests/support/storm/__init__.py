"""A storm: workers at one run while processes, connections, disk and server fail at random."""
