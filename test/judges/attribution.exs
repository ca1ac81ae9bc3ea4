# Writes what test/judges/attribution.py judges: mix run test/judges/attribution.exs DIR TOUCHES [SEED]
#
#     DIR/STREAM/touches.csv, conversions.csv, adjustments.csv    what was sent
#     DIR/STREAM/NAME/files/                                      what AdTally.Sink.Files got of an attribution
#     DIR/STREAM/NAME/credits.csv                                 what AdTally.Attribution.credits/2 returned
#     DIR/STREAM/NAME/conversions.csv, answers.csv, reports.csv   the same beside the credits; what adjustments were answered; reports
#     DIR/attributions.csv                                        the options of each attribution
#
# There are three streams:
#
#     shuffled    users whose touches all have a place in the ring, in a random order within lateness; some of them late
#     ring        users with up to seven times as many touches as are kept, in the order of time
#     runs        users who have many touches of one kind and dimensions in a row, which are collapsed, in the order of time

for file <- ~w(stream replay), do: Code.require_file("attribution/#{file}.ex", __DIR__)

alias AdTally.Judges.Replay

{directory, touches, seed} =
  case System.argv() do
    [directory, touches] -> {directory, String.to_integer(touches), :rand.uniform(1_000_000_000)}
    [directory, touches, seed] -> {directory, String.to_integer(touches), String.to_integer(seed)}
  end

IO.puts("#{touches} touches, seed #{seed}")
:rand.seed(:exsss, seed)
File.rm_rf!(directory)

line = fn row ->
  fields =
    for value <- row do
      cond do
        is_nil(value) -> ""
        is_binary(value) -> value
        is_integer(value) -> Integer.to_string(value)
        is_atom(value) -> Atom.to_string(value)
      end
    end

  [Enum.intersperse(fields, ?,), ?\n]
end

# Lines go out as they are made: those of a stream together would be collected as garbage again and again.
create = fn path, header ->
  File.mkdir_p!(Path.dirname(path))
  file = File.open!(path, [:write, :raw, {:delayed_write, 1_000_000, 1_000}])
  :ok = :file.write(file, line.(header))
  file
end

write = fn file, rows -> :ok = :file.write(file, Enum.map(rows, line)) end

csv = fn path, header, rows ->
  file = create.(path, header)
  rows |> Stream.chunk_every(1_000) |> Enum.each(&write.(file, &1))
  :ok = File.close(file)
end

model = fn
  {:time_decay, _half_life} -> :time_decay
  model -> model
end

write_stream = fn dir, stream ->
  csv.(
    Path.join(dir, "touches.csv"),
    ~w(block id user_id touched_at kind campaign creative cost_micros),
    for {block, touch} <- stream.touches do
      {campaign, creative} = touch.dimensions
      [block, touch.id, touch.user, touch.at, touch.kind, campaign, creative, touch.cost_micros]
    end
  )

  csv.(
    Path.join(dir, "conversions.csv"),
    ~w(block order_id user_id converted_at action value_micros),
    for {block, one} <- stream.conversions do
      [block, one.order, one.user, one.at, one.action, one.value_micros]
    end
  )
end

change = fn
  :retract -> nil
  {:restate, value} -> value
end

answer = fn
  :ok -> :ok
  {:error, reason} -> reason
end

write_result = fn dir, result ->
  # An adjustment without a value is a retraction. They are numbered in the order in which they were made.
  csv.(
    Path.join(dir, "answers.csv"),
    ~w(number block order_id value_micros adjusted_at answer),
    for {{{block, order, made, at}, answered}, number} <- Enum.with_index(result.answers) do
      [number, block, order, change.(made), at, answer.(answered)]
    end
  )

  csv.(
    Path.join(dir, "reports.csv"),
    ~w(model dated_by from_at to_at campaign kind unattributed conversions_ppm value_micros touches spend_micros),
    for {of, dated_by, dates, rows} <- result.reports, row <- rows do
      [model.(of), dated_by, dates[:from], dates[:to], row[:campaign], row[:kind]] ++
        [Map.get(row, :unattributed, false), row.conversions_ppm, row.value_micros] ++
        [row.touches, row.spend_micros]
    end
  )
end

replay = fn dir, stream, options ->
  conversions =
    create.(
      Path.join(dir, "conversions.csv"),
      ~w(block order_id counted retracted truncated value_micros)
    )

  credits =
    create.(
      Path.join(dir, "credits.csv"),
      ~w(block order_id model place touch_id kind campaign creative touched_at value_micros conversions_ppm)
    )

  told = fn {block, order, shown} ->
    write.(conversions, [
      [block, order, shown.counted, shown.retracted, shown.truncated, shown.value_micros]
    ])

    write.(
      credits,
      for of <- Replay.models(), {credit, place} <- Enum.with_index(Map.fetch!(shown, of)) do
        {campaign, creative} = credit.dimensions

        [block, order, model.(of), place, credit.touch, credit.kind, campaign, creative] ++
          [credit.at, credit.credit_micros, credit.share_ppm]
      end
    )
  end

  result = Replay.run(stream, Replay.options(Path.join(dir, "files"), options), told)
  for file <- [conversions, credits], do: :ok = File.close(file)
  write_result.(dir, result)
end

# Of a run the first and the last touch are kept. So that this is enough, touches come in the order of time, and no two
# of them are of one time.
streams = [
  {:shuffled, 0.6,
   [
     touches_per_user: 1..16,
     conversions_per_user: 0..3,
     dimensions: 12,
     order: :shuffled,
     late: true
   ], [touches_per_user: 16]},
  {:ring, 0.3,
   [touches_per_user: 1..56, conversions_per_user: 0..9, dimensions: 12, order: :event_order],
   [touches_per_user: 8, event_order: true]},
  {:runs, 0.1,
   [
     touches_per_user: 1..16,
     conversions_per_user: 0..3,
     dimensions: 1,
     order: :event_order,
     ties: false
   ], [touches_per_user: 16, event_order: true, collapse: :consecutive]}
]

runs =
  for {name, share, of_stream, options} <- streams,
      stream = AdTally.Judges.Stream.new(round(share * touches), of_stream),
      dir = Path.join(directory, to_string(name)),
      :ok = write_stream.(dir, stream),
      prevail <- [true, false],
      do: {name, prevail, dir, stream, options}

run = fn {{name, prevail, dir, stream, options}, number} ->
  # Each process has random numbers of its own.
  :rand.seed(:exsss, seed + number)
  attribution = if prevail, do: "prevail", else: "all"
  options = [name: Module.concat(Judged, "#{name}_#{attribution}"), prevail: prevail] ++ options
  :ok = replay.(Path.join(dir, attribution), stream, options)
  collapse? = options[:collapse] != nil
  [name, attribution, prevail, collapse?, options[:touches_per_user], stream.close]
end

attributions =
  for {:ok, attribution} <-
        Task.async_stream(Enum.with_index(runs, 1), run, max_concurrency: 2, timeout: :infinity),
      do: attribution

csv.(
  Path.join(directory, "attributions.csv"),
  ~w(stream attribution prevail collapse touches_per_user close),
  attributions
)
