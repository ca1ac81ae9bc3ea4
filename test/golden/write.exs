# MIX_ENV=test mix run --no-start test/golden/write.exs FOLDER
[folder] = System.argv()

for {name, module, _options} <- AdTally.Test.Exports.kinds() do
  frames = name |> AdTally.Test.Exports.fill(seed: 7) |> module.export()
  File.write!(Path.join(folder, "#{name}.frames"), Enum.to_list(frames))
end
