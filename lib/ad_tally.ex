defmodule AdTally do
  @moduledoc """
  Measures paid promotions inside an Elixir service: counts impressions, clicks, conversions and
  spend, estimates unique users, enforces frequency caps, attributes each conversion to the ads that
  led to it, and spends budgets without exceeding them.

  The state is in Rust behind a NIF. Any process calls it directly, without a server process in
  between.

    * `AdTally.Meter` - deduplicates, counts and estimates reach in one call per event, in windows
      of event time; closed windows go to an `AdTally.Sink`
    * `AdTally.Attribution` - credits each conversion to touches, exactly, by several models side by
      side, see [Attribution](attribution.html)
    * `AdTally.Counters` - keyed 64-bit counters with several metrics per key
    * `AdTally.Reach` - unique users per key: a keyed table of HyperLogLog sketches
    * `AdTally.Sketch` - one such sketch as a value: estimate, bounds, union, overlap, and its
      bytes in the format that data warehouses read
    * `AdTally.FrequencyCap` - how often a user may see an ad: caps over rolling windows, decided
      and counted in one step, see [Frequency caps](frequency_caps.html)
    * `AdTally.Dedupe` - whether an id is new, or its event was delivered again
    * `AdTally.Pacer` - spends budgets evenly or with the traffic, on one node or many, see
      [Budget pacing](pacing.html)
    * `AdTally.Admission` - frequency cap and budget of a campaign as one decision
    * `AdTally.Store` - keeps all of these on disk, so that a restart goes on where the service was, see
      [Durability](durability.html)
    * `AdTally.Metrics` - the numbers of everything that runs, for Prometheus and StatsD too, and
      `AdTally.Web`, a live page of them, see [Observability](observability.html)
    * `AdTally.Telemetry` - events for `:telemetry`, and a default logger

  Begin with [Getting started](getting_started.html). [Production](production.html) is about sizing,
  deploys and alerts, [Warehouses](warehouse.html) about loading the files,
  [Testing](testing.html) about your tests, [Architecture](architecture.html) about how it is built,
  and [Accuracy](accuracy.html) about the error of estimates.
  """

  alias AdTally.Native

  @version Mix.Project.config()[:version]

  @doc """
  Describes this installation: for bug reports, and for a check at the start of a service.

    * `:version` - the version of this package
    * `:native_version` - the version of the native library that is loaded. If it differs from
      `:version`, the package was upgraded without a restart of the VM, which keeps the library that
      it has loaded
    * `:otp_release` - the release of Erlang/OTP that it runs on
    * `:nif_version` - the version of that release's interface for native code
    * `:reads_in_place` - whether arguments are read directly in the VM's memory (`true`) or by
      the VM's functions (`false`). When the library is loaded, it compares the layout that it expects
      with what those functions return. If anything differs, it uses the functions. The results are
      the same, only the time differs: `false` for `:terms` (integers, atoms, binaries, tuples and
      lists) costs about 14 of 45 ns in `AdTally.Counters.add/4` and doubles
      `AdTally.FrequencyCap.admit/5`. If `:terms` is `false`, so is `:events` (`AdTally.Event` and the
      other structs), and `AdTally.Meter.record/2` takes up to twice as long

  Raises `AdTally.NotLoadedError` if the native library could not be loaded.

      iex> info = AdTally.info()
      iex> {info.version == info.native_version, info.reads_in_place}
      {true, %{terms: true, events: true}}
  """
  @spec info() :: %{
          version: String.t(),
          native_version: String.t(),
          otp_release: String.t(),
          nif_version: String.t(),
          reads_in_place: %{terms: boolean(), events: boolean()}
        }
  def info do
    {native_version, terms, events} = Native.library_info()

    %{
      version: @version,
      native_version: native_version,
      otp_release: System.otp_release(),
      nif_version: List.to_string(:erlang.system_info(:nif_version)),
      reads_in_place: %{terms: terms, events: events}
    }
  end
end
