defmodule Consumer.Batches do
  # Takes messages in batches, records them, waits until they are on disk, and acknowledges them.
  use GenServer

  alias AdTally.{Event, Meter, Store}

  @batch 500
  # Milliseconds in which a batch that has begun may grow.
  @patience 20

  def start_link(number), do: GenServer.start_link(__MODULE__, number)

  @impl true
  def init(_number) do
    channel = Consumer.channel()
    {:"basic.qos_ok"} = :amqp_channel.call(channel, {:"basic.qos", 0, 2 * @batch, false})
    consume = {:"basic.consume", 0, "events", "", false, false, false, false, []}
    {:"basic.consume_ok", _tag} = :amqp_channel.subscribe(channel, consume, self())
    {:ok, channel}
  end

  @impl true
  def handle_info({{:"basic.deliver", _, tag, _, _, _}, {:amqp_msg, _, payload}}, channel) do
    {last, events} = collect(@batch - 1, tag, [event(payload)], now() + @patience)
    outcomes = Meter.record_many(Consumer.Ads, events)
    # One that is too late is counted as such and never again: the queue must not keep it.
    Consumer.Finish.note(outcomes)
    :ok = Store.sync(Consumer.Store)
    :ok = :amqp_channel.cast(channel, {:"basic.ack", last, true})
    {:noreply, channel}
  end

  def handle_info({:"basic.consume_ok", _tag}, channel), do: {:noreply, channel}

  defp collect(0, tag, events, _until), do: {tag, Enum.reverse(events)}

  defp collect(left, tag, events, until) do
    receive do
      {{:"basic.deliver", _, tag, _, _, _}, {:amqp_msg, _, payload}} ->
        collect(left - 1, tag, [event(payload) | events], until)
    after
      max(until - now(), 0) -> {tag, Enum.reverse(events)}
    end
  end

  # "number,time,campaign,user,spend"
  defp event(payload) do
    [id, at, campaign, user, spend] =
      payload |> String.split(",") |> Enum.map(&String.to_integer/1)

    %Event{
      id: id,
      at: at,
      dimensions: {campaign},
      user: user,
      metrics: [impressions: 1, spend_micros: spend]
    }
  end

  defp now, do: System.monotonic_time(:millisecond)
end
