defmodule AdTally.Bench.Jobs.Web do
  @moduledoc false
  # Not in turns with anything: what a page of many campaigns takes of a core while somebody looks at it, and what
  # recording is slower by. Figures worse than promised fail a full run only, as a short one is noisy; a wrong result
  # fails every run.
  #
  # Time is that of the VM's threads that they worked. The VM's idle threads look for work for a while before they
  # sleep, which the operating system counts too, and which says little of a page.
  #
  # The least of the turns has no report in it if those of a view are made less often than every turn. Their interval
  # follows from how long they take (AdTally.Web.Reports), so that they take a third of a percent of a core.

  @behaviour AdTally.Bench.Job

  alias AdTally.{Attribution, Event, Meter, Pacer}
  alias AdTally.Bench.{Viewer, WrongResultError}

  @sizes %{
    full: [
      campaigns: 10_000,
      windows: 5,
      seconds: 4,
      turns: 10,
      settling: 10,
      rounds: 10,
      recording: 3,
      promises?: true
    ],
    quick: [
      campaigns: 10_000,
      windows: 5,
      seconds: 2,
      turns: 3,
      settling: 5,
      rounds: 5,
      recording: 1,
      promises?: false
    ],
    smoke: [
      campaigns: 50,
      windows: 2,
      seconds: 0.1,
      turns: 1,
      settling: 0,
      rounds: 1,
      recording: 0.1,
      promises?: false
    ]
  }

  # A part of one core, and of the rate of recording.
  @most_of_core 0.01
  @most_slower 0.03

  @minute 60_000
  @ads __MODULE__.Ads
  @attribution __MODULE__.Attribution
  @pacer __MODULE__.Pacer
  @page __MODULE__.Page

  @impl true
  def name, do: "web"

  @impl true
  def about,
    do: "a page of many campaigns: what it takes of a core while it is open, and of recording"

  @impl true
  def text(size) do
    size = Map.fetch!(@sizes, size)
    started = start(size)
    # Ten thousand budgets have their first leases by then.
    sleep(size[:settling])
    without = idle(size)
    alone = extra(size, fn -> beside_page(size) end)
    {:ok, page} = page()
    port = URI.parse(AdTally.Web.address(@page)).port
    views = for {view, paths} <- views(), do: view(size, port, view, paths, alone)
    recording = recording(size, port)
    for process <- [page | started], do: GenServer.stop(process)

    text = [
      "### AdTally.Web, #{size[:campaigns]} campaigns with a budget in #{size[:windows]} windows, asked once a second, " <>
        "#{size[:turns]} turns of #{size[:seconds]} s each\n\n",
      row(["", "% of a core", "bytes a second"]),
      row(["no page", percent(without), 0]),
      row(["more with one", percent(alone), 0]),
      for({view, taken, bytes} <- views, do: row([view, percent(taken), bytes])),
      "\nReports that are made less often than every #{size[:seconds]} s are not in it: at most a third of a percent more.\n",
      "\n### record/2 of one process, beside an overview and a scrape of /metrics once a second\n\n",
      recorded(recording)
    ]

    if size[:promises?], do: promise!(views, recording, text)
    text
  end

  # Whoever reads that one is not kept reads all figures.
  defp promise!(views, {_rates, slower}, text) do
    recording = {"recording beside a page: slower by", slower, @most_slower}

    views =
      for {view, taken, _bytes} <- views, do: {"#{view}: part of a core", taken, @most_of_core}

    for {label, counted, most} <- [recording | views], counted > most do
      IO.puts(text)
      raise WrongResultError, label: label, expected: "at most #{most}", counted: counted
    end
  end

  defp start(size) do
    {:ok, attribution} =
      Attribution.start_link(
        name: @attribution,
        dimensions: [:campaign],
        touches: [click: 60 * @minute],
        models: [:last_touch, :linear],
        conversions: [purchase: :every]
      )

    {:ok, meter} =
      Meter.start_link(
        name: @ads,
        dimensions: [:campaign, :creative],
        metrics: [:impressions, :clicks, :spend_micros],
        lateness: 60 * @minute,
        reach: [by: [:campaign]],
        attribution: [name: @attribution, cost: :spend_micros]
      )

    {:ok, pacer} = Pacer.start_link(name: @pacer)

    for campaign <- 1..size[:campaigns],
        do: :ok = Pacer.put(@pacer, campaign, budget_micros: 5_000_000)

    at = System.system_time(:millisecond)

    for window <- 1..size[:windows], campaigns <- Enum.chunk_every(1..size[:campaigns], 1_000) do
      events =
        for campaign <- campaigns, creative <- 1..2, do: event(window, campaign, creative, at)

      expected = length(events)
      %{ok: ^expected} = Meter.record_many(@ads, events)
    end

    [pacer, meter, attribution]
  end

  defp event(window, campaign, creative, at) do
    %Event{
      id: (window * 1_000_000 + campaign) * 2 + creative,
      at: at - window * @minute,
      user: :erlang.phash2({window, campaign, creative}),
      dimensions: {campaign, creative},
      touch: if(window == 1 and creative == 1, do: :click),
      metrics: [impressions: 1, clicks: 1, spend_micros: campaign]
    }
  end

  # As the page asks for what a view shows.
  defp views do
    meter = "meter:#{inspect(@ads)}"

    of =
      for outcome <- ~w(received applied duplicate late refused lag_ms),
          do: "of=#{meter}:#{outcome}"

    query = "meter=#{inspect(@ads)}"

    [
      {"overview", ["/api/overview", "/api/series?step=1&" <> Enum.join(of, "&")]},
      {"campaigns", ["/api/campaigns?" <> query]},
      {"one campaign", ["/api/campaign?#{query}&key=i42"]},
      {"attribution", ["/api/attribution?name=#{inspect(@attribution)}"]},
      {"health", ["/api/health"]}
    ]
  end

  defp page, do: AdTally.Web.start_link(name: @page, port: 0)

  defp beside_page(size) do
    {:ok, page} = page()
    taken = idle(size)
    GenServer.stop(page)
    taken
  end

  defp idle(size), do: share(fn -> sleep(size[:seconds]) end)

  # A view takes what a page takes that nobody looks at, and more.
  defp view(size, port, view, paths, alone) do
    # The first report of a view is made, so that it is not all that is measured of a short run.
    Viewer.look(port, paths, 0)
    me = self()
    look = fn -> send(me, {:answers, Viewer.look(port, paths, size[:seconds])}) end
    taken = alone + extra(size, fn -> share(look) end)
    answers = for _turn <- 1..size[:turns], do: receive(do: ({:answers, answers} -> answers))
    Enum.each(answers, &check!(size, view, &1))
    {view, taken, answers |> hd() |> Enum.map(&byte_size/1) |> Enum.sum()}
  end

  # How much more of a core that is than idle: the least of both, by turns, as what budgets take while nobody looks
  # changes by more than that.
  defp extra(size, share_of) do
    turns = for _turn <- 1..size[:turns], do: {idle(size), share_of.()}
    {without, taken} = Enum.unzip(turns)
    Enum.min(taken) - Enum.min(without)
  end

  # That what was recorded is what is shown.
  defp check!(size, view, [answer | _series]) do
    for {name, value} <- shown(view, size[:campaigns], size[:windows]) do
      expected = ~s("#{name}":#{value})

      unless answer =~ ~r/#{expected}[,}]/,
        do: WrongResultError.equal!(view, expected, String.slice(answer, 0, 1_000))
    end
  end

  # All events, and a touch of each campaign.
  defp shown("overview", campaigns, windows),
    do: [{"applied", 2 * campaigns * windows}, {"applied", campaigns}]

  defp shown("campaigns", campaigns, windows),
    do: [{"count", campaigns}, {"spend_micros", windows * campaigns * (campaigns + 1)}]

  # The campaign that is asked for, and each of its two creatives.
  defp shown("one campaign", _campaigns, windows),
    do: [{"spend_micros", 42 * 2 * windows}, {"spend_micros", 42 * windows}]

  defp shown("attribution", campaigns, _windows), do: [{"count", campaigns}]
  defp shown("health", _campaigns, _windows), do: [{"name", ~s("#{inspect(@ads)}")}]

  # What threads have worked meanwhile, as a part of the time that passed.
  defp share(work) do
    :erlang.system_flag(:microstate_accounting, true)
    :erlang.system_flag(:microstate_accounting, :reset)
    began = System.monotonic_time()
    work.()
    passed = System.monotonic_time() - began
    worked = for thread <- :erlang.statistics(:microstate_accounting), do: worked(thread)
    :erlang.system_flag(:microstate_accounting, false)
    unit = :erlang.convert_time_unit(1, :second, :perf_counter)
    Enum.sum(worked) / unit / (passed / :erlang.convert_time_unit(1, :second, :native))
  end

  # Other than sleeping, and what is counted as other: looking for work.
  defp worked(%{counters: counters}),
    do:
      for(
        {state, time} <- counters,
        state not in [:sleep, :other, :busy_wait],
        reduce: 0,
        do: (sum -> sum + time)
      )

  ## Recording

  defp recording(size, port) do
    # Each round is as long with the page as without, so that a machine that slows down slows both.
    rounds =
      for _round <- 1..size[:rounds] do
        alone = rate(size)
        paths = views() |> List.keyfind!("overview", 0) |> elem(1)
        viewer = Task.async(fn -> Viewer.look(port, ["/metrics" | paths], size[:recording]) end)
        beside = rate(size)
        Task.await(viewer, :infinity)
        {alone, beside}
      end

    {alone, beside} = Enum.unzip(rounds)
    slower = 1 - median(for {alone, beside} <- rounds, do: beside / alone)
    {{median(alone), median(beside)}, slower}
  end

  defp recorded({{alone, beside}, slower}) do
    [
      row(["", "events/s"]),
      row(["alone", round(alone)]),
      row(["beside a page", round(beside)]),
      row(["slower by", "#{percent(slower)} %"])
    ]
  end

  defp rate(size) do
    at = System.system_time(:millisecond)

    event = %Event{
      at: at,
      user: 7,
      dimensions: {7, 1},
      metrics: [impressions: 1, spend_micros: 5]
    }

    until =
      System.monotonic_time() +
        System.convert_time_unit(round(size[:recording] * 1_000), :millisecond, :native)

    before = Meter.info(@ads).events.applied
    began = System.monotonic_time()
    count = record(event, until, 0)
    passed = System.monotonic_time() - began
    WrongResultError.equal!("events", before + count, Meter.info(@ads).events.applied)
    count / System.convert_time_unit(passed, :native, :microsecond) * 1_000_000
  end

  @some 1_000
  defp record(event, until, count) do
    for user <- 1..@some, do: :ok = Meter.record(@ads, %{event | user: user})

    if System.monotonic_time() < until,
      do: record(event, until, count + @some),
      else: count + @some
  end

  defp median(numbers), do: numbers |> Enum.sort() |> Enum.at(div(length(numbers), 2))

  defp sleep(seconds), do: Process.sleep(round(seconds * 1_000))
  defp percent(part), do: :erlang.float_to_binary(100.0 * part, decimals: 2)
  defp row(columns), do: [Enum.map(columns, &String.pad_leading("#{&1}", 16)), "\n"]
end
