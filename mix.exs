# Not in lib/: Mix has to know this compiler before it has compiled anything,
# so that the native library is there when the first module of lib/ is loaded,
# and after `mix clean` has deleted what was compiled.
Code.require_file("mix/compile.ad_tally_native.exs", __DIR__)

defmodule AdTally.MixProject do
  use Mix.Project

  @version "0.1.0"
  @source_url "https://github.com/adtally/ad_tally"

  def project do
    [
      app: :ad_tally,
      version: @version,
      elixir: "~> 1.14",
      elixirc_paths: elixirc_paths(Mix.env()),
      # These are scripts and projects of their own; Elixir 1.19 and later ask.
      test_ignore_filters: [
        &String.starts_with?(&1, [
          "test/judges/",
          "test/web/",
          "test/golden/",
          "test/integration/"
        ])
      ],
      compilers: [:ad_tally_native | Mix.compilers()],
      start_permanent: Mix.env() == :prod,
      deps: deps(),
      name: "AdTally",
      description: description(),
      source_url: @source_url,
      package: package(),
      docs: docs()
    ]
  end

  def application do
    # The server of `AdTally.Web` is that of :inets. Mix itself needs it, so whoever builds a release has it. As an
    # optional application it would not be in the release.
    [extra_applications: [:logger, :inets]]
  end

  defp elixirc_paths(:test), do: ["lib", "test/support"]
  defp elixirc_paths(_env), do: ["lib"]

  # Mix refuses to start when a Hex package is declared and Hex is not
  # installed. AdTally needs none of these to build, run or pass its tests, so
  # they are declared only where Hex is there to fetch them.
  defp deps do
    if Code.ensure_loaded?(Hex) do
      [
        {:telemetry, "~> 1.0", optional: true},
        {:ex_doc, "~> 0.34", only: :dev, runtime: false}
      ]
    else
      []
    end
  end

  defp description do
    "Measures paid promotions inside an Elixir service: exact counters, unique reach by mergeable " <>
      "HyperLogLog sketches, frequency caps, attribution and budgets, in Rust behind a NIF, kept on disk, " <>
      "with metrics and a live page."
  end

  defp package do
    [
      licenses: ["MIT", "Apache-2.0"],
      links: %{
        "GitHub" => @source_url,
        "Changelog" => "#{@source_url}/blob/v#{@version}/CHANGELOG.md"
      },
      files: ~w(
        lib mix native/ad_tally_core native/ad_tally_nif priv/web guides
        mix.exs .formatter.exs Cargo.toml Cargo.lock
        README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE
      )
    ]
  end

  defp docs do
    [
      main: "readme",
      source_ref: "v#{@version}",
      # What the guides show.
      assets: %{"guides/assets" => "assets"},
      extras: ["README.md" | Path.wildcard("guides/**/*.md")] ++ ["CHANGELOG.md"],
      groups_for_extras: [
        Guides: Path.wildcard("guides/*.md"),
        Internals: Path.wildcard("guides/internals/*.md")
      ],
      groups_for_modules: [
        Meter: [AdTally.Meter, AdTally.Event, AdTally.Window],
        Attribution: ~r/^AdTally\.(Attribution|Touch$|Conversion$)/,
        Budgets: [AdTally.Pacer, AdTally.Admission],
        Tables: [AdTally.Counters, AdTally.Reach, AdTally.FrequencyCap, AdTally.Dedupe],
        Store: [AdTally.Store, AdTally.StoreError],
        Observability: ~r/^AdTally\.(Metrics|Telemetry|Web)/,
        Sinks: ~r/^AdTally\.Sink/,
        "Values and formats": [AdTally.Sketch, AdTally.Frame]
      ]
    ]
  end
end
