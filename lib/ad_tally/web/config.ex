defmodule AdTally.Web.Config do
  @moduledoc false
  # The options of a page, checked.

  alias AdTally.{Named, Options}
  alias AdTally.Web.Roles

  @options [:name, :port, :ip, :token, :hosts, :roles, :campaign, :top]

  # 128 random bits have that many bytes, or more as text.
  @shortest_token 16
  @longest_token 1_024

  @loopback ["localhost", "127.0.0.1", "[::1]"]

  @type t :: %{
          name: atom(),
          port: :inet.port_number() | false,
          ip: :inet.ip_address(),
          token: binary() | nil,
          hosts: [binary()] | :any,
          cookie: binary(),
          roles: keyword(atom() | nil),
          campaign: atom() | nil,
          top: 0..1_000
        }

  @spec new!(keyword()) :: t()
  def new!(options) do
    options = Options.known!(options, @options)
    name = name!(Keyword.get(options, :name, AdTally.Web))
    port = port!(Keyword.get(options, :port, 4040))
    ip = ip!(Keyword.get(options, :ip, {127, 0, 0, 1}))
    token = token!(Keyword.get(options, :token), port, ip)

    %{
      name: name,
      port: port,
      ip: ip,
      token: token,
      hosts: hosts!(Keyword.get(options, :hosts, []), port, ip),
      # Browsers keep cookies by host, whatever the port.
      cookie: "ad_tally_#{port || "page"}",
      roles: Roles.new!(Keyword.get(options, :roles, [])),
      campaign: campaign!(Keyword.get(options, :campaign)),
      top: AdTally.Metrics.top!(options)
    }
  end

  defp name!(name) when is_atom(name) and name not in [nil, true, false], do: Named.free!(name)

  defp name!(other),
    do: raise(ArgumentError, "expected :name to be an atom, got: #{Options.shown(other)}")

  defp port!(port) when port == false or port in 0..65_535, do: port

  defp port!(other) do
    raise ArgumentError,
          "expected :port to be an integer from 0 to 65535, 0 for any that is free, or false for no server, got: " <>
            Options.shown(other)
  end

  defp ip!(ip) do
    if :inet.is_ip_address(ip) do
      ip
    else
      raise ArgumentError,
            "expected :ip to be an address as a tuple, such as {127, 0, 0, 1} or {0, 0, 0, 0}, got: " <>
              Options.shown(ip)
    end
  end

  # Nothing of it is shown: it may be a part of the right one.
  defp token!(nil, port, ip) do
    if port == false or loopback?(ip) do
      nil
    else
      raise ArgumentError,
            "expected a :token of at least #{@shortest_token} bytes where :ip is not of this machine alone, as " <>
              "#{:inet.ntoa(ip)} is not"
    end
  end

  defp token!(token, _port, _ip)
       when is_binary(token) and byte_size(token) in @shortest_token..@longest_token do
    if token =~ ~r/\A[\x21-\x7E]+\z/,
      do: token,
      else: raise(ArgumentError, "expected :token to have visible ASCII characters alone")
  end

  defp token!(_other, _port, _ip) do
    raise ArgumentError,
          "expected :token to be a binary of #{@shortest_token} to #{@longest_token} bytes, or nil for none"
  end

  @doc "Whether only this machine has an address."
  @spec loopback?(:inet.ip_address()) :: boolean()
  def loopback?({127, _, _, _}), do: true
  def loopback?({0, 0, 0, 0, 0, 0, 0, 1}), do: true
  def loopback?(_other), do: false

  defp hosts!(hosts, port, ip) do
    unless is_list(hosts) and not List.improper?(hosts) and Enum.all?(hosts, &host?/1) do
      raise ArgumentError,
            "expected :hosts to be a list of names without port, such as \"ads.example.com\", got: " <>
              Options.shown(hosts)
    end

    cond do
      port != false and loopback?(ip) -> @loopback ++ Enum.map(hosts, &String.downcase/1)
      hosts == [] -> :any
      true -> Enum.map(hosts, &String.downcase/1)
    end
  end

  defp host?("[" <> rest), do: String.ends_with?(rest, "]")

  defp host?(host),
    do: is_binary(host) and host != "" and not String.contains?(host, [":", "/", " "])

  defp campaign!(campaign) when is_atom(campaign) and campaign not in [true, false],
    do: campaign

  defp campaign!(other) do
    raise ArgumentError,
          "expected :campaign to be the name of a dimension, an atom, got: #{Options.shown(other)}"
  end
end
