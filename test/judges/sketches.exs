# AdTally's side of test/judges/datasketches.py: reads every sketch in the directory
# that it is given, which that program has written, and writes its own of the same
# users beside them.
#
#     mix run test/judges/sketches.exs DIRECTORY
alias AdTally.Sketch

[directory] = System.argv()

users = %{
  "integers" => &Enum.to_list(1..&1//1),
  "strings" => fn count -> for number <- 1..count//1, do: "user-#{number}" end
}

{:ok, estimates} = File.open(Path.join(directory, "ours_estimates.tsv"), [:write])

write = fn name, sketch ->
  File.write!(Path.join(directory, name), Sketch.to_binary(sketch))
  IO.write(estimates, "#{name}\t#{Sketch.estimate(sketch)}\n")
end

# hllT_pP_nN[_strings]_FORM.sk holds the users 1 to N.
names = for path <- Path.wildcard(Path.join(directory, "hll*.sk")), do: Path.basename(path, ".sk")

groups =
  Enum.group_by(names, fn name ->
    ["hll" <> _bits, "p" <> precision, "n" <> count | rest] = String.split(name, "_")
    family = if hd(rest) == "strings", do: "strings", else: "integers"
    {family, String.to_integer(precision), String.to_integer(count)}
  end)

if groups == %{}, do: raise("no sketches in #{directory}")

for {{family, precision, count}, names} <- groups do
  ours = Sketch.from_users(users[family].(count), precision: precision)

  for name <- names do
    theirs = Sketch.from_binary!(File.read!(Path.join(directory, name <> ".sk")))

    if theirs != ours do
      raise "#{name} was read as #{inspect(theirs)}, its users are #{inspect(ours)}"
    end
  end

  write.("ours_#{family}_p#{precision}_n#{count}.sk", ours)
end

for path <- Path.wildcard(Path.join(directory, "union_a_p*.sk")) do
  "union_a_" <> precision = Path.basename(path, ".sk")
  parts = [path, Path.join(directory, "union_b_#{precision}.sk")]
  {:ok, union} = parts |> Enum.map(&Sketch.from_binary!(File.read!(&1))) |> Sketch.union()
  write.("ours_union_#{precision}.sk", union)
end

# Few users and nobody at the lowest precision beside many at a higher one.
for path <- Path.wildcard(Path.join(directory, "mixed_many_p*.sk")) do
  "mixed_many_" <> precision = Path.basename(path, ".sk")
  parts = for name <- ["mixed_few", "mixed_nobody"], do: Path.join(directory, name <> ".sk")
  sketches = Enum.map([path | parts], &Sketch.from_binary!(File.read!(&1)))
  {:ok, union} = Sketch.union(Enum.shuffle(sketches))
  write.("ours_mixed_#{precision}.sk", union)
end

File.close(estimates)
IO.puts("#{length(names)} sketches of datasketches read, coupons and registers equal")
