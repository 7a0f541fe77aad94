"""Why does it not train? ``fastmlp.diagnose(X, y, ...)`` measures, watches, tries, and says.

curvature.py   Hessian and Gauss-Newton matrix: products, top eigenvalues
measure.py     of inputs, layers, loss, gradients, curvature: one moment of a net
trials.py      short trainings, watched or with a setting changed
findings.py    from measures to findings; which of them are severe
chance.py      how far guesses are from chance, classes alike
relation.py    whether the labels go with the inputs at all
unlearnt.py    a net at chance that nothing cured: unrelated labels, or cause not found
call.py        ``fastmlp.diagnose``: from arrays to a Diagnosis
diagnosis.py   all of it, in order; the verdict
picture.py     a figure of it (needs matplotlib)
"""
