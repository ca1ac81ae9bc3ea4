defmodule AdTally.Web do
  @moduledoc """
  A live page of everything that AdTally measures in this VM, and the same data as JSON and for Prometheus.

      children = [
        {AdTally.Meter, name: MyApp.Ads, ...},
        {AdTally.Web, port: 4040}
      ]

  Then open `http://127.0.0.1:4040/`, whose address is logged at the start. The page shows events by outcome and memory
  (Overview), campaigns with what follows from their metrics, one campaign in time and with its budgets, models of
  attribution side by side, and what is wrong (Health). It changes nothing: only `GET` and `HEAD` are answered.

  Nothing but OTP is needed: the server is httpd of `:inets`.

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

  By default everybody on this machine, and nobody else: it listens on 127.0.0.1, and answers only if it is asked by
  a name of this machine, so that no page of somebody else can read it in a browser (DNS rebinding). On any other
  address it needs a `:token`:

      {AdTally.Web, port: 4040, ip: {0, 0, 0, 0}, token: System.fetch_env!("AD_TALLY_TOKEN")}

  Programs send it as `authorization: Bearer TOKEN`. In a browser open `http://host:4040/?token=TOKEN` once: that
  sets a cookie. It is plain HTTP. So put a proxy with TLS before it where the network is not yours, with the
  proxy's name in `:hosts`.

  ## Behind your own endpoint

  With `port: false` there is no server. Then `response/5` answers requests that your own endpoint gets, behind its
  own authentication. A Plug:

      def call(conn, _options) do
        path = "/" <> Enum.join(conn.path_info, "/")
        {status, headers, body} = AdTally.Web.response(conn.method, path, conn.query_string, conn.req_headers)
        conn |> Plug.Conn.merge_resp_headers(headers) |> Plug.Conn.send_resp(status, body)
      end

  The page asks for addresses relative to its own, which has to end with a `/`: `/ads/`, say.

  ## Addresses

  | path | what |
  | --- | --- |
  | `/` | the page |
  | `/metrics` | what `AdTally.Metrics.Prometheus` has, as OpenMetrics where the client reads that |
  | `/health` | 200, or 503 if something is lost or will be, with what is wrong; without the token only whether |
  | `/api/overview` | totals, rates and memory of everything |
  | `/api/series?of=NAME&of=NAME&step=1` | points of the last 120 seconds, or with `step=60` of 1,440 minutes; without `of` the names |
  | `/api/campaigns?meter=NAME&sort=spend&order=desc&limit=200&search=TEXT&nodes=this` | the campaigns of a meter, with `nodes=all` of those of that name on all nodes, then without an attribution |
  | `/api/campaign?meter=NAME&key=KEY` | one of them |
  | `/api/attribution?name=NAME&dimension=NAME` | models side by side |
  | `/api/health` | what is wrong and what to do, windows, stores, leases |

  Integers that a browser would round, beyond 2^53, are strings. What is not known, or would be divided by 0, is `null`.
  An error is `{"error": "not_found", "message": "there is no meter named ..."}`.

  ## What it costs

  A snapshot each second (`AdTally.Metrics.snapshot/0`), from which at most 1,000 series of twelve kilobytes each are kept.
  Campaigns and attribution are reports: one is made for all viewers, not before two hundred times as long as the last
  one took, and none if nobody looks. So a page that is open takes at most about a hundredth of a core, and what it
  shows of ten thousand campaigns may be half a minute old: each answer has the time of its data.

  Campaigns are those of windows that are open or retained, see `:retain` of `AdTally.Meter.start_link/1`. A meter with
  more than 10,000 campaigns shows the 10,000 with the highest spend.
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
    * `:port` - where it listens, 0 for any port that is free (see `address/1`), or `false` for no server. Default: 4040.
    * `:ip` - the address that it listens on, a tuple. Default: `{127, 0, 0, 1}`.
    * `:token` - what has to be sent to see anything, at least 16 bytes of visible ASCII. Required where `:ip` is not
      of this machine alone. Default: `nil`, for none.
    * `:hosts` - names, without port, that it is asked by: `["ads.example.com"]`. On an address of this machine
      `localhost`, `127.0.0.1` and `[::1]` are among them, and on others any name is, if none is given.
    * `:roles` - which metrics are `:impressions`, `:clicks`, `:conversions`, `:spend` and `:value` (both in micros):
      `[impressions: :served, spend: :media_cost_micros]`, with `nil` for none. Those of meters that have no metric
      of that name, and those that are not given, are guessed from usual names, such as `:impressions` and
      `:spend_micros`. A metric without a role is a plain column.
    * `:campaign` - the dimension that is the campaign, of meters that have it. Default: `:campaign`,
      `:campaign_id`, `:line_item` or `:ad_group`, whichever there is, or else the first dimension.
    * `:top` - of how many campaigns of each meter `/metrics` has series, as `AdTally.Metrics.Prometheus.render/1`
      says. Default: 0.

  Raises `ArgumentError` for an option that is unknown or wrong. `{:error, _}` says why it cannot listen.
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
  The answer to a request, with status, headers and body: what the server says, for any other one.

    * `method` - `"GET"` or `"HEAD"`, others are answered with 405
    * `path` - below the place where the page is: `"/"`, `"/api/overview"`
    * `query` - as it was sent, without the `?`
    * `headers` - a list of names in lower case and values

  The option `:name` is the page's. Default: `AdTally.Web`. Raises `ArgumentError` if none of that name runs.

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
  Where a page is, `nil` with `port: false`.

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
