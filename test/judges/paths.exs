# Has an attribution see the paths of DIR/paths.csv: mix run test/judges/paths.exs DIR
#
#     DIR/paths.csv       channels, conversions, their value in micros, users who did not convert: written by paths.py
#     DIR/reports.csv     model, channel, millionths of conversions, micros
#     DIR/exported.csv    the paths, as AdTally.Attribution exports them
#
# Each conversion of a path is one of a user who had its touches, a half-life apart, the last one with the conversion. Each
# user who did not convert had them too.

alias AdTally.{Attribution, Conversion, Touch}

[directory] = System.argv()
half_life = 1_000
begin = 1_780_272_000_000
models = [:first_touch, :last_touch, :linear, :position_based, {:time_decay, half_life}]

paths =
  for line <- directory |> Path.join("paths.csv") |> File.stream!() do
    [channels | numbers] = line |> String.trim() |> String.split(",")
    [conversions, value, others] = Enum.map(numbers, &String.to_integer/1)

    %{
      channels: String.split(channels, " "),
      conversions: conversions,
      value: value,
      others: others
    }
  end

longest = paths |> Enum.map(&length(&1.channels)) |> Enum.max()

{:ok, supervisor} =
  Supervisor.start_link(
    [
      {Attribution,
       name: Judged.Paths,
       dimensions: [:channel],
       touches: [click: longest * half_life],
       conversions: [purchase: :every],
       models: models,
       touches_per_user: longest,
       window: longest * half_life,
       users: 1_000_000,
       clock: :events,
       retain: 24 * 3_600_000}
    ],
    strategy: :one_for_one
  )

# Each micro of a path's value is in one of its conversions.
worth = fn value, conversions, number ->
  div(value, conversions) + if(number <= rem(value, conversions), do: 1, else: 0)
end

for {path, place} <- Enum.with_index(paths) do
  at = begin + longest * half_life
  last = length(path.channels) - 1

  for number <- 1..(path.conversions + path.others)//1 do
    user = {place, number}

    touches =
      for {channel, step} <- Enum.with_index(path.channels),
          do: %Touch{
            id: step,
            user: user,
            at: at - (last - step) * half_life,
            kind: :click,
            dimensions: {channel}
          }

    %{late: 0, duplicate: 0, future: 0} = Attribution.touch_many(Judged.Paths, touches)

    if number <= path.conversions do
      :ok =
        Attribution.convert(Judged.Paths, %Conversion{
          order: "#{place}-#{number}",
          user: user,
          at: at,
          action: :purchase,
          value_micros: worth.(path.value, path.conversions, number)
        })
    end
  end
end

report = fn model ->
  rows = Attribution.report(Judged.Paths, by: [:channel], model: model)
  name = if is_tuple(model), do: elem(model, 0), else: model
  for row <- rows, do: "#{name},#{row.channel},#{row.conversions_ppm},#{row.value_micros}\n"
end

before = Enum.map(models, report)
:ok = Attribution.close(Judged.Paths, 60_000)
# Final credits are those that were provisional before.
^before = Enum.map(models, report)

File.write!(Path.join(directory, "reports.csv"), before)

Judged.Paths
|> Attribution.paths(by: [:channel])
|> Attribution.path_lines()
|> Enum.into(File.stream!(Path.join(directory, "exported.csv")))

Supervisor.stop(supervisor)
