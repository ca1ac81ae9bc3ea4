# MIX_ENV=test mix run --no-start test/golden/read.exs FOLDER
alias AdTally.Test.Exports

[folder] = System.argv()

for {name, module, options} <- Exports.kinds() do
  frames = Enum.to_list(AdTally.Frame.stream!(Path.join(folder, "#{name}.frames")))
  answers = Exports.answers_of(module, Keyword.take(options, [:secret]), frames)

  if answers != Exports.answers(module, Exports.fill(name, seed: 7)),
    do: raise("#{name} answers otherwise")
end

IO.puts(
  "OTP #{System.otp_release()} has read #{length(Exports.kinds())} kinds of tables from #{folder}"
)
