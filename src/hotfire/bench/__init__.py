"""Load on an endpoint: how much it carries, how long it takes, and how many instances a given load wants.

`requests` makes the signed bytes, `generator` sends them and takes the times, `latencies` sums these up,
`queueing` and `sizing` say what they mean, `plot` draws them.
"""
