"""All benchmarks, one after the other: `make bench`."""

from bench import engine, history

for benchmark in (engine, history):
    print(f"\n== {benchmark.__name__}")
    benchmark.main()
