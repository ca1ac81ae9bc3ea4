defmodule AdTally.Web.Reports do
  @moduledoc false
  # What a page shows and cannot be read from a snapshot: reports over windows. One is made for all who look at the
  # page, and none while another one is being made.
  #
  #     asked -> made in a process of its own -> kept with the answers that were made of it -> not asked for: forgotten
  #
  # A report of many rows costs more than one of few. So how often one is made follows from how long it took: three
  # hundred times as long, at least a second, and at most five minutes. That is a third of a percent of one core for each
  # report that somebody looks at, a view or a campaign, whatever the interval of the page. Only one that takes more than
  # a second takes more. As much again is left for samples, and for answers. Whoever asks in between gets the one before,
  # with its time in it.
  #
  # Each campaign has a report of its own, and a client may ask for all of them. So only a few reports wait to be made,
  # and one that all who have waited for it have given up is not made.

  use GenServer

  require Logger

  # In milliseconds.
  @soonest 1_000
  @latest 300_000
  @share 300

  # Milliseconds that whoever asks waits for the first one.
  @patience 10_000

  # Reports that wait while another one is made.
  @most_queued 32

  # What nobody has asked for is forgotten, once it may be made again: whoever asks once a minute must not have it made
  # each time. Of more than these, those that were asked for last are kept.
  @forgotten 30_000
  @most_kept 32
  @most_answers 32

  @type made :: {:ok, term()} | {:error, status :: pos_integer(), message :: binary()}

  @spec server(atom()) :: atom()
  def server(name), do: Module.concat(name, Reports)

  @doc "Starts the reports of a page. The clock has milliseconds, and a test has its own."
  @spec start_link(AdTally.Web.Config.t(), (() -> integer())) :: GenServer.on_start()
  def start_link(config, clock \\ &__MODULE__.now/0),
    do: GenServer.start_link(__MODULE__, clock, name: server(config.name))

  # A function of a module's old code would end the process that holds it once the code is loaded again.
  @doc false
  @spec now() :: integer()
  def now, do: System.monotonic_time(:millisecond)

  @doc """
  An answer made of a report. `make` makes the report of this `key`, and `answer` the answer of this `view` to it, of
  what was made, when (Unix milliseconds), and how many milliseconds that took. Whoever asks waits for `patience`
  milliseconds at most.
  """
  @spec get(
          atom(),
          key :: term(),
          (() -> made()),
          view :: term(),
          (term(), at :: integer(), took :: non_neg_integer() -> answer),
          patience :: pos_integer()
        ) :: {:ok, answer} | {:error, pos_integer(), binary()}
        when answer: term()
  def get(name, key, make, view, answer, patience \\ @patience) do
    GenServer.call(server(name), {:get, key, make, view, answer, patience}, patience)
  catch
    :exit, {:timeout, _call} ->
      {:error, 503, "this report takes longer than #{patience} ms: ask again"}

    :exit, _reason ->
      {:error, 503, "this report could not be made: ask again"}
  end

  @impl true
  def init(clock) do
    Process.flag(:trap_exit, true)
    Process.send_after(self(), :forget, @forgotten)
    {:ok, %{clock: clock, kept: %{}, queue: [], making: nil}}
  end

  @impl true
  def handle_call({:get, key, make, view, answer, patience}, from, state) do
    now = state.clock.()
    state = if is_map_key(state.kept, key), do: state, else: make_room(state)
    kept = %{Map.get(state.kept, key, new()) | asked: now}
    {asked, state} = if due?(kept, now), do: ask(state, key, make), else: {:ok, state}

    cond do
      shown?(kept, now) ->
        reply(from, key, view, answer, put_in(state.kept[key], kept))

      asked == :full ->
        {:reply,
         {:error, 503,
          "#{@most_queued} other reports wait to be made before this one: ask again in a few seconds"},
         state}

      true ->
        kept = %{kept | waiting: [{from, view, answer, now + patience} | kept.waiting]}
        {:noreply, put_in(state.kept[key], kept)}
    end
  end

  # A message that was sent by mistake must not end the process, and lose its reports.
  def handle_call(_other, _from, state), do: {:reply, {:error, :unknown_call}, state}

  @impl true
  def handle_cast(_other, state), do: {:noreply, state}

  defp new do
    %{made: nil, made_at: nil, at: nil, took: 0, answers: %{}, waiting: [], asked: nil}
  end

  defp due?(%{made: nil}, _now), do: true
  defp due?(kept, now), do: now - kept.made_at >= interval(kept)

  defp shown?(%{made: nil}, _now), do: false
  defp shown?(kept, now), do: now - kept.made_at < shown_for(kept)

  # What has failed may succeed a moment later. One that took longer than anybody waits, such as one that timed out, is
  # not made again at once.
  defp interval(%{made: {:error, _status, _message}, took: took}),
    do: if(took < @patience, do: @soonest, else: @patience)

  defp interval(%{took: took}), do: (took * @share) |> max(@soonest) |> min(@latest)

  # Who comes back after a while does not get what was there when he left, and nobody gets an error that is over.
  defp shown_for(%{made: {:error, _status, _message}} = kept), do: interval(kept)
  defp shown_for(kept), do: 2 * interval(kept) + @soonest

  defp ask(%{making: nil} = state, key, make), do: {:ok, begin(state, key, make)}
  defp ask(%{making: {_pid, key, _began}} = state, key, _make), do: {:ok, state}

  defp ask(state, key, make) do
    if List.keymember?(state.queue, key, 0),
      do: {:ok, state},
      else: state |> drop_given_up() |> queue(key, make)
  end

  defp queue(%{queue: queue} = state, _key, _make) when length(queue) >= @most_queued,
    do: {:full, state}

  defp queue(state, key, make), do: {:ok, %{state | queue: state.queue ++ [{key, make}]}}

  # Those that all who have waited for them have given up.
  defp drop_given_up(state) do
    now = state.clock.()

    {queue, given_up} =
      Enum.split_with(state.queue, fn {key, _make} -> wanted?(state.kept[key], now) end)

    kept = Enum.reduce(given_up, state.kept, fn {key, _make}, kept -> give_up(kept, key) end)
    %{state | queue: queue, kept: kept}
  end

  # It was forgotten.
  defp wanted?(nil, _now), do: false

  # Whoever has asked got the one before, and asks again.
  defp wanted?(%{waiting: []}, _now), do: true

  defp wanted?(%{waiting: waiting}, now),
    do: Enum.any?(waiting, fn {_from, _view, _answer, until} -> until > now end)

  defp give_up(kept, key) do
    case kept do
      %{^key => %{made: nil}} -> Map.delete(kept, key)
      %{^key => one} -> %{kept | key => %{one | waiting: []}}
      _forgotten -> kept
    end
  end

  defp begin(state, key, make) do
    began = state.clock.()
    %{state | making: {spawn_link(fn -> exit({:made, attempt(make)}) end), key, began}}
  end

  # The VM logs exceptions of such a process, but no exits.
  defp attempt(make) do
    make.()
  catch
    kind, reason ->
      log("made", Exception.format(kind, reason, __STACKTRACE__))
      could_not("made")
  end

  @impl true
  def handle_info({:EXIT, pid, reason}, %{making: {pid, key, began}} = state) do
    made =
      case reason do
        {:made, made} ->
          made

        # Somebody else has ended it.
        reason ->
          log("made", Exception.format_exit(reason))
          could_not("made")
      end

    {:noreply, %{state | making: nil} |> made(key, made, began) |> next()}
  end

  def handle_info(:forget, state) do
    Process.send_after(self(), :forget, @forgotten)
    # What was forgotten was most of this heap.
    {:noreply, forget(state), :hibernate}
  end

  def handle_info(_other, state), do: {:noreply, state}

  # A client may ask for thousands of campaigns in half a minute.
  defp make_room(state) when map_size(state.kept) < 2 * @most_kept, do: state
  defp make_room(state), do: forget(state)

  defp forget(state) do
    now = state.clock.()
    {awaited, others} = Enum.split_with(state.kept, fn {_key, kept} -> kept.waiting != [] end)

    kept =
      others
      |> Enum.filter(fn {_key, kept} -> now - kept.asked <= @forgotten or not due?(kept, now) end)
      |> Enum.sort_by(fn {_key, kept} -> -kept.asked end)
      |> Enum.take(max(@most_kept - length(awaited), 0))
      |> Map.new()
      |> Map.merge(Map.new(awaited))

    %{state | kept: kept}
  end

  defp made(state, key, made, began) do
    case state.kept do
      %{^key => kept} ->
        now = state.clock.()

        kept = %{
          kept
          | made: made,
            made_at: now,
            at: System.system_time(:millisecond),
            took: now - began,
            answers: %{}
        }

        waiting = Enum.reverse(kept.waiting)
        state = put_in(state.kept[key], %{kept | waiting: []})

        Enum.reduce(waiting, state, fn {from, view, answer, _until}, state ->
          {:noreply, state} = reply(from, key, view, answer, state)
          state
        end)

      _forgotten ->
        state
    end
  end

  defp next(state) do
    case drop_given_up(state) do
      %{queue: [{key, make} | queue]} = state -> begin(%{state | queue: queue}, key, make)
      state -> state
    end
  end

  defp reply(from, key, view, answer, state) do
    case state.kept[key] do
      %{answers: %{^view => answered}} ->
        GenServer.reply(from, answered)
        {:noreply, state}

      %{made: {:ok, made}, answers: answers} = kept ->
        answered = answered(answer, made, kept)
        GenServer.reply(from, answered)
        # Searches are as many as somebody types.
        answers = if map_size(answers) < @most_answers, do: answers, else: %{}
        {:noreply, put_in(state.kept[key].answers, Map.put(answers, view, answered))}

      %{made: error} ->
        GenServer.reply(from, error)
        {:noreply, state}
    end
  end

  # What a report cannot be shown for costs one view of it, and not the reports of all who look at the page.
  defp answered(answer, made, kept) do
    {:ok, answer.(made, kept.at, kept.took)}
  catch
    kind, reason ->
      log("shown", Exception.format(kind, reason, __STACKTRACE__))
      could_not("shown")
  end

  defp log(what, why), do: Logger.error("a report of AdTally.Web could not be #{what}: #{why}")

  defp could_not(what), do: {:error, 503, "this report could not be #{what}: see the log"}
end
