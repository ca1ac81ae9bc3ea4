defmodule AdTally.Web.NamedProcessesTest do
  # Whatever has a name gets messages that were sent by mistake: by a call of a later version, or to a name that another
  # process had before. All processes of the library with names are here, those of the page among them.
  use ExUnit.Case, async: true

  @moduletag :capture_log

  alias AdTally.{Attribution, Counters, Dedupe, FrequencyCap, Meter, Pacer, Reach, Store, Web}
  alias AdTally.Metrics.StatsD
  alias AdTally.Test.Stores
  alias AdTally.Web.{Reports, Series}

  # Parts of other processes (AdTally.Windows.Part), which are known to these alone.
  @unnamed [
    AdTally.Meter.Late,
    AdTally.Pacer.Events,
    AdTally.Store.Events,
    AdTally.Windows.Delivery,
    AdTally.Windows.Emitter
  ]

  setup do
    dir = Stores.dir()

    named =
      for {module, options} <- [
            {Store, [dir: dir]},
            {Attribution,
             [dimensions: [:campaign], touches: [click: 1_000], conversions: [buy: :every]]},
            {Counters, [metrics: [:clicks]]},
            {Dedupe, [capacity: 1_000]},
            {FrequencyCap, [capacity: 1_000]},
            {Meter, [dimensions: [:campaign], metrics: [:clicks]]},
            {Pacer, []},
            {Reach, []},
            {StatsD, [port: 9]}
          ] do
        name = Module.concat(__MODULE__, module)
        start_supervised!({module, [name: name] ++ options})
        name
      end

    page = Module.concat(__MODULE__, Page)
    start_supervised!({Web, name: page, port: false})
    [named: named ++ [Reports.server(page), Series.table(page)]]
  end

  test "a message that was sent by mistake ends none of them", %{named: named} do
    for name <- named do
      pid = Process.whereis(name)

      for mistake <- [:mistake, {:get, :mistake}, {:watch, :mistake}, {make_ref(), :mistake}] do
        GenServer.cast(name, mistake)
        send(name, mistake)
        assert GenServer.call(name, mistake) == {:error, :unknown_call}, inspect(name)
      end

      assert Process.whereis(name) == pid
    end
  end

  test "these are all", %{named: named} do
    started =
      for name <- named do
        {module, :init, 1} = name |> Process.whereis() |> :proc_lib.translate_initial_call()
        module
      end

    servers =
      for module <- Application.spec(:ad_tally, :modules),
          not String.starts_with?(inspect(module), "AdTally.Test."),
          {:behaviour, [GenServer]} <- module.module_info(:attributes),
          do: module

    assert Enum.uniq(Enum.sort(started)) == Enum.sort(servers) -- @unnamed
  end
end
