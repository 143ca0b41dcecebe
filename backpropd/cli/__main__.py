"""`python -m backpropd.cli`: the same as `backpropd`, for whom the script is not on the path."""

from backpropd.cli import main

main()
