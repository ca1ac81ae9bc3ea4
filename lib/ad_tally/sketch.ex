defmodule AdTally.Sketch do
  @moduledoc """
  One HyperLogLog sketch as a value: an estimate of how many different users were inserted, bounds
  of that estimate, and unions with other sketches.

      iex> monday = AdTally.Sketch.from_users(["ann", "ben", "cho"])
      iex> tuesday = AdTally.Sketch.from_users(["cho", "dan"])
      iex> {:ok, both} = AdTally.Sketch.union([monday, tuesday])
      iex> both |> AdTally.Sketch.estimate() |> round()
      4
      iex> AdTally.Sketch.overlap(monday, tuesday).estimate
      1.0

  Sketches come out of `AdTally.Reach`, from a list of users, or as bytes from any system
  that writes Apache DataSketches HLL sketches (Spark, Druid, Hive, BigQuery's functions,
  the Python and Java libraries), and `to_binary/1` gives bytes that those read.

  A sketch is a plain value. It can be sent to other nodes, kept in ETS or a database, and
  compared: sketches of the same users, precision and secret are equal with `==`,
  in whatever order users were inserted and sketches merged. Its fields are private.

  Who is a user, what precision means, and what a secret is for: `AdTally.Reach`.

  ## Union

  The union of sketches is the sketch of all their users. It is associative, commutative
  and idempotent: sketches may be merged in any order, and twice. Sketches of different
  secrets cannot be merged, nor can one with a secret and one without: the same user would
  count twice.

  Where precisions differ, only registers lower the precision of a union: it is the lowest
  of the sketches that have registers, as in Apache DataSketches. If none has registers, it
  is the highest of the sketches that hold users. An empty sketch changes nothing. A sketch
  whose precision was lowered stays at that precision. So with mixed precisions, merge all
  sketches in one call: a union of unions has the same users, but its precision can be
  lower, where coupons of a low precision became registers on the way.

  ## Secrets and bytes

  A sketch carries a check value of its secret, 64 bits that tell secrets apart and do not
  reveal the secret. **The DataSketches format has no field for it.** Where only the bytes
  are kept, sketches of different secrets can be merged without an error, and users of both
  count twice. So keep a name of the secret (not the secret itself) beside the bytes, in a
  column or a file name, and give the secret to `from_binary/2`.

  The functions raise `ArgumentError` for arguments that are not sketches.
  """

  alias AdTally.{Native, Options, Steps}
  alias AdTally.Sketch.FormatError

  @enforce_keys [:bytes, :secret_check]
  defstruct @enforce_keys

  @opaque t :: %__MODULE__{bytes: binary(), secret_check: non_neg_integer() | nil}

  @default_precision 12

  # How the bytes of every DataSketches HLL sketch begin: the size of the preamble,
  # serial version 1, family 7, the precision. Native code checks all fields.
  defguardp is_sketch(bytes)
            when is_binary(bytes) and byte_size(bytes) >= 8 and
                   binary_part(bytes, 1, 2) == <<1, 7>> and
                   binary_part(bytes, 3, 1) >= <<4>> and binary_part(bytes, 3, 1) <= <<18>>

  @doc """
  The sketch of a list of users. A user that is there twice counts once.

  ## Options

    * `:precision` - from 4 to 18. Default: #{@default_precision}.
    * `:secret` - 16 bytes, or `nil` for none, the default.

  Raises `ArgumentError` for a bad option or a bad user.

      iex> sketch = AdTally.Sketch.from_users([1, 2, 2, "2"], precision: 14)
      iex> sketch |> AdTally.Sketch.estimate() |> round()
      3
  """
  @spec from_users([AdTally.Reach.user()], precision: 4..18, secret: <<_::128>> | nil) :: t()
  def from_users(users, options \\ []) do
    options = Options.known!(options, [:precision, :secret])
    precision = Options.precision!(options, @default_precision)
    builder = Native.sketch_new(precision, Options.secret!(options))
    :ok = Steps.each(users, &Native.sketch_insert_some(builder, &1, &2))
    Native.sketch_finish(builder)
  end

  @doc """
  The number of different users, an estimate.

      iex> sketch = AdTally.Sketch.from_users(Enum.to_list(1..100_000))
      iex> abs(AdTally.Sketch.estimate(sketch) - 100_000) < 3 * 1_620
      true
  """
  @spec estimate(t()) :: float()
  def estimate(sketch),
    do: Native.sketch_estimate(sketch) || Native.sketch_estimate_large(sketch)

  @doc """
  The interval in which the number of users lies, at 1, 2 or 3 standard deviations: in at
  least 68, 95 or 99.7 cases of 100.

      iex> sketch = AdTally.Sketch.from_users(Enum.to_list(1..100_000))
      iex> {low, high} = AdTally.Sketch.bounds(sketch, 3)
      iex> low < 100_000 and 100_000 < high
      true
  """
  @spec bounds(t(), 1..3) :: {low :: float(), high :: float()}
  def bounds(sketch, deviations \\ 2),
    do: Native.sketch_bounds(sketch, deviations!(deviations))

  @doc """
  The sketch of all users of a list of sketches, which is not empty.

  Its precision is the lowest of those sketches that have registers, or else the highest
  of those that hold users, see the module's documentation. `{:error, :different_secret}`
  unless all have the same secret, or none.

      iex> a = AdTally.Sketch.from_users([1, 2], precision: 14)
      iex> b = AdTally.Sketch.from_users([2, 3], precision: 12)
      iex> AdTally.Sketch.union([a, b]) == {:ok, AdTally.Sketch.from_users([1, 2, 3], precision: 14)}
      true
      iex> many = AdTally.Sketch.from_users(Enum.to_list(1..10_000), precision: 12)
      iex> {:ok, union} = AdTally.Sketch.union([a, b, many])
      iex> AdTally.Sketch.precision(union)
      12
      iex> c = AdTally.Sketch.from_users([3], secret: "sixteen bytes...")
      iex> AdTally.Sketch.union([a, c])
      {:error, :different_secret}
  """
  @spec union([t(), ...]) :: {:ok, t()} | {:error, :different_secret}
  def union([_ | _] = sketches) do
    # Much work goes on with a dirty scheduler.
    with {union, rest, next} <- Native.sketch_union(sketches),
         :ok <- Steps.each(rest, next, &Native.sketch_unite_some(union, &1, &2)),
         do: {:ok, Native.sketch_united(union)}
  end

  def union(other) do
    raise ArgumentError,
          "expected a list of at least one AdTally.Sketch, got: #{Options.shown(other)}"
  end

  @doc """
  How many users two sketches have in common: the most likely number, and the interval in
  which it lies at 1, 2 or 3 standard deviations.

  The estimate is that of joint maximum likelihood (Ertl, arXiv 1706.07290): the fewer
  users are in common, the better it is than the difference of the parts and their union.
  As long as both sketches keep coupons it is nearly exact. Otherwise it is made at the lower
  precision of those that have registers.
  `{:error, :different_secret}` as in `union/1`.

  **When the answer is of no use.** The error depends on the users of both, not on
  those in common. Of two sketches of 100,000 users at precision 12, 50 % in common come
  out with an error of 3 %, 10 % with 11 %, and 1 % with 72 %: anywhere from nothing to a
  multiple of the truth, and only `high` says something. The same holds for a small sketch
  beside a large one. Where `high - low` is larger than `estimate`, show the bounds, or
  nothing. [Accuracy](accuracy.html) has what was measured.

      iex> a = AdTally.Sketch.from_users(Enum.to_list(1..100_000))
      iex> b = AdTally.Sketch.from_users(Enum.to_list(50_001..150_000))
      iex> %{low: low, high: high} = AdTally.Sketch.overlap(a, b)
      iex> low < 50_000 and 50_000 < high
      true
  """
  @spec overlap(t(), t(), 1..3) ::
          %{estimate: float(), low: float(), high: float()} | {:error, :different_secret}
  def overlap(one, other, deviations \\ 2) do
    with {estimate, low, high} <- Native.sketch_overlap(one, other, deviations!(deviations)) do
      %{estimate: estimate, low: low, high: high}
    end
  end

  @doc """
  The sketch's precision, from 4 to 18.

      iex> AdTally.Sketch.precision(AdTally.Sketch.from_users([], precision: 14))
      14
  """
  @spec precision(t()) :: 4..18
  def precision(%__MODULE__{bytes: bytes}) when is_sketch(bytes), do: :binary.at(bytes, 3)
  def precision(other), do: not_a_sketch!(other)

  @doc """
  The sketch as bytes in the HLL format of Apache DataSketches: LIST up to 7 users, SET up
  to the number of coupons that `AdTally.Reach` gives by precision, HLL_8 from there on.

  Equal sketches have equal bytes. Registers have the flag "out of order", because their
  users had none; readers then estimate from the registers. The bytes do not say whether a
  sketch has a secret, nor which: see the module's documentation.

      iex> AdTally.Sketch.to_binary(AdTally.Sketch.from_users([1]))
      <<2, 1, 7, 12, 3, 8, 1, 8, 0x2B, 0xF2, 0xFB, 0x06>>
  """
  @spec to_binary(t()) :: binary()
  def to_binary(%__MODULE__{bytes: bytes}) when is_sketch(bytes), do: bytes
  def to_binary(other), do: not_a_sketch!(other)

  @doc """
  Decodes a sketch: LIST, SET, HLL_4, HLL_6 and HLL_8 of any DataSketches writer, precision 4
  to 18.

  Bytes are not trusted: every field is checked before it is used, and nothing is allocated
  that the input does not justify. `{:error, %AdTally.Sketch.FormatError{}}` names the field
  that was wrong, its value, and what it may be.

  ## Options

    * `:secret` - the 16 bytes under which the users were hashed, which are not in the
      sketch's bytes, or `nil` for none, the default

  ## Example

      iex> bytes = AdTally.Sketch.to_binary(AdTally.Sketch.from_users(["ann", "ben"]))
      iex> {:ok, sketch} = AdTally.Sketch.from_binary(bytes)
      iex> sketch |> AdTally.Sketch.estimate() |> round()
      2
      iex> {:error, error} = AdTally.Sketch.from_binary(binary_part(bytes, 0, 10))
      iex> {error.field, Exception.message(error)}
      {:length, "not a DataSketches HLL sketch: 16 bytes are needed, there are 10"}
  """
  @spec from_binary(binary(), secret: <<_::128>> | nil) :: {:ok, t()} | {:error, FormatError.t()}
  def from_binary(bytes, options \\ [])

  def from_binary(bytes, options) when is_binary(bytes) do
    secret = options |> Options.known!([:secret]) |> Options.secret!()

    with {:error, field, reason} <- Native.sketch_from_binary(bytes, secret) do
      {:error, %FormatError{field: field, reason: reason}}
    end
  end

  def from_binary(other, _options),
    do: raise(ArgumentError, "expected a binary, got: #{Options.shown(other)}")

  @doc """
  As `from_binary/2`, but returns the sketch or raises `AdTally.Sketch.FormatError`.

      iex> AdTally.Sketch.from_binary!(<<2, 1, 7, 12, 3, 8, 1, 8, 0x2B, 0xF2, 0xFB, 0x06>>)
      AdTally.Sketch.from_users([1])
  """
  @spec from_binary!(binary(), secret: <<_::128>> | nil) :: t()
  def from_binary!(bytes, options \\ []) do
    case from_binary(bytes, options) do
      {:ok, sketch} -> sketch
      {:error, error} -> raise error
    end
  end

  # Not by inspect/1, which comes back here for a struct of this name with wrong fields.
  @spec not_a_sketch!(term()) :: no_return()
  defp not_a_sketch!(other) do
    raise ArgumentError, "expected an AdTally.Sketch, got: #{Options.shown(other)}"
  end

  defp deviations!(deviations) when deviations in 1..3, do: deviations

  defp deviations!(other) do
    raise ArgumentError, "expected 1, 2 or 3 standard deviations, got: #{Options.shown(other)}"
  end

  defimpl Inspect do
    import Inspect.Algebra

    # Kilobytes of registers would be of no use.
    def inspect(sketch, options) do
      shown = [
        precision: AdTally.Sketch.precision(sketch),
        estimate: Float.round(AdTally.Sketch.estimate(sketch), 1)
      ]

      concat(["#AdTally.Sketch<", to_doc(shown, options), ">"])
    rescue
      # A struct of that name with wrong fields.
      ArgumentError -> Inspect.Any.inspect(sketch, options)
    end
  end
end
