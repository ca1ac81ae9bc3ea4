defmodule AdTally.Admission do
  @moduledoc """
  Decides frequency cap and budget as one step: whether an ad server may show an ad of a campaign to a user, in one
  native call.

      children = [
        {AdTally.Store, name: MyApp.Store, dir: "/var/lib/my_app/ads"},
        {AdTally.FrequencyCap, name: MyApp.Caps, store: MyApp.Store},
        {AdTally.Pacer, name: MyApp.Pacer, store: MyApp.Store}
      ]

      iex> {:ok, _caps} = AdTally.FrequencyCap.start_link(name: Capping, capacity: 1_000)
      iex> {:ok, _pacer} = AdTally.Pacer.start_link(name: Budgeting)
      iex> AdTally.Pacer.put(Budgeting, 42, budget_micros: 1_000_000)
      iex> once = AdTally.FrequencyCap.rules!([{1, :timer.hours(1)}])
      iex> at = System.system_time(:millisecond)
      iex> parts = {Capping, Budgeting}
      iex> AdTally.Admission.admissible(parts, "ann", [{41, once}, {42, once}], "r-1", at)
      [42]
      iex> {:ok, reservation} = AdTally.Admission.admit(parts, 42, "ann", once, "r-1", 2_500, at)
      iex> AdTally.Admission.admit(parts, 42, "ann", once, "r-2", 2_500, at)
      {:capped, {1, 3_600_000}}
      iex> AdTally.Pacer.confirm(Budgeting, reservation, 1_240, at)
      :ok

  The first argument is a pair: a table of caps or its name, and the name of a pacer. The scope of the cap is the
  campaign. When the ad was shown, confirm the reservation by `AdTally.Pacer.confirm/4`. If it was not shown after all,
  call `release/2`, which also takes back the event of the cap.

  If both have the same `AdTally.Store`, they agree after a crash: the cap is counted and the money reserved, or
  neither.
  """

  alias AdTally.{FrequencyCap, Named, Native, Options, Pacer}

  require Named

  @typedoc "Caps and a pacer."
  @type parts :: {FrequencyCap.table(), Pacer.name()}

  @default_ttl 60_000

  @doc """
  Checks whether a campaign takes part in a request, whether a rule blocks it for the user, and whether there is money,
  in this order. If all three let it through, it counts the event and reserves the money as one step.

    * `{:ok, reservation}` - the ad may be shown, as in `AdTally.Pacer.reserve/6`
    * `{:capped, rule}` - that rule blocks, as in `AdTally.FrequencyCap.admit/5`
    * `:paced`, `:no_budget`, `:unknown` - as in `AdTally.Pacer.reserve/6`
    * `{:error, reason}` - as in both: `:future`, `:too_old`, `:full` or `:busy`

  Only with `{:ok, reservation}` is anything counted or held. If the same request asks again while its reservation
  lives, it gets the same one, and the event is counted once.

  The option `:ttl` is that of `AdTally.Pacer.reserve/6`. It raises what both functions raise.

      iex> {:ok, _pacer} = AdTally.Pacer.start_link(name: Admitting)
      iex> AdTally.Pacer.put(Admitting, 42, budget_micros: 1_000_000)
      iex> caps = AdTally.FrequencyCap.new(capacity: 1_000)
      iex> at = System.system_time(:millisecond)
      iex> admit = fn -> AdTally.Admission.admit({caps, Admitting}, 42, "ann", [{1, 3_600_000}], "r-1", 2_500, at) end
      iex> admit.() == admit.()
      true
      iex> AdTally.FrequencyCap.count(caps, 42, "ann", 3_600_000, at)
      1
  """
  @spec admit(
          parts(),
          Pacer.campaign(),
          FrequencyCap.user(),
          FrequencyCap.rules(),
          Pacer.request(),
          max_price_micros :: pos_integer(),
          Pacer.at(),
          ttl: pos_integer()
        ) ::
          {:ok, Pacer.reservation()}
          | {:capped, FrequencyCap.rule()}
          | :paced
          | :no_budget
          | :unknown
          | {:error, FrequencyCap.reason()}
  def admit(parts, campaign, user, rules, request, max_price_micros, at, options \\ [])

  def admit({caps, pacer}, campaign, user, {compiled, answers}, request, price, at, options) do
    caps = caps!(caps)
    pacer = Pacer.native!(pacer)
    ttl = ttl!(options)

    case Native.admission_admit(caps, pacer, campaign, user, compiled, request, price, at, ttl) do
      rule when is_integer(rule) -> elem(answers, rule)
      answer -> answer
    end
  end

  def admit({_caps, _pacer} = parts, campaign, user, rules, request, price, at, options),
    do:
      admit(
        parts,
        campaign,
        user,
        FrequencyCap.compiled!(rules),
        request,
        price,
        at,
        options
      )

  def admit(parts, _campaign, _user, _rules, _request, _price, _at, _options),
    do: no_parts!(parts)

  defp ttl!([]), do: @default_ttl
  defp ttl!(ttl: ttl), do: ttl
  defp ttl!(options), do: Options.known!(options, [:ttl])

  @doc """
  Takes back what was admitted: the event, as `AdTally.FrequencyCap.release/4`, and the money, as
  `AdTally.Pacer.release/2`. It returns what the latter returns. A reservation that was made by
  `AdTally.Pacer.reserve/6` has no event to take back.

  If another node has admitted it, it is taken back there, the event in the caps of the same name. If `caps` is a table
  without a name, only the money is taken back.

      iex> {:ok, _pacer} = AdTally.Pacer.start_link(name: Withdrawing)
      iex> AdTally.Pacer.put(Withdrawing, 42, budget_micros: 1_000_000)
      iex> caps = AdTally.FrequencyCap.new(capacity: 1_000)
      iex> at = System.system_time(:millisecond)
      iex> parts = {caps, Withdrawing}
      iex> {:ok, reservation} = AdTally.Admission.admit(parts, 42, "ann", [{1, 3_600_000}], "r-1", 2_500, at)
      iex> AdTally.Admission.release(parts, reservation)
      :ok
      iex> AdTally.FrequencyCap.count(caps, 42, "ann", 3_600_000, at)
      0
  """
  @spec release(parts(), Pacer.reservation()) ::
          :ok | {:error, :confirmed | :unknown | :unreachable | :busy}
  def release({caps, pacer}, reservation) do
    case Native.admission_release(caps!(caps), Pacer.native!(pacer), reservation) do
      # That node has counted the event, too.
      {:elsewhere, node} -> Pacer.elsewhere(pacer, node, elsewhere(caps, reservation))
      answer -> answer
    end
  end

  def release(parts, _reservation), do: no_parts!(parts)

  @doc """
  Returns those of a list of campaigns that may be shown to a user for a request: they take part, no rule blocks them,
  and they have money on this node. They are in the order of the list. It is one call for all of them. Each campaign has
  compiled rules or a list of rules.

  Nothing is counted and nothing held, so `admit/8` may still refuse one of them a moment later. `{:error, reason}` is as
  in `AdTally.FrequencyCap.admissible/4`.

      iex> {:ok, _pacer} = AdTally.Pacer.start_link(name: Choosing)
      iex> AdTally.Pacer.put(Choosing, 42, budget_micros: 1_000_000)
      iex> caps = AdTally.FrequencyCap.new(capacity: 1_000)
      iex> at = System.system_time(:millisecond)
      iex> AdTally.Admission.admissible({caps, Choosing}, "ann", [{42, [{1, 3_600_000}]}], "r-1", at)
      [42]
  """
  @spec admissible(
          parts(),
          FrequencyCap.user(),
          [{Pacer.campaign(), FrequencyCap.rules()}],
          Pacer.request(),
          Pacer.at()
        ) :: [Pacer.campaign()] | {:error, FrequencyCap.reason()}
  def admissible({caps, pacer}, user, candidates, request, at),
    do: admissible_from(caps!(caps), Pacer.native!(pacer), user, candidates, request, at, 0)

  def admissible(parts, _user, _candidates, _request, _at), do: no_parts!(parts)

  # `from` is the index of the first candidate.
  defp admissible_from(caps, pacer, user, candidates, request, at, from) do
    case Native.admission_admissible(caps, pacer, candidates, user, request, at, from) do
      :compile ->
        compiled = FrequencyCap.compile_all(candidates, from)
        admissible_from(caps, pacer, user, compiled, request, at, from)

      {admissible, rest, next} when is_list(admissible) ->
        with more when is_list(more) <-
               admissible_from(caps, pacer, user, rest, request, at, next),
             do: admissible ++ more

      answer ->
        answer
    end
  end

  defp elsewhere(name, reservation) when is_atom(name), do: {:release, name, reservation}
  defp elsewhere(_table, reservation), do: {:release, reservation}

  defp caps!(name) when is_atom(name), do: Named.fetch!(FrequencyCap, name)
  defp caps!(table), do: table

  defp no_parts!(parts) do
    raise ArgumentError,
          "expected a pair of caps and the name of a pacer, such as {MyApp.Caps, MyApp.Pacer}, got: " <>
            Options.shown(parts)
  end
end
