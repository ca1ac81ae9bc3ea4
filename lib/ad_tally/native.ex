defmodule AdTally.Native do
  @moduledoc false
  # The functions of native/ad_tally_nif, one stub each, in the order of its
  # modules. The public modules check options and shape results.

  # Compiling this module must not load it: the compiling VM would go on with
  # the library of that moment.
  @compile {:autoload, false}
  @on_load :load

  # While an instance of this module that has the library is in use, a newer one is
  # refused: tables and meters belong to the instance that made them. The code server
  # logs no error for a reason that is an atom.
  #
  # Otherwise loading never fails. A module whose @on_load fails the first time is
  # unloaded: its callers get an undefined function, or a release does not boot, and
  # neither names the library. This way every call raises with the reason.
  def load do
    if in_use?() do
      :logger.notice(
        "AdTally.Native was not loaded again: the VM goes on with the native library and the " <>
          "AdTally.Native that it has. For another version, restart the VM."
      )

      :in_use
    else
      load_library(library())
    end
  end

  # A call by the full name is one of the instance in use, if there is one.
  defp in_use? do
    :erlang.module_loaded(__MODULE__) and apply(__MODULE__, :floor, []) == :ok
  rescue
    # There is an instance without the library.
    AdTally.NotLoadedError -> false
  end

  # If the instance that had the library was deleted, this one takes the library over,
  # with all tables and meters, provided that it is the same file.
  defp load_library(path) do
    case :erlang.load_nif(path, 0) do
      :ok -> :persistent_term.erase({__MODULE__, :refused})
      {:error, reason} -> :persistent_term.put({__MODULE__, :refused}, {path, reason(reason)})
    end

    :ok
  end

  defp reason({:upgrade, _text}) do
    ~c"another build of it was loaded before and cannot be exchanged: restart the VM"
  end

  defp reason({_kind, text}), do: text

  # Without the extension, which :erlang.load_nif/2 adds.
  defp library do
    case :code.priv_dir(:ad_tally) do
      {:error, :bad_name} -> ~c"priv/native/ad_tally_nif"
      directory -> :filename.join(directory, ~c"native/ad_tally_nif")
    end
  end

  # macOS has .so as well.
  defp extension, do: if(match?({:win32, _}, :os.type()), do: ".dll", else: ".so")

  # A NIF module must define every function before the library is loaded.
  # :erlang.nif_error/1, unlike raise, tells Dialyzer that they do return.
  defp not_loaded do
    {path, reason} = :persistent_term.get({__MODULE__, :refused})

    :erlang.nif_error(
      AdTally.NotLoadedError.exception(
        path: List.to_string(path) <> extension(),
        reason: List.to_string(reason)
      )
    )
  end

  # Written with hot!, so that they may be called for every event.
  def floor, do: not_loaded()
  def counters_add(_table, _key, _metric), do: not_loaded()
  def counters_add(_table, _key, _metric, _amount), do: not_loaded()
  def counters_add_many(_table, _items), do: not_loaded()
  def counters_check_some(_table, _items, _from), do: not_loaded()
  def counters_add_some(_table, _items), do: not_loaded()
  def counters_get(_table, _key), do: not_loaded()
  def counters_get(_table, _key, _metric), do: not_loaded()
  def counters_panic(_table), do: not_loaded()
  def reach_add(_table, _key, _user), do: not_loaded()
  def reach_add_many(_table, _items), do: not_loaded()
  def reach_check_some(_table, _items, _from), do: not_loaded()
  def reach_add_some(_table, _items), do: not_loaded()
  def reach_add_users(_table, _key, _users), do: not_loaded()
  def reach_check_some_users(_table, _key, _users, _from), do: not_loaded()
  def reach_add_some_users(_table, _key, _users), do: not_loaded()
  def reach_estimate(_table, _key), do: not_loaded()
  def reach_unite(_table), do: not_loaded()
  def reach_unite_some(_union, _keys, _from), do: not_loaded()
  def caps_admit(_table, _scope, _user, _rules, _at), do: not_loaded()
  def caps_admit(_table, _scope, _user, _rules), do: not_loaded()
  def caps_check(_table, _scope, _user, _rules, _at), do: not_loaded()
  def caps_record(_table, _scope, _user, _at), do: not_loaded()
  def caps_release(_table, _scope, _user, _at), do: not_loaded()
  def caps_count(_table, _scope, _user, _window, _at), do: not_loaded()
  def caps_opens_at(_table, _scope, _user, _rules, _at), do: not_loaded()
  def caps_admit_all(_table, _scopes, _user, _at), do: not_loaded()
  def caps_admissible(_table, _scopes, _user, _at, _from), do: not_loaded()
  def caps_sweep(_table, _from, _at), do: not_loaded()
  def dedupe_first(_table, _id, _at), do: not_loaded()
  def dedupe_first(_table, _id), do: not_loaded()

  def meter_record(_meter, _event), do: not_loaded()
  def meter_record(_meter, _attribution, _event), do: not_loaded()
  def meter_record_many(_meter, _events), do: not_loaded()
  def meter_check_some(_meter, _events, _from), do: not_loaded()
  def meter_refused_some(_meter, _events, _from), do: not_loaded()
  def meter_record_first(_meter, _events), do: not_loaded()
  def meter_record_some(_meter, _events), do: not_loaded()
  def meter_record_many(_meter, _attribution, _events), do: not_loaded()
  def meter_check_some(_meter, _attribution, _events, _from), do: not_loaded()
  def meter_refused_some(_meter, _attribution, _events, _from), do: not_loaded()
  def meter_record_first(_meter, _attribution, _events), do: not_loaded()
  def meter_record_some(_meter, _attribution, _events), do: not_loaded()

  def attribution_touch(_attribution, _touch), do: not_loaded()
  def attribution_touch_many(_attribution, _touches), do: not_loaded()
  def attribution_check_touches(_attribution, _touches, _from), do: not_loaded()
  def attribution_refused_touches(_attribution, _touches, _from), do: not_loaded()
  def attribution_touch_first(_attribution, _touches), do: not_loaded()
  def attribution_touch_some(_attribution, _touches), do: not_loaded()
  def attribution_convert(_attribution, _conversion), do: not_loaded()
  def attribution_convert_many(_attribution, _conversions), do: not_loaded()
  def attribution_check_conversions(_attribution, _conversions, _from), do: not_loaded()
  def attribution_refused_conversions(_attribution, _conversions, _from), do: not_loaded()
  def attribution_convert_first(_attribution, _conversions), do: not_loaded()
  def attribution_convert_some(_attribution, _conversions), do: not_loaded()
  def attribution_credits(_attribution, _order), do: not_loaded()
  def attribution_adjust(_attribution, _order, _change, _at), do: not_loaded()
  def attribution_link(_attribution, _alias, _user), do: not_loaded()
  def attribution_link_some(_attribution, _linking), do: not_loaded()
  def attribution_forget(_attribution, _user), do: not_loaded()

  def pacer_reserve(_pacer, _campaign, _request, _price, _at, _ttl), do: not_loaded()
  def pacer_confirm(_pacer, _reservation, _price, _at), do: not_loaded()
  def pacer_release(_pacer, _reservation), do: not_loaded()
  def pacer_open(_pacer, _campaigns, _request, _at, _from), do: not_loaded()

  def admission_admit(_caps, _pacer, _campaign, _user, _rules, _request, _price, _at, _ttl),
    do: not_loaded()

  def admission_release(_caps, _pacer, _reservation), do: not_loaded()

  def admission_admissible(_caps, _pacer, _candidates, _user, _request, _at, _from),
    do: not_loaded()

  def read_in_place(_wanted), do: not_loaded()
  def library_info, do: not_loaded()
  def struct_terms(_term), do: not_loaded()
  def shown(_term), do: not_loaded()
  def clock_now, do: not_loaded()
  def dirty_clock_now, do: not_loaded()
  def epoch(_now), do: not_loaded()
  def thread_time, do: not_loaded()
  def dirty_thread_time, do: not_loaded()
  def busy_dirty_scheduler(_microseconds), do: not_loaded()
  def key_vector(_role, _seed, _key), do: not_loaded()
  def keys_of_bytes(_bytes), do: not_loaded()
  def collide_atoms(_text, _atom), do: not_loaded()
  def walk_rows(_walk, _list), do: not_loaded()
  def table_own(_table, _name), do: not_loaded()
  def table_end(_table), do: not_loaded()
  def table_totals(_table), do: not_loaded()
  def table_gauges(_table), do: not_loaded()
  def table_load(_table), do: not_loaded()
  def table_leave(_table), do: not_loaded()
  def windows_closed(_table, _windows, _partial, _node, _now), do: not_loaded()
  def windows_gone(_table, _windows), do: not_loaded()
  def windows_undelivered(_table), do: not_loaded()
  def windows_sequence(_table), do: not_loaded()
  def store_open(_directory, _options), do: not_loaded()
  def store_sync(_store, _reference), do: not_loaded()
  def store_sync_cancel(_waiting), do: not_loaded()
  def store_info(_store), do: not_loaded()
  def store_part(_store, _name, _kind), do: not_loaded()
  def store_parts(_store), do: not_loaded()
  def store_stop(_store), do: not_loaded()
  def store_inspect(_directory), do: not_loaded()
  def store_backup(_from, _to), do: not_loaded()
  def frame_bytes(_binary), do: not_loaded()
  def frame_describe(_frame), do: not_loaded()
  def export_next(_export), do: not_loaded()
  def counters_export(_table), do: not_loaded()
  def counters_import(_table, _frame), do: not_loaded()
  def reach_export(_table), do: not_loaded()
  def reach_import(_table, _frame), do: not_loaded()
  def dedupe_export(_table), do: not_loaded()
  def dedupe_import(_table, _frame), do: not_loaded()
  def caps_export(_table), do: not_loaded()
  def caps_import(_table, _frame), do: not_loaded()
  def attribution_export(_attribution), do: not_loaded()
  def attribution_import(_attribution, _frame), do: not_loaded()
  def counters_new(_metrics, _max_keys, _seed), do: not_loaded()
  def counters_new_in(_stored, _metrics, _max_keys, _seed), do: not_loaded()
  def counters_metrics(_table), do: not_loaded()
  def counters_info(_table), do: not_loaded()
  def counters_walk(_table), do: not_loaded()
  def counters_drain(_table), do: not_loaded()
  def reach_new(_precision, _max_keys, _secret, _seed), do: not_loaded()
  def reach_new_in(_stored, _precision, _max_keys, _secret, _seed), do: not_loaded()
  def reach_info(_table), do: not_loaded()
  def reach_sketch(_table, _key), do: not_loaded()
  def reach_merge(_table, _key, _sketch), do: not_loaded()
  def reach_united(_union), do: not_loaded()
  def reach_walk(_table), do: not_loaded()
  def reach_drain(_table), do: not_loaded()
  def sketch_new(_precision, _secret), do: not_loaded()
  def sketch_insert_some(_builder, _users, _from), do: not_loaded()
  def sketch_union(_sketches), do: not_loaded()
  def sketch_unite_some(_union, _sketches, _from), do: not_loaded()
  def sketch_united(_union), do: not_loaded()
  def sketch_finish(_builder), do: not_loaded()
  def sketch_from_binary(_bytes, _secret), do: not_loaded()
  def sketch_estimate(_sketch), do: not_loaded()
  def sketch_estimate_large(_sketch), do: not_loaded()
  def sketch_bounds(_sketch, _deviations), do: not_loaded()
  def sketch_overlap(_one, _other, _deviations), do: not_loaded()
  def zone_known(_name), do: not_loaded()
  def zone_check(_name), do: not_loaded()
  def caps_rules(_rules), do: not_loaded()
  def caps_new(_capacities, _tiers, _lifetime, _strict, _max_ahead, _seed), do: not_loaded()

  def caps_new_in(_stored, _capacities, _tiers, _lifetime, _strict, _max_ahead, _seed),
    do: not_loaded()

  def caps_info(_table), do: not_loaded()
  def pacer_new(_options), do: not_loaded()
  def pacer_new_in(_stored, _options), do: not_loaded()
  def pacer_begin(_pacer), do: not_loaded()
  def pacer_wake(_pacer), do: not_loaded()
  def pacer_set_time(_pacer, _at), do: not_loaded()
  def pacer_coordinator(_pacer, _campaign), do: not_loaded()
  def pacer_put(_pacer, _campaign, _plan), do: not_loaded()
  def pacer_delete(_pacer, _campaign), do: not_loaded()
  def pacer_note_pending(_pacer), do: not_loaded()
  def pacer_free_pending(_pacer, _noted), do: not_loaded()
  def pacer_reports(_pacer, _from), do: not_loaded()
  def pacer_ask(_pacer, _node), do: not_loaded()
  def pacer_renew(_pacer, _node, _reports, _last), do: not_loaded()
  def pacer_apply(_pacer, _node, _granted), do: not_loaded()
  def pacer_sweep(_pacer, _from), do: not_loaded()
  def pacer_tick(_pacer, _from), do: not_loaded()
  def pacer_status(_pacer, _campaign), do: not_loaded()
  def pacer_statuses(_pacer, _campaigns), do: not_loaded()
  def pacer_campaigns(_pacer, _from), do: not_loaded()
  def pacer_info(_pacer), do: not_loaded()
  def pacer_sums(_pacer), do: not_loaded()
  def pacer_last_sums(_pacer), do: not_loaded()
  def dedupe_new(_window, _capacity, _wide, _seed), do: not_loaded()
  def dedupe_new_in(_stored, _window, _capacity, _wide, _seed), do: not_loaded()
  def dedupe_info(_table), do: not_loaded()
  def attribution_new(_times, _names, _options, _seed), do: not_loaded()
  def attribution_new_in(_stored, _olds, _times, _names, _options, _seed), do: not_loaded()
  def attribution_forget_stored(_attribution, _user), do: not_loaded()
  def attribution_refuse_touches(_attribution, _touches, _reason), do: not_loaded()
  def attribution_refuse_conversions(_attribution, _conversions, _reason), do: not_loaded()
  def attribution_close(_attribution, _now), do: not_loaded()
  def attribution_close_through(_attribution, _at), do: not_loaded()
  def attribution_stop(_attribution), do: not_loaded()
  def attribution_last_open(_attribution), do: not_loaded()
  def attribution_open(_attribution, _from), do: not_loaded()
  def attribution_open_bytes(_attribution, _from), do: not_loaded()
  def attribution_window_bytes(_window), do: not_loaded()
  def attribution_window_credits(_window), do: not_loaded()
  def attribution_window_touches(_window), do: not_loaded()
  def attribution_window_totals(_window), do: not_loaded()

  def attribution_report_new(_attribution, _by, _and_by, _model, _dated_by, _times),
    do: not_loaded()

  def attribution_report_read(_report, _windows), do: not_loaded()
  def attribution_report_rows(_report, _rows), do: not_loaded()
  def attribution_report_end(_report), do: not_loaded()
  def attribution_paths_new(_attribution, _by, _times), do: not_loaded()
  def attribution_paths_read(_paths, _windows), do: not_loaded()
  def attribution_paths_rows(_paths, _rows), do: not_loaded()
  def attribution_paths_end(_paths), do: not_loaded()
  def attribution_examples(_attribution), do: not_loaded()
  def attribution_info(_attribution), do: not_loaded()
  def meter_new(_times, _names, _sketches, _ids, _touches, _seed), do: not_loaded()

  def meter_new_in(_stored, _olds, _times, _names, _sketches, _ids, _touches, _seed),
    do: not_loaded()

  def meter_refuse(_meter, _events, _reason), do: not_loaded()
  def meter_close(_meter, _now), do: not_loaded()
  def meter_close_through(_meter, _at), do: not_loaded()
  def meter_stop(_meter), do: not_loaded()
  def meter_last_open(_meter), do: not_loaded()
  def meter_open(_meter, _from), do: not_loaded()
  def meter_window_bytes(_window), do: not_loaded()
  def meter_open_bytes(_meter, _from), do: not_loaded()
  def meter_counters(_window), do: not_loaded()
  def meter_reach(_window), do: not_loaded()
  def meter_totals(_window), do: not_loaded()
  def meter_report_new(_meter, _groups, _order, _limit), do: not_loaded()
  def meter_report_allow(_report, _filter, _values, _from), do: not_loaded()
  def meter_report_read(_report, _windows), do: not_loaded()
  def meter_report_rows(_report, _rows), do: not_loaded()
  def meter_report_end(_report), do: not_loaded()
  def meter_report_frame(_report), do: not_loaded()
  def meter_report_take(_report, _frame), do: not_loaded()
  def meter_report_merge(_report, _other), do: not_loaded()
  def meter_shape(_meter), do: not_loaded()
  def meter_examples(_meter), do: not_loaded()
  def meter_info(_meter), do: not_loaded()
  def meter_top(_meter, _place, _order, _most, _values), do: not_loaded()
end
