"""``voxops matrix --check``: test client and server against the capability matrix, row by row.

`laws.try_rows` tests all that the cells of a row imply against a sandbox, and counts effects in its log. `laws.read_rows` only reads,
so it is safe for any server; `laws.compare_spec` reads a published description.
"""
