defmodule AdTally.Web.Access do
  @moduledoc false
  # Who may see the page.
  #
  # On a loopback address everybody on the machine may, and the Host of a request has to be one of this machine's:
  # otherwise a page of somebody else, whose name resolves to 127.0.0.1 after it was loaded, could read everything
  # in the browser of whoever looks at it (DNS rebinding). On other addresses a token is needed, of a header, of a
  # cookie, or once in the address, which sets the cookie.

  import Bitwise, only: [bor: 2, bxor: 2]

  alias AdTally.Web.Query

  @type config :: %{
          required(:token) => binary() | nil,
          required(:hosts) => [binary()] | :any,
          required(:cookie) => binary(),
          optional(atom()) => term()
        }

  @doc "Whether the host of a request is one that this is reached by."
  @spec host(config(), headers :: [{binary(), binary()}]) :: :ok | {:error, 403, binary()}
  def host(%{hosts: :any}, _headers), do: :ok

  def host(%{hosts: hosts}, headers) do
    with [host] <- values(headers, "host"),
         true <- name(host) in hosts do
      :ok
    else
      _other ->
        {:error, 403,
         "expected the host to be one of #{Enum.join(hosts, ", ")}: give others that this is reached by as " <>
           "`hosts:` of AdTally.Web"}
    end
  end

  # Without its port, and in lower case.
  defp name(host) do
    case Regex.run(~r/\A(\[[^\]]*\]|[^:\[\]]*)(?::\d*)?\z/, host) do
      [_all, name] -> String.downcase(name, :ascii)
      nil -> nil
    end
  end

  @doc """
  Whether a request has the token: `:ok`, `{:ok, headers}` with one that sets the cookie where the token was in the
  address, or an error.
  """
  @spec token(config(), Query.t(), headers :: [{binary(), binary()}]) ::
          :ok | {:ok, [{binary(), binary()}]} | {:error, 401, binary()}
  def token(%{token: nil}, _query, _headers), do: :ok

  def token(%{token: token, cookie: cookie}, query, headers) do
    cond do
      Enum.any?(bearers(headers), &equal?(&1, token)) ->
        :ok

      Enum.any?(cookies(headers, cookie), &equal?(&1, session(token))) ->
        :ok

      Enum.any?(Query.all(query, "token"), &equal?(&1, token)) ->
        {:ok,
         [
           {"set-cookie", "#{cookie}=#{session(token)}; Path=/; HttpOnly; SameSite=Strict"}
         ]}

      true ->
        {:error, 401,
         "expected the token of AdTally.Web, as `authorization: Bearer TOKEN`, or once as `?token=TOKEN` in a browser"}
    end
  end

  # As a cookie may have it.
  defp session(token), do: Base.url_encode64(token, padding: false)

  # The time that it takes tells nothing of the token but its length.
  defp equal?(given, token) when byte_size(given) == byte_size(token) do
    differences =
      for {one, other} <- Enum.zip(:erlang.binary_to_list(given), :erlang.binary_to_list(token)),
          reduce: 0,
          do: (differences -> bor(differences, bxor(one, other)))

    differences == 0
  end

  defp equal?(_given, _token), do: false

  defp bearers(headers) do
    for value <- values(headers, "authorization"),
        <<scheme::binary-7, given::binary>> <- [value],
        String.downcase(scheme, :ascii) == "bearer ",
        do: String.trim(given)
  end

  defp cookies(headers, cookie) do
    for value <- values(headers, "cookie"),
        pair <- String.split(value, ";"),
        [^cookie, given] <- [pair |> String.trim() |> String.split("=", parts: 2)],
        do: given
  end

  defp values(headers, name), do: for({^name, value} <- headers, do: value)
end
