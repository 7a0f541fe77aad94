"""The comparison behind ``fastmlp bench``: fastmlp and its rivals train the same net, in turns, side by side.

task says what is trained, contenders and programs who trains it, worker and process keep each in a process
of its own, rounds lets them take turns, peak measures what the machine could do, statistics and report draw
the conclusions. Nothing here prints.
"""

LEAST_ROUNDS = 7  # that ``fastmlp bench`` makes
