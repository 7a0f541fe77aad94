"""The comparison behind ``fastmlp bench``: fastmlp and its rivals train the same net, in turns, side by side.

task: what is trained. contenders, programs: who trains it. worker, process: each in a process of its own.
rounds: they take turns. peak: what the machine could do. statistics, report: the conclusions. Nothing here
prints.
"""

LEAST_ROUNDS = 7  # of ``fastmlp bench``
