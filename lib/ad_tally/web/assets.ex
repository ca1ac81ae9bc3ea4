defmodule AdTally.Web.Assets do
  @moduledoc false
  # The files of the page, of priv/web. They are part of this module: what a request names is looked up here, and
  # never in a file system.

  @files [
    {"index.html", "text/html; charset=utf-8"},
    {"app.js", "text/javascript; charset=utf-8"},
    {"app.css", "text/css; charset=utf-8"},
    {"uPlot.iife.min.js", "text/javascript; charset=utf-8"},
    {"uPlot.min.css", "text/css; charset=utf-8"},
    {"favicon.svg", "image/svg+xml"}
  ]

  @dir Path.expand("../../../priv/web", __DIR__)

  for {name, _type} <- @files, do: @external_resource(Path.join(@dir, name))

  @found for {name, type} <- @files,
             {:ok, bytes} <- [File.read(Path.join(@dir, name))],
             into: %{},
             do:
               {name,
                {type, ~s("#{Base.url_encode64(:erlang.md5(bytes), padding: false)}"), bytes}}

  @doc "Content type, entity tag and bytes of a file by its name, or `nil`."
  @spec fetch(binary()) :: {type :: binary(), etag :: binary(), binary()} | nil
  def fetch(name), do: Map.get(@found, name)

  @doc "The names of all of them."
  @spec names() :: [binary()]
  def names, do: Enum.map(@files, &elem(&1, 0))
end
