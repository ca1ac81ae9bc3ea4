defmodule AdTally.Test.Responsiveness.Attribution do
  @moduledoc "What of `AdTally.Attribution` others might have to wait for."

  @behaviour AdTally.Test.Responsiveness

  alias AdTally.{Attribution, Named, Native}
  alias AdTally.Sink.Files
  alias AdTally.Test.{AttributionRace, Attributions}
  alias AdTally.Test.Responsiveness.Recorders

  require Named

  @name __MODULE__.Credits
  @hour 3_600_000
  @users 20_000
  @touches 200_000
  @conversions 50_000
  @most 255

  @impl true
  def beside do
    [
      %{
        name: "lists of touches and of conversions, which become final at once",
        setup: fn ->
          {start(), touches(@touches), conversions(@conversions)}
        end,
        operation: fn {attribution, touches, conversions} ->
          %{ok: @touches} = Attribution.touch_many(@name, touches)
          %{ok: @conversions} = Attribution.convert_many(@name, conversions)
          [_ | _] = Attribution.report(@name, by: [:campaign, :kind])
          :ok = Attribution.close(@name, :infinity)
          [_ | _] = Attribution.report(@name, by: [:campaign], dated_by: :touch)
          true = @name |> Attribution.paths() |> Enum.count() > 0
          GenServer.stop(attribution)
        end,
        plain: fn -> for(n <- 1..@touches, do: {n, %{n: n}}) end
      },
      %{
        name: "users with as many touches as there may be, who are linked and forgotten",
        setup: fn ->
          attribution = start(touches_per_user: @most)
          %{ok: 51_000} = Attribution.touch_many(@name, touches(51_000, 200))
          %{ok: 2_000} = Attribution.convert_many(@name, conversions(2_000, 200))
          attribution
        end,
        operation: fn attribution ->
          for user <- 1..199, do: :ok = Attribution.link(@name, user, user - 1)
          for user <- 1..199, do: :ok = Attribution.forget(@name, user)
          GenServer.stop(attribution)
        end,
        plain: fn -> for(n <- 1..20_000, do: {n, %{n: n}}) end
      },
      %{
        name: "closing, reporting and writing while two processes touch and convert",
        # As of a meter: it takes every core for itself.
        setup: &Recorders.directory/0,
        operation: fn dir ->
          attribution = start(sinks: [{Files, dir: dir}])
          _told = AttributionRace.run(@name, 2, 1_500)
          GenServer.stop(attribution)
          File.rm_rf!(dir)
        end,
        plain: fn -> for(_ <- 1..20, do: for(n <- 1..20_000, do: {n, %{n: n}})) end
      }
    ]
  end

  @impl true
  def calls do
    lists =
      for {what, make, step} <- [
            {"touches", &touches/1, &Native.attribution_touch_many/2},
            {"conversions", &conversions/1, &Native.attribution_convert_many/2}
          ] do
        %{
          name: "takes as many #{what} of a list as it takes",
          setup: fn -> {start(), make.(1_000)} end,
          operation: fn timed, {attribution, list} ->
            native = Named.fetch!(Attribution, @name)

            times =
              for _ <- 1..100 do
                {time, _rest} = timed.(fn -> step.(native, list) end)
                time
              end

            GenServer.stop(attribution)
            times
          end
        }
      end

    full = fn ->
      attribution = start(touches_per_user: @most)
      %{ok: 51_000} = Attribution.touch_many(@name, touches(51_000, 200))
      %{ok: 2_000} = Attribution.convert_many(@name, conversions(2_000, 200))
      attribution
    end

    singles =
      for {what, call} <- [
            {"takes a touch of", &Native.attribution_touch(&1, touch(1_000_000 + &2, &2))},
            {"takes a conversion of",
             &Native.attribution_convert(&1, conversion(1_000_000 + &2, &2))},
            {"forgets", &Native.attribution_forget(&1, &2)}
          ] do
        %{
          name: "#{what} a user with as many touches as there may be, and ten conversions",
          setup: full,
          operation: fn timed, attribution ->
            native = Named.fetch!(Attribution, @name)

            times =
              for user <- 1..199 do
                {time, :ok} = timed.(fn -> call.(native, user) end)
                time
              end

            GenServer.stop(attribution)
            times
          end
        }
      end

    link = %{
      name:
        "links users with as many touches as there may be, or does some of what is left of that",
      setup: full,
      operation: fn timed, attribution ->
        native = Named.fetch!(Attribution, @name)

        times =
          Enum.flat_map(1..199, fn user ->
            {time, linking} = timed.(fn -> Native.attribution_link(native, user, user - 1) end)
            [time | go_on_linking(timed, native, linking)]
          end)

        GenServer.stop(attribution)
        times
      end
    }

    lists ++ singles ++ [link]
  end

  defp go_on_linking(_timed, _native, :ok), do: []

  defp go_on_linking(timed, native, linking) do
    case timed.(fn -> Native.attribution_link_some(native, linking) end) do
      {time, :more} -> [time | go_on_linking(timed, native, linking)]
      {time, :ok} -> [time]
    end
  end

  defp start(options \\ []) do
    defaults = [
      name: @name,
      dimensions: [:campaign],
      touches: [click: 24 * @hour, view: @hour],
      models: [:last_touch, :position_based],
      conversions: [purchase: :every, signup: :once_per_user, install: :once_per_touch],
      clock: :events,
      lateness: 1_000 * @hour
    ]

    {:ok, attribution} = Attribution.start_link(Keyword.merge(defaults, options))
    attribution
  end

  defp touches(count, users \\ @users), do: for(id <- 1..count, do: touch(id, rem(id, users)))

  defp touch(id, user),
    do: Attributions.touch(id, user, rem(id, 3_600), dimensions: {rem(id, 100)}, cost_micros: 1)

  defp conversions(count, users \\ @users),
    do: for(order <- 1..count, do: conversion(order, rem(order, users)))

  defp conversion(order, user),
    do: Attributions.conversion(order, user, 3_600 + rem(order, 60), value_micros: 59_990_000)
end
