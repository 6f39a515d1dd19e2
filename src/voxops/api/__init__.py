"""What the API promises and what is assumed of it, each once.

`matrix` is the table of all writes and the policy that follows from it, `limits` what the API allows in numbers, `assumptions` what
the contract leaves open, `error_bodies` how an error reads, `states` a post as it was read and how fields and accounts are spelled,
`evidence` whether a try has ended, `timing` how long something is waited for or believed, `reasons` why something is not done.
"""
