defmodule AdTally.Test.Responsiveness.Pacer do
  @moduledoc "What of a pacer of a hundred thousand campaigns others might have to wait for."

  @behaviour AdTally.Test.Responsiveness

  alias AdTally.{Named, Native, Pacer}

  require Named

  @name __MODULE__.Budgets
  @campaigns 100_000
  @begin 1_780_272_000_000
  @minute 60_000

  @impl true
  def beside do
    [
      %{
        name: "ticks of a hundred thousand campaigns, while some spend",
        setup: &start/0,
        operation: fn pacer ->
          for minute <- 2..4 do
            for campaign <- 1..20_000, do: spend(campaign, minute, @begin + minute * @minute)
            :ok = Pacer.tick(@name, @begin + minute * @minute)
          end

          GenServer.stop(pacer)
        end,
        plain: fn -> for(n <- 1..200_000, do: {n, %{n: n}}) end
      }
    ]
  end

  @impl true
  def calls do
    for {what, step, from} <- [
          {"reports of a hundred thousand campaigns", &reports/3, 0},
          {"a tick of a hundred thousand campaigns", &tick/3, 0},
          {"a sweep of a hundred thousand reservations", &sweep/3, 0}
        ] do
      %{
        name: "#{what}, on a dirty scheduler",
        clock: &Native.dirty_thread_time/0,
        setup: &start/0,
        operation: fn timed, pacer ->
          native = Named.fetch!(Pacer, @name)
          :ok = Native.pacer_set_time(native, @begin + 2 * @minute)
          times = step.(timed, native, from)
          GenServer.stop(pacer)
          times
        end
      }
    end
  end

  defp start do
    {:ok, pacer} = Pacer.start_link(name: @name, clock: :manual)
    :ok = Pacer.tick(@name, @begin)
    plan = [budget_micros: 1_000_000_000, period: {:daily, "Europe/Berlin"}]
    for campaign <- 1..@campaigns, do: :ok = Pacer.put(@name, campaign, plan)
    :ok = Pacer.tick(@name, @begin + @minute)
    for campaign <- 1..@campaigns, do: spend(campaign, 1, @begin + @minute)
    pacer
  end

  # Whether it is paced or not.
  defp spend(campaign, request, at) do
    with {:ok, reservation} <- Pacer.reserve(@name, campaign, request, 1_000, at),
         do: if(rem(campaign, 2) == 0, do: Pacer.confirm(@name, reservation, 900, at))
  end

  defp reports(timed, native, from) do
    {time, {next, _reports}} = timed.(fn -> Native.pacer_reports(native, from) end)
    if next == :done, do: [time], else: [time | reports(timed, native, next)]
  end

  defp tick(timed, native, from) do
    {time, next} = timed.(fn -> Native.pacer_tick(native, from) end)
    if next == :done, do: [time], else: [time | tick(timed, native, next)]
  end

  defp sweep(timed, native, from) do
    {time, next} = timed.(fn -> Native.pacer_sweep(native, from) end)
    if next == :done, do: [time], else: [time | sweep(timed, native, next)]
  end
end
