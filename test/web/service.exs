# A real service for the page's tests: mix run test/web/service.exs STATE PORT DIR, in the environment `test`.
#
# STATE is `known`, some events that a test knows, `kept`, what an earlier one has left in DIR, or `traffic`, a quarter
# of an hour of events and then some each second, for pictures. It prints `ready ADDRESS`, reads commands as lines of its input, answers each with `done`, and
# ends with its input, so that it is never left over:
#
#   impressions N   N impressions more of the campaign 42
#   sync            has everything on disk
#   token TOKEN     another page, on any port, that wants this token: `done ADDRESS`

defmodule AdTally.Test.PageService do
  alias AdTally.{Attribution, Conversion, Event, FrequencyCap, Meter, Pacer, Store}

  @second 1_000
  @minute 60 * @second
  @day 24 * 60 * @minute
  @markup "<script>alert(1)</script>"

  # Known in every run: what is in a minute does not matter, because all is far within `:lateness`.
  @lateness 20 * @minute

  def children(dir) do
    [
      {Store, name: MyApp.Store, dir: dir, interval: 200},
      {Attribution,
       name: MyApp.Attribution,
       dimensions: [:campaign],
       touches: [click: 7 * @day],
       models: [:last_touch, :first_touch, :position_based],
       conversions: [purchase: :every],
       lateness: @lateness,
       store: MyApp.Store},
      {Meter,
       name: MyApp.Ads,
       dimensions: [:campaign, :creative, :country],
       metrics: [:impressions, :clicks, :spend_micros],
       reach: [by: [:campaign]],
       dedupe: [capacity: 1_000_000],
       attribution: [name: MyApp.Attribution, cost: :spend_micros],
       lateness: @lateness,
       sinks: [{AdTally.Sink.Files, dir: Path.join(dir, "rollups")}],
       store: MyApp.Store},
      {FrequencyCap, name: MyApp.Caps, capacity: 1_000_000},
      {Pacer, name: MyApp.Pacer, store: MyApp.Store, tick: 5 * @second}
    ]
  end

  def known(now) do
    impressions(42, 1, 1_000, now)
    impressions(@markup, 1, 100, now)
    impressions("summer_sale", 1, 10, now)
    for n <- 1..40, do: click(42, n, now)
    # Copies, which are counted as such.
    for n <- 1..5, do: :duplicate = Meter.record(MyApp.Ads, impression(42, n, now))

    # Five of those who clicked, and one who did not.
    for n <- [1, 2, 3, 4, 5, 999] do
      order = %Conversion{
        order: n,
        user: n,
        at: now + 1,
        action: :purchase,
        value_micros: 20_000_000
      }

      :ok = Attribution.convert(MyApp.Attribution, order)
    end

    plan = [budget_micros: 10_000_000, period: {:daily, "Etc/UTC"}, pace: :asap]
    :ok = Pacer.put(MyApp.Pacer, 42, plan)
    reservation = reserve(42, 3_000_000, now)
    :ok = Pacer.confirm(MyApp.Pacer, reservation, 2_500_000, now)
  end

  # With a store, money is there once its lease is on disk.
  defp reserve(campaign, price, now) do
    case Pacer.reserve(MyApp.Pacer, campaign, "r-1", price, now) do
      {:ok, reservation} ->
        reservation

      :no_budget ->
        Process.sleep(20)
        reserve(campaign, price, now)
    end
  end

  # Those that a meter knows already are copies.
  def impressions(campaign, first, last, now) do
    for n <- first..last//1 do
      outcome = Meter.record(MyApp.Ads, impression(campaign, n, now))
      true = outcome in [:ok, :duplicate]
    end
  end

  # Two of each user, in two creatives.
  defp impression(campaign, n, at) do
    %Event{
      id: {campaign, n},
      at: at,
      user: div(n, 2),
      dimensions: {campaign, if(rem(n, 4) == 0, do: "video", else: "banner"), "us"},
      metrics: [impressions: 1, spend_micros: 1_250]
    }
  end

  defp click(campaign, n, at) do
    :ok =
      Meter.record(MyApp.Ads, %Event{
        id: "click-#{n}",
        at: at,
        user: n,
        touch: :click,
        dimensions: {campaign, "banner", "us"},
        metrics: [clicks: 1, spend_micros: 50_000]
      })
  end
end

