"""Why does it not train? ``fastmlp.diagnose(X, y, ...)`` measures, watches, tries, and says.

curvature.py   Hessian and Gauss-Newton matrix: products, top eigenvalues
measures.py    inputs, layers, loss, gradients, curvature: a net at one moment, typed
chance.py      how far guesses are from chance, classes alike
relation.py    whether the labels are related to the inputs, seen without a net
trials.py      short trainings, watched or with a setting changed
unlearnt.py    a net at chance that nothing cured: is that shown, and is it the labels?
findings.py    the types: a finding, the evidence, a rule
rules.py       every finding in one table: its rule, its words, the changes to try
report.py      a Diagnosis: findings, verdict, JSON
examine.py     all of it, in order: measure, watch, try, conclude
call.py        ``fastmlp.diagnose``: from arrays to a Diagnosis
picture.py     a figure of it (needs matplotlib)
"""
