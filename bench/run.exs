# bin/bench [--quick] [JOB...], see README.md here.
Code.require_file("load.exs", __DIR__)
AdTally.Bench.main(System.argv())
