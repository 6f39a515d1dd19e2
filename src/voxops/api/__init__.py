"""The API's promises and the assumptions about it, each in one place.

`matrix` is the table of all writes and its policy, `limits` the API's numbers, with
our timeouts, grace periods and intervals, `assumptions` what the contract leaves open.
`error_bodies` reads errors, `states` posts and spellings; `evidence` decides whether a try has ended. `reasons` is
the catalogue of reasons.
"""
