defmodule AdTally.Web.Response do
  @moduledoc false
  # From a request to its answer: who asks, what for, and how that is written.

  alias AdTally.Metrics.Prometheus

  alias AdTally.Web.{
    Access,
    Assets,
    Attributed,
    Campaign,
    Campaigns,
    Config,
    Health,
    JSON,
    Overview,
    Query,
    Series
  }

  @type t :: {status :: pos_integer(), headers :: [{binary(), binary()}], body :: iodata()}

  # Whatever users put into dimensions: the page runs its own script alone, and asks nobody else.
  @headers [
    {"content-security-policy",
     "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"},
    {"x-content-type-options", "nosniff"},
    {"x-frame-options", "DENY"},
    {"referrer-policy", "no-referrer"},
    {"cross-origin-resource-policy", "same-origin"}
  ]

  @json {"content-type", "application/json; charset=utf-8"}
  @no_store {"cache-control", "no-store"}
  @methods ["GET", "HEAD"]

  # Of a list of steps.
  @most_series 32

  @paths ~w(/ /metrics /health /api/overview /api/series /api/campaigns /api/campaign /api/attribution /api/health)

  @doc "The answer to a request."
  @spec to(Config.t(), binary(), binary(), binary(), [{binary(), binary()}]) :: t()
  def to(config, method, path, query, headers) do
    {status, fields, body} = answer(config, method, path, query, headers)
    fields = fields ++ @headers ++ content_length(status, body)
    {status, fields, if(method == "HEAD", do: "", else: body)}
  end

  # That of a 304, which has no body, would be the length of the file (RFC 9110, 8.6).
  defp content_length(304, _body), do: []

  defp content_length(_status, body),
    do: [{"content-length", Integer.to_string(IO.iodata_length(body))}]

  # Who may not see anything is not told what there is.
  defp answer(config, method, path, query, headers) do
    with :ok <- Access.host(config, headers),
         :ok <- method(method),
         {:ok, query} <- Query.parse(query) do
      case {Access.token(config, query, headers), path} do
        {:ok, _path} -> get(path, config, query, headers)
        # A browser that comes from another page sends the cookie with requests of this one alone.
        {{:ok, cookie}, "/"} -> again(cookie)
        {{:ok, cookie}, _path} -> path |> get(config, query, headers) |> with_headers(cookie)
        {{:error, _status, _message}, "/health"} -> health(config, false)
        {{:error, 401, message}, "/"} -> asked(message)
        {error, _path} -> error(error) |> with_headers([{"www-authenticate", "Bearer"}])
      end
    else
      {:error, 405, message} ->
        error({:error, 405, message}) |> with_headers([{"allow", "GET, HEAD"}])

      error ->
        error(error)
    end
  end

  defp method(method) when method in @methods, do: :ok

  defp method(method) do
    {:error, 405, "expected GET or HEAD, got #{Query.shown(method)}: this page changes nothing"}
  end

  defp with_headers({status, headers, body}, more), do: {status, more ++ headers, body}

  defp again(cookie) do
    page =
      ~s(<!doctype html><html lang="en"><meta charset="utf-8"><title>AdTally</title>) <>
        ~s(<meta http-equiv="refresh" content="0;url=./"><a href="./">AdTally</a></html>\n)

    {200, cookie ++ [{"content-type", "text/html; charset=utf-8"}, @no_store], page}
  end

  defp asked(message) do
    {401,
     [{"content-type", "text/plain; charset=utf-8"}, @no_store, {"www-authenticate", "Bearer"}],
     [message, ?\n]}
  end

  defp get("/", _config, _query, headers), do: asset("index.html", headers)

  defp get("/metrics", config, _query, headers) do
    accept = for {"accept", value} <- headers, do: value
    format = accept |> Enum.join(", ") |> Prometheus.accepted()

    {200, [{"content-type", Prometheus.content_type(format)}, @no_store],
     Prometheus.render(format: format, top: config.top)}
  end

  defp get("/health", config, _query, _headers), do: health(config, true)
  defp get("/api/overview", config, _query, _headers), do: json(200, Overview.answer(config))
  defp get("/api/series", config, query, _headers), do: answered(series(config, query))

  defp get("/api/campaigns", config, query, _headers),
    do: answered(Campaigns.answer(config, query))

  defp get("/api/campaign", config, query, _headers), do: answered(Campaign.answer(config, query))
  defp get("/api/health", config, _query, _headers), do: json(200, Health.answer(config))

  defp get("/api/attribution", config, query, _headers),
    do: answered(Attributed.answer(config, query))

  defp get("/" <> name, _config, _query, headers), do: asset(name, headers)
  defp get(path, _config, _query, _headers), do: nothing(path)

  defp asset(name, headers) do
    case Assets.fetch(name) do
      nil -> nothing("/" <> name)
      {type, etag, bytes} -> asset(type, etag, bytes, headers)
    end
  end

  # A browser asks each time whether it is still the same: a new version is seen at once.
  defp asset(type, etag, bytes, headers) do
    fields = [{"content-type", type}, {"etag", etag}, {"cache-control", "no-cache"}]
    known = for {"if-none-match", tags} <- headers, tag <- String.split(tags, ","), do: tag(tag)

    if etag in known or "*" in known,
      do: {304, fields, ""},
      else: {200, fields, bytes}
  end

  defp tag(tag), do: tag |> String.trim() |> String.replace_prefix("W/", "")

  defp nothing(path) do
    error(
      {:error, 404,
       "there is nothing at #{Query.shown(path)}: expected one of #{Enum.join(@paths, ", ")}"}
    )
  end

  defp health(config, details?) do
    {status, problems} = Health.check(config)
    shown = if details?, do: %{status: status, problems: problems}, else: %{status: status}
    json(if(status == :ok, do: 200, else: 503), shown)
  end

  defp series(config, query) do
    with {:ok, step} <- Query.one_of(query, "step", ["1", "60"]),
         names = Query.all(query, "of"),
         true <- length(names) <= @most_series do
      {:ok, series(config, String.to_integer(step), names)}
    else
      false -> {:error, 400, "expected at most #{@most_series} names of series, as `of=`"}
      error -> error
    end
  end

  defp series(config, _step, []) do
    names = for {of, unit} <- Series.names(config.name), do: %{of: of, unit: unit}

    %{
      at: now(),
      steps: AdTally.Web.Ring.sizes() |> Map.new(fn {step, n} -> {"#{step}", n} end),
      names: names
    }
  end

  defp series(config, step, names) do
    {begin, points} = Series.points(config.name, names, step)

    %{
      at: now(),
      step: step,
      begin: begin,
      series: for({of, unit, points} <- points, do: %{of: of, unit: unit, points: points})
    }
  end

  defp now, do: System.system_time(:millisecond)

  defp answered({:ok, json}) when is_binary(json), do: written(200, json)
  defp answered({:ok, answer}), do: json(200, answer)
  defp answered(error), do: error(error)

  defp json(status, term), do: written(status, JSON.encode(term))
  defp written(status, json), do: {status, [@json, @no_store], [json, ?\n]}

  @reasons %{
    400 => "bad_request",
    401 => "unauthorized",
    403 => "forbidden",
    404 => "not_found",
    405 => "method_not_allowed",
    414 => "query_too_long",
    503 => "unavailable"
  }

  defp error({:error, status, message}) do
    retry = if status == 503, do: [{"retry-after", "1"}], else: []

    json(status, %{error: Map.fetch!(@reasons, status), message: message}) |> with_headers(retry)
  end
end
