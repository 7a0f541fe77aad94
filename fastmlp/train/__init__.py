"""Training: the loop of epochs, one net or many, and going on after whatever ended it.

epochs.py      the generator of epochs that everything trains by
loop.py        epochs, with validation, early stopping and callbacks
steps.py       default steps of tables
defaults.py    what the data decide where it is left to them: the scale of inputs, and the steps
fit.py         ``fastmlp.fit``
fit_many.py    ``fastmlp.fit_many``
checkpoint.py  the file from which a training resumes
"""
