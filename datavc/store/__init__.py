"""Objects by digest, kept as packs in a backend: writing, finding, reading and checking them."""
