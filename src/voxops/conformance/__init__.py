"""``voxops matrix --check``: whether client and server do what the capability matrix says, row by row.

`laws.try_rows` tries everything that the cells of a row imply against a sandbox, whose own record says what happened;
`laws.read_rows` only reads, so that it may be pointed at any server; `laws.compare_spec` reads a published description.
"""
