"""A typed client of the management API for ``costhub admin``, generated from the API's own document.

``generated`` is made by ``make client`` and edited by nobody; tests/client says when it must be made anew.
"""
