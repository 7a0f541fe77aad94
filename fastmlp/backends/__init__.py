"""What the backends share, reference/ (NumPy) and kernels/ (Numba).

types.py     what their functions return
checks.py    what they ask of their arguments
threads.py   how many threads a training has
"""
