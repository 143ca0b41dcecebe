"""Kill anything, at any time: the real stack, one fault after the other, and what must hold then.

python -m tests.chaos              the long run, with figures
python -m tests.chaos.mutations    whether these tests can fail
"""
