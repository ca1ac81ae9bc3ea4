defmodule AdTally.Web.Listener do
  @moduledoc false
  # The HTTP server of a page: httpd of OTP's :inets, outside of its supervision, with a module of ours that answers
  # every request.

  require Logger

  alias AdTally.Web.Config

  # Browsers have six connections to a server each.
  @most_clients 128
  @most_requests 10_000

  # Seconds that a connection may be without a request, or a request may take to come.
  @keep_alive 15

  # Nobody has anything to send.
  @most_body 1_024
  @most_uri 10_000
  @most_headers 16_384

  @doc false
  def child_spec(config) do
    %{id: __MODULE__, start: {__MODULE__, :start_link, [config]}, type: :supervisor}
  end

  @spec start_link(Config.t()) :: {:ok, pid()} | {:error, term()}
  def start_link(config) do
    case :inets.start(:httpd, options(config), :stand_alone) do
      {:ok, server} ->
        Logger.info("#{inspect(config.name)} is at #{address(config, port(server))}")
        {:ok, server}

      {:error, reason} ->
        {:error, reason(config, reason)}
    end
  end

  defp options(%{ip: ip} = config) do
    [
      port: config.port,
      bind_address: ip,
      ipfamily: if(tuple_size(ip) == 4, do: :inet, else: :inet6),
      server_name: ~c"AdTally",
      server_tokens: :prod,
      # No file is read from there.
      server_root: :code.root_dir(),
      document_root: :code.root_dir(),
      modules: [AdTally.Web.Handler],
      max_clients: @most_clients,
      max_keep_alive_request: @most_requests,
      keep_alive_timeout: @keep_alive,
      max_uri_size: @most_uri,
      max_header_size: @most_headers,
      max_body_size: @most_body,
      max_content_length: @most_body,
      ad_tally_web: config.name
    ]
  end

  # The one that was found, where any was asked for.
  defp port(server) do
    [{{_module, _ip, port, _profile}, _pid, _type, _modules}] = Supervisor.which_children(server)
    port
  end

  @doc "The address of a page that listens, or `nil`."
  @spec address(Config.t(), supervisor :: pid()) :: String.t() | nil
  def address(config, server) when is_pid(server), do: address(config, port(server))

  def address(config, port) do
    host = config.ip |> :inet.ntoa() |> List.to_string()
    host = if tuple_size(config.ip) == 8, do: "[#{host}]", else: host
    "http://#{host}:#{port}/"
  end

  defp reason(config, reason) do
    where = "port #{config.port} of #{:inet.ntoa(config.ip)}"

    case cause(reason) do
      :eaddrinuse ->
        "expected #{where} to be free: something else listens there, or another AdTally.Web does"

      :eacces ->
        "expected #{where} to be one that this user may listen on: take one above 1023"

      :eaddrnotavail ->
        "expected #{:inet.ntoa(config.ip)} to be an address of this machine"

      other ->
        {where, other}
    end
  end

  # What supervisors within httpd say of each other.
  defp cause({:shutdown, reason}), do: cause(reason)
  defp cause({:failed_to_start_child, _child, reason}), do: cause(reason)
  defp cause({:listen, reason}), do: reason
  defp cause({:already_started, _pid}), do: :eaddrinuse
  defp cause(other), do: other
end
