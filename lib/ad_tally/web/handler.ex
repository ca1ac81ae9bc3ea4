defmodule AdTally.Web.Handler do
  @moduledoc false
  # What httpd calls for a request, in the process of the connection.

  require Logger

  alias AdTally.Web.{Response, Series}

  # Milliseconds after which a client that does not read what it has asked for is cut off.
  @send_timeout 10_000

  # The record `mod` of :inets' httpd.hrl, as its documentation has it. Not every installation has the file.
  @doc false
  def unquote(:do)(
        {:mod, _init, _data, _socket_type, socket, config_db, method, _absolute_uri, uri,
         _version, _line, headers, _body, _connection}
      ) do
    # Not an option of httpd: OTP 25 takes those of sockets only with port 0.
    :inet.setopts(socket, send_timeout: @send_timeout, send_timeout_close: true)
    name = :httpd_util.lookup(config_db, :ad_tally_web)
    {status, headers, body} = answer(name, method, uri, headers)
    headers = for {name, value} <- headers, do: {to_charlist(name), to_charlist(value)}
    {:break, [response: {:response, [{:code, status} | headers], [body]}]}
  end

  # While the page is restarted, there is nothing to be read.
  defp answer(name, method, uri, headers) do
    case Series.config(name) do
      nil -> failed(503, "the page is being restarted: ask again")
      config -> answer_with(config, method, uri, headers)
    end
  catch
    kind, reason ->
      Logger.error(
        "a request of AdTally.Web has failed: " <> Exception.format(kind, reason, __STACKTRACE__)
      )

      failed(500, "this request has failed: see the log")
  end

  defp answer_with(config, method, uri, headers) do
    {path, query} = split(text(uri))
    headers = for {name, value} <- headers, do: {text(name), text(value)}
    Response.to(config, text(method), path, query, headers)
  end

  defp split(uri) do
    case :binary.split(uri, "?") do
      [path, query] -> {path, query}
      [path] -> {path, ""}
    end
  end

  # httpd has bytes.
  defp text(bytes), do: :erlang.list_to_binary(bytes)

  defp failed(status, message) do
    body = [AdTally.Web.JSON.encode(%{error: "unavailable", message: message}), ?\n]
    length = body |> IO.iodata_length() |> Integer.to_string()

    {status, [{"content-type", "application/json; charset=utf-8"}, {"content-length", length}],
     body}
  end
end
