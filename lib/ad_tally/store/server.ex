defmodule AdTally.Store.Server do
  @moduledoc false
  # The process of a store: it opens the directory, and closes it in an orderly stop. Threads of native code
  # write to the disk. They tell this process what happened, which logs it and executes telemetry events.
  #
  # If this process crashes, native code and the tables go on, and the next process takes over. Only an orderly
  # stop ends them.

  use GenServer

  require Logger

  alias AdTally.{Named, Native, StoreError}
  alias AdTally.Store.Events

  # How long telemetry handlers may take at the end.
  @telemetry_wait 1_000

  # Between two lines of the log on how far a table is read, and on a disk that goes on refusing.
  @log_pause 5_000

  @impl true
  def init(config) do
    Process.flag(:trap_exit, true)
    Named.claim(config.name, AdTally.Store)

    with {:ok, how, native} <- open(config) do
      {:ok, events} = Events.start(config.name)
      # One that goes on has its counts.
      about = %{same?: how == :live, dir: config.dir}
      Named.put(config.name, AdTally.Store, native, native, about)

      state = %{
        name: config.name,
        native: native,
        events: events,
        telemetry_interval: config.telemetry_interval,
        # When it was logged how far the tables of these names are read.
        read_logged: %{},
        failing: nil,
        # How often calls were busy when that was told last.
        busy_told: 0
      }

      log_opened(how, config, state)
      {:ok, tick(state)}
    else
      # As if this had raised, but without the log of a crash: the supervisor's report has the message.
      {:error, error} -> {:stop, {error, []}}
    end
  end

  defp open(%{dir: dir, native: options}) do
    case Native.store_open(dir, options) do
      {:error, {kind, reason}} -> {:error, %StoreError{kind: kind, reason: reason}}
      {how, native} -> {:ok, how, native}
    end
  end

  defp log_opened(:live, config, state),
    do: Logger.notice("#{shown(state)} has taken over #{inspect(config.dir)}, which is open")

  defp log_opened(:opened, config, state) do
    case Native.store_info(state.native).parts do
      [] ->
        Logger.notice("#{shown(state)} begins in #{inspect(config.dir)}, where nothing is stored")

      parts ->
        Logger.info(
          "#{shown(state)} has opened #{inspect(config.dir)}: #{Enum.map_join(parts, ", ", &part/1)}"
        )
    end
  end

  defp part(part), do: "#{inspect(name(part.name))} (#{size(part.bytes)})"

  @impl true
  def handle_info({:ad_tally_store, what, told}, state), do: {:noreply, told(what, told, state)}

  def handle_info(:tick, state) do
    info = Native.store_info(state.native)

    measured = %{
      lag: info.lag_ms,
      waiting_bytes: info.lag_bytes,
      disk_bytes: info.segment_bytes + info.run_bytes + info.base_bytes,
      busy: info.busy - state.busy_told
    }

    {:noreply, %{state | busy_told: info.busy} |> execute(:state, measured) |> tick()}
  end

  def handle_info({:EXIT, pid, reason}, %{events: pid} = state),
    do: {:stop, {:telemetry, reason}, state}

  def handle_info(_other, state), do: {:noreply, state}

  # A message that was sent by mistake must not end the process.
  @impl true
  def handle_call(_other, _from, state), do: {:reply, {:error, :unknown_call}, state}

  @impl true
  def handle_cast(_other, state), do: {:noreply, state}

  # Tables are stopped before: their supervisor does it in the reverse order of their starts. After a crash
  # everything goes on without this process.
  @impl true
  def terminate(reason, state) do
    if orderly?(reason) do
      with {:error, {_kind, reason}} <- Native.store_stop(state.native) do
        Logger.error(
          "#{shown(state)} stops, and what was recorded last is not on disk: #{reason}"
        )
      end
    end

    Named.erase(state.name)

    if Events.flush(state.events, @telemetry_wait) != :ok,
      do: Logger.warning("#{shown(state)} stops while a telemetry handler has not returned")
  end

  @doc "Whether a process with that reason was stopped, and did not crash."
  @spec orderly?(term()) :: boolean()
  def orderly?(reason), do: reason in [:normal, :shutdown] or match?({:shutdown, _}, reason)

  ## What native code tells

  defp told(:commit, told, state) do
    state = recovered(state)
    duration = native_time(told.duration_us)

    execute(state, :committed, %{
      commits: 1,
      records: told.records,
      bytes: told.bytes,
      duration: duration,
      longest: duration
    })
  end

  defp told(:error, told, state) do
    state = execute(state, :failed, %{lag: told.lag_ms}, %{reason: told.message})
    now = System.monotonic_time(:millisecond)

    if state.failing == nil or now - state.failing >= @log_pause do
      Logger.error(
        "#{shown(state)}: the disk refuses what was recorded in the last #{told.lag_ms} ms, which is kept in " <>
          "memory and tried again: #{told.message}"
      )

      %{state | failing: now}
    else
      state
    end
  end

  defp told(:compaction, told, state) do
    measured = %{
      duration: native_time(told.duration_us),
      from_bytes: told.from_bytes,
      bytes: told.bytes
    }

    execute(state, :compacted, measured, %{part: name(told.part)})
  end

  defp told(:compaction_error, %{message: reason}, state) do
    Logger.error("#{shown(state)}: files were not merged, they are as they were: #{reason}")
    execute(state, :compaction_failed, %{}, %{reason: reason})
  end

  defp told(:torn, %{file: file, bytes: bytes}, state) do
    Logger.warning(
      "#{shown(state)}: the last #{size(bytes)} of #{file} were not synced when its VM died, and are cut"
    )

    execute(state, :torn, %{bytes: bytes}, %{file: file})
  end

  defp told(:repaired, %{message: reason, bytes: bytes}, state) do
    Logger.error(
      "#{shown(state)} goes on without #{size(bytes)}, as repair: :truncate says: #{reason}"
    )

    execute(state, :repaired, %{bytes: bytes}, %{reason: reason})
  end

  # In order: a table that is read quickly is not in the log before it is read.
  defp told(:loading, %{part: part, done: done, total: total}, state) do
    now = System.monotonic_time(:millisecond)
    logged = Map.get_lazy(state.read_logged, part, fn -> now end)

    if now - logged >= @log_pause do
      percent = if total > 0, do: div(100 * done, total), else: 100
      Logger.info("#{shown(state)} reads #{inspect(name(part))}: #{percent} % of #{size(total)}")
      put_in(state.read_logged[part], now)
    else
      put_in(state.read_logged[part], logged)
    end
  end

  defp told(:loaded, told, state) do
    duration = native_time(told.duration_us)

    Logger.info(
      "#{shown(state)} has read #{inspect(name(told.part))}: #{size(told.bytes)} in #{div(told.duration_us, 1_000)} ms"
    )

    measured = %{duration: duration, bytes: told.bytes, entries: told.entries}
    state = %{state | read_logged: Map.delete(state.read_logged, told.part)}
    execute(state, :loaded, measured, %{part: name(told.part)})
  end

  defp told(:without_room, %{part: part, pairs: pairs}, state) do
    Logger.warning(
      "#{shown(state)}: #{inspect(name(part))} is smaller than before, and has no room for all events of #{pairs} " <>
        "pairs, which are denied early"
    )

    execute(state, :without_room, %{pairs: pairs}, %{part: name(part)})
  end

  # Of a later version of the library, which was loaded under this module's.
  defp told(_what, _told, state), do: state

  # Parts are named by atoms, and their files have those as text. One that nobody has started may be none here.
  defp name(text) do
    String.to_existing_atom(text)
  rescue
    ArgumentError -> text
  end

  defp recovered(%{failing: nil} = state), do: state

  defp recovered(state) do
    Logger.notice("#{shown(state)}: the disk takes what is recorded again, and has all of it")
    execute(%{state | failing: nil}, :recovered, %{})
  end

  defp execute(state, what, measured, metadata \\ %{}) do
    Events.execute(state.events, {what, measured, metadata})
    state
  end

  defp tick(state) do
    Process.send_after(self(), :tick, state.telemetry_interval)
    state
  end

  defp native_time(microseconds),
    do: System.convert_time_unit(microseconds, :microsecond, :native)

  defp shown(state), do: "AdTally.Store #{inspect(state.name)}"

  @doc "Bytes for a person."
  @spec size(non_neg_integer()) :: String.t()
  def size(bytes) when bytes < 10_000, do: "#{bytes} bytes"
  def size(bytes) when bytes < 10_000_000, do: "#{div(bytes, 1_000)} kB"
  def size(bytes) when bytes < 10_000_000_000, do: "#{div(bytes, 1_000_000)} MB"
  def size(bytes), do: "#{div(bytes, 1_000_000_000)} GB"
end
