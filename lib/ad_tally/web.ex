defmodule AdTally.Web do
  @moduledoc """
  A live page of everything that AdTally measures in this VM, and the same data as JSON and for Prometheus.

      children = [
        {AdTally.Meter, name: MyApp.Ads, ...},
        {AdTally.Web, port: 4040}
      ]

  Then open `http://127.0.0.1:4040/`. The address is also in the log. The page has five views:

    * Overview - events by outcome, and memory
    * Campaigns - their metrics, and figures that follow from them, such as CTR and eCPM
    * one campaign - its metrics over time, and its budgets
    * Attribution - all models side by side
    * Health - what is wrong, and what to do

  The page is read-only: the server answers `GET` and `HEAD`, and nothing else. It needs only OTP, whose `:inets` has
  the server.

      iex> options = [name: Shown, dimensions: [:campaign], metrics: [:impressions, :spend_micros]]
      iex> {:ok, _meter} = AdTally.Meter.start_link(options)
      iex> now = System.system_time(:millisecond)
      iex> shown = %AdTally.Event{at: now, dimensions: {42}, metrics: [impressions: 1_000, spend_micros: 1_250_000]}
      iex> :ok = AdTally.Meter.record(Shown, shown)
      iex> {:ok, _page} = AdTally.Web.start_link(name: ShownPage, port: false)
      iex> query = "meter=Shown&sort=spend&limit=10"
      iex> {200, _headers, json} = AdTally.Web.response("GET", "/api/campaigns", query, [], name: ShownPage)
      iex> IO.iodata_to_binary(json) =~ ~s("ecpm_micros":1250000)
      true

  ## Who may see it

  By default every user of this machine, and nobody else. The server listens on 127.0.0.1, and answers only requests
  whose `Host` is `localhost`, `127.0.0.1` or `[::1]`. So no other web site can read it through a browser of this machine
  (DNS rebinding). On any other address it needs a `:token`:

      {AdTally.Web, port: 4040, ip: {0, 0, 0, 0}, token: System.fetch_env!("AD_TALLY_TOKEN")}

  Programs send the token in a header: `authorization: Bearer TOKEN`. In a browser, open `http://host:4040/?token=TOKEN`
  once: this sets a cookie. The server speaks plain HTTP. On a network that you do not trust, put a proxy with TLS in
  front of it, and add the name of the proxy to `:hosts`.

  ## Behind your own endpoint

  With `port: false` no server is started. Your own endpoint authenticates the requests, and `response/5` answers them.
  A Plug:

      def call(conn, _options) do
        path = "/" <> Enum.join(conn.path_info, "/")
        {status, headers, body} = AdTally.Web.response(conn.method, path, conn.query_string, conn.req_headers)
        conn |> Plug.Conn.merge_resp_headers(headers) |> Plug.Conn.send_resp(status, body)
      end

  The page asks for everything relative to its own address. So that address must end with a `/`, as `/ads/` does.

  ## Addresses

  | path | what |
  | --- | --- |
  | `/` | the page |
  | `/metrics` | the metrics of `AdTally.Metrics.Prometheus`, as OpenMetrics if the client accepts that |
  | `/health` | 200, or 503 if data is lost or will be, with all problems; without the token only the status |
  | `/api/overview` | totals, rates and memory of all parts |
  | `/api/series?of=NAME&of=NAME&step=1` | a point for each of the last 120 seconds, or with `step=60` for each of 1,440 minutes; without `of` the names of all series |
  | `/api/campaigns?meter=NAME&sort=spend&order=desc&limit=200&search=TEXT&nodes=this` | the campaigns of a meter; with `nodes=all` of the meters of this name on all nodes, and then without attribution |
  | `/api/campaign?meter=NAME&key=KEY` | one campaign |
  | `/api/attribution?name=NAME&dimension=NAME` | all models side by side |
  | `/api/health` | what is wrong and what to do, windows, stores, leases |

  Integers beyond 2^53 are strings, because a browser would round them. `null` is a figure that is not known, or a
  division by 0. An error is `{"error": "not_found", "message": "there is no meter named ..."}`.

  ## What it costs

  It takes a snapshot each second (`AdTally.Metrics.snapshot/0`), and keeps at most 1,000 series of twelve kilobytes each.

  Campaigns and attribution come from reports. A report is made only while somebody looks, and once for all viewers.
  After it the page waits 300 times as long as it took, at most 300 seconds: after a report of 10 ms, three seconds. So
  each report takes at most a third of a percent of a core, unless it takes more than a second. Each view and each
  campaign that somebody looks at has a report of its own. With one view open, the page takes about a hundredth of a core
  in all. Figures of ten thousand campaigns may be a minute old. Each answer has the time of its data.

  One report is made at a time, and at most 32 others wait. A report for which there is no room is answered with 503.

  These reports are about windows that are open or retained: see `:retain` of `AdTally.Meter.start_link/1`. Of more than
  10,000 campaigns the page shows those with the highest spend.
  """

  use Supervisor

  alias AdTally.Web.{Config, Listener, Reports, Response, Series}

  @typedoc "An option of `start_link/1`."
  @type option ::
          {:name, atom()}
          | {:port, :inet.port_number() | false}
          | {:ip, :inet.ip_address()}
          | {:token, String.t() | nil}
          | {:hosts, [String.t()]}
          | {:roles, [{role(), metric :: atom() | nil}]}
          | {:campaign, atom() | nil}
          | {:top, 0..1_000}

  @typedoc "What a metric is."
  @type role :: :impressions | :clicks | :conversions | :spend | :value

  @doc "A page as a child of a supervisor, which may have several."
  @spec child_spec([option()]) :: Supervisor.child_spec()
  def child_spec(options) do
    name = if Keyword.keyword?(options), do: Keyword.get(options, :name, __MODULE__), else: nil

    %{
      id: {__MODULE__, name},
      start: {__MODULE__, :start_link, [options]},
      type: :supervisor
    }
  end

  @doc """
  Starts a page. As a child of a supervisor it is `{AdTally.Web, options}`.

  ## Options

    * `:name` - the name of its process. Default: `AdTally.Web`.
    * `:port` - the port that it listens on, 0 for any free one (see `address/1`), or `false` for no server.
      Default: 4040.
    * `:ip` - the address that it listens on, a tuple. Default: `{127, 0, 0, 1}`.
    * `:token` - what a client has to send to see anything, at least 16 bytes of visible ASCII. Required unless `:ip`
      is a loopback address or `:port` is `false`. Default: `nil`, for none.
    * `:hosts` - names by which clients reach it, without port: `["ads.example.com"]`. On a loopback address
      `localhost`, `127.0.0.1` and `[::1]` are always among them. Elsewhere every name is right if none is given.
    * `:roles` - which metrics are `:impressions`, `:clicks`, `:conversions`, `:spend` and `:value` (the last two in
      micros): `[impressions: :served, spend: :media_cost_micros]`, or `nil` for none. A role that is not given, or
      whose metric a meter does not have, is guessed from usual names, such as `:impressions` and `:spend_micros`. A
      metric without a role is a plain column.
    * `:campaign` - the dimension that is the campaign. By default, and for meters that do not have it, this is
      `:campaign`, `:campaign_id`, `:line_item` or `:ad_group`, the first of these that there is, or else the first
      dimension.
    * `:top` - how many campaigns of each meter have series in `/metrics`: see
      `AdTally.Metrics.Prometheus.render/1`. Default: 0.

  Raises `ArgumentError` for an option that is unknown or wrong. Returns `{:error, reason}` if it cannot listen.
  """
  @spec start_link([option()]) :: Supervisor.on_start()
  def start_link(options) do
    config = Config.new!(options)
    Supervisor.start_link(__MODULE__, config, name: config.name)
  end

  @impl true
  def init(config) do
    listener = if config.port == false, do: [], else: [{Listener, config}]
    Supervisor.init([{Series, config}, {Reports, config}] ++ listener, strategy: :one_for_one)
  end

  @doc """
  Answers a request with a status, headers and a body, for servers other than its own.

    * `method` - `"GET"` or `"HEAD"`; any other one is answered with 405
    * `path` - relative to the address of the page: `"/"`, `"/api/overview"`
    * `query` - as the client sent it, without the `?`
    * `headers` - a list of names and values; names are in lower case

  The option `:name` is the name of the page. Default: `AdTally.Web`. Raises `ArgumentError` if no page of that name runs.

      iex> {:ok, _page} = AdTally.Web.start_link(name: Answering, port: false)
      iex> {405, headers, _body} = AdTally.Web.response("POST", "/", "", [], name: Answering)
      iex> List.keyfind(headers, "allow", 0)
      {"allow", "GET, HEAD"}
  """
  @spec response(
          method :: String.t(),
          path :: String.t(),
          query :: String.t(),
          headers :: [{String.t(), String.t()}],
          name: atom()
        ) :: {status :: pos_integer(), [{String.t(), String.t()}], iodata()}
  def response(method, path, query, headers, options \\ []) do
    options = AdTally.Options.known!(options, [:name])
    Response.to(config!(options), method, path, query, headers)
  end

  defp config!(options) do
    name = Keyword.get(options, :name, __MODULE__)

    case if(is_atom(name), do: Series.config(name)) do
      %{} = config ->
        config

      nil ->
        raise ArgumentError,
              "there is no AdTally.Web named #{AdTally.Options.shown(name)} that runs: start it under a supervisor, " <>
                "with port: false if requests come from elsewhere"
    end
  end

  @doc """
  The URL of a page, `nil` with `port: false`.

      iex> {:ok, _page} = AdTally.Web.start_link(name: Listening, port: 0)
      iex> "http://127.0.0.1:" <> _port = AdTally.Web.address(Listening)
  """
  @spec address(atom()) :: String.t() | nil
  def address(name \\ __MODULE__) do
    config = config!(name: name)

    name
    |> Supervisor.which_children()
    |> Enum.find_value(fn {id, pid, _type, _modules} ->
      if id == Listener and is_pid(pid), do: Listener.address(config, pid)
    end)
  end
end
