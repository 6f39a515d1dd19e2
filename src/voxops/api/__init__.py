"""What the API promises and what is assumed of it, each once.

`matrix` is the table of all writes and the policy that follows from it, `limits` what the API allows in numbers, `assumptions` what
the contract leaves open, `errors` how an error body reads, `names` how fields and accounts are spelled, `states` a post as it was read,
`evidence` whether a try has ended, `reasons` why something is not done, `windows` how long something is waited for or believed.
"""
