"""``costhub eval``: how well caches, routes, cascades and compression work, measured on public data.

Nothing here serves a call. A measurement takes a folder of data, and gives figures with their intervals and the
controls that a method must beat to have learnt anything.
"""