defmodule AdTally.Test.PageTraffic do
  # Events as a service has them: campaigns of different sizes, users who come again, more at some times than at
  # others, now and then a copy, a late event, and one that makes no sense.

  alias AdTally.{Admission, Attribution, Conversion, Event, Meter, Pacer}

  @minute 60_000

  # Name, share of the requests, users that it is for, share of clicks, micros for a thousand.
  @campaigns [
    {"summer_sale", 26, 60_000, 0.012, 2_400_000},
    {"back_to_school", 18, 40_000, 0.019, 3_100_000},
    {"new_game_launch", 14, 90_000, 0.031, 5_200_000},
    {"spring_brand", 11, 120_000, 0.004, 1_300_000},
    {"headphones_x2", 8, 25_000, 0.023, 4_400_000},
    {"streaming_trial", 7, 50_000, 0.015, 2_900_000},
    {"coffee_loyalty", 5, 12_000, 0.028, 1_900_000},
    {"travel_autumn", 4, 30_000, 0.009, 2_200_000},
    {"podcast_promo", 3, 8_000, 0.017, 1_600_000},
    {"charity_run", 2, 20_000, 0.022, 900_000},
    {"quarterly_hiring", 1, 15_000, 0.007, 6_800_000},
    {"local_events", 1, 6_000, 0.035, 1_100_000}
  ]
  @weighted for({name, share, _, _, _} <- @campaigns, _ <- 1..share, do: name) |> List.to_tuple()
  @figures Map.new(@campaigns, fn {name, _, users, clicks, price} ->
             {name, {users, clicks, price}}
           end)
  @creatives {"banner", "video", "carousel"}
  @countries {"us", "us", "us", "br", "de", "jp", "in"}

  def start(now) do
    :rand.seed(:exsss, 24)
    for {name, share, _, _, price} <- @campaigns, do: plan(name, share, price, now)
    for at <- (now - 15 * @minute)..now//20, do: event(at + :rand.uniform(20), at)
    spawn_link(fn -> tick(System.system_time(:millisecond)) end)
  end

  # A little less than there is to have in these minutes.
  defp plan(name, share, price, now) do
    budget = div(share * 20 * 60 * 60 * price, 100 * 1_000)
    period = {:flight, now, now + 15 * @minute}

    :ok =
      Pacer.put(MyApp.Pacer, name,
        budget_micros: budget,
        period: period,
        pace: :even,
        price_micros: div(price, 1_000)
      )
  end

  defp tick(begin) do
    now = System.system_time(:millisecond)
    seconds = (now - begin) / 1_000
    wave = 1 + 0.25 * :math.sin(seconds / 11) + 0.1 * :math.sin(seconds / 3)
    for _ <- 1..round(45 * wave), do: request(now)
    if :rand.uniform() < 0.25, do: odd(now)
    Process.sleep(50)
    tick(begin)
  end

  # May it be shown, and what came of it.
  defp request(now) do
    campaign = elem(@weighted, :rand.uniform(tuple_size(@weighted)) - 1)
    {users, _, price} = @figures[campaign]
    user = user(users)
    most = div(price, 500)
    parts = {MyApp.Caps, MyApp.Pacer}

    with {:ok, reservation} <-
           Admission.admit(parts, campaign, user, [{3, 60 * @minute}], make_id(), most, now) do
      Pacer.confirm(MyApp.Pacer, reservation, div(price, 1_000), now)
      shown(campaign, user, now)
    end
  end

  defp event(at, _now) do
    campaign = elem(@weighted, :rand.uniform(tuple_size(@weighted)) - 1)
    {users, _, _} = @figures[campaign]
    shown(campaign, user(users), at)
  end

  defp shown(campaign, user, at) do
    {_, clicks, price} = @figures[campaign]
    creative = elem(@creatives, min(:rand.uniform(4), 3) - 1)
    country = elem(@countries, :rand.uniform(7) - 1)
    id = make_id()

    event = %Event{
      id: id,
      at: at,
      user: user,
      dimensions: {campaign, creative, country},
      metrics: [impressions: 1, spend_micros: div(price, 1_000)]
    }

    Meter.record(MyApp.Ads, event)
    if :rand.uniform() < 0.01, do: Meter.record(MyApp.Ads, event)
    if :rand.uniform() < clicks, do: clicked(event)
  end

  defp clicked(event) do
    Meter.record(MyApp.Ads, %{event | id: make_id(), touch: :click, metrics: [clicks: 1]})

    if :rand.uniform() < 0.12 do
      value = 1_000_000 * (5 + :rand.uniform(60))

      order = %Conversion{
        order: make_id(),
        user: event.user,
        at: event.at + 1,
        action: :purchase,
        value_micros: value
      }

      Attribution.convert(MyApp.Attribution, order)
    end
  end

  defp odd(now) do
    event = %Event{
      id: make_id(),
      at: now,
      user: 1,
      dimensions: {"summer_sale", "banner", "us"},
      metrics: [impressions: 1]
    }

    Meter.record(MyApp.Ads, %{event | at: now - 60 * @minute})
    if :rand.uniform() < 0.2, do: Meter.record(MyApp.Ads, %{event | at: now + 60 * @minute})
  end

  # A few come often.
  defp user(users), do: trunc(users * :math.pow(:rand.uniform(), 1.6))

  defp make_id, do: :rand.uniform(1_000_000_000_000)
end

defmodule AdTally.Test.PageCommands do
  alias AdTally.Test.PageService

  def loop(supervisor, now, recorded) do
    case IO.gets("") do
      line when is_binary(line) ->
        recorded = command(String.split(line), supervisor, now, recorded)
        loop(supervisor, now, recorded)

      _end ->
        :ok
    end
  end

  defp command(["impressions", more], _supervisor, now, recorded) do
    last = recorded + String.to_integer(more)
    PageService.impressions(42, recorded + 1, last, now)
    done(last)
  end

  # So that it outlives a kill.
  defp command(["sync"], _supervisor, _now, recorded) do
    :ok = AdTally.Store.sync(MyApp.Store)
    done(recorded)
  end

  defp command(["token", token], supervisor, _now, recorded) do
    options = [name: MyApp.Page, port: 0, token: token]
    {:ok, _pid} = Supervisor.start_child(supervisor, {AdTally.Web, options})
    IO.puts("done #{AdTally.Web.address(MyApp.Page)}")
    recorded
  end

  defp done(recorded) do
    IO.puts("done")
    recorded
  end
end

[state, port, dir] = System.argv()
page = {AdTally.Web, port: String.to_integer(port)}
children = AdTally.Test.PageService.children(dir) ++ [page]
{:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
now = System.system_time(:millisecond)

case state do
  "known" -> AdTally.Test.PageService.known(now)
  "kept" -> :ok
  "traffic" -> AdTally.Test.PageTraffic.start(now)
end

IO.puts("ready #{AdTally.Web.address()}")
AdTally.Test.PageCommands.loop(supervisor, now, 1_000)
Supervisor.stop(supervisor)
