defmodule AdTally.Bench.MixProject do
  use Mix.Project

  # A project of its own, so that what only benchmarks need stays out of the
  # dependencies of the library.
  def project do
    [
      app: :ad_tally_bench,
      version: "0.1.0",
      elixir: "~> 1.14",
      elixirc_paths: ["jobs", "lib"],
      deps: deps()
    ]
  end

  def application do
    [extra_applications: []]
  end

  # Mix refuses to start when a Hex package is declared and Hex is not
  # installed; the benchmarks have a timer of their own for that case.
  defp deps do
    if Code.ensure_loaded?(Hex) do
      [{:ad_tally, path: ".."}, {:benchee, "~> 1.3"}]
    else
      [{:ad_tally, path: ".."}]
    end
  end
end
