#!/usr/bin/env escript
%% Erlang: two processes of one runtime system, plain `!` and `receive`; the same game as rounds.py plays.
%% Compiled before it runs: escript interprets otherwise.
-mode(compile).

-define(WINDOW, 100).
-define(THROUGHPUT_NS, 2000000000).
-define(ANSWER_TIMEOUT_MS, 10000).
-define(BODY_BYTES, 64).

main(["--n", Text]) ->
    N = list_to_integer(Text),
    Pong = spawn_link(fun pong/0),
    Samples = lists:sort(in_own_process(fun() -> latency(Pong, N) end)),
    Rate = in_own_process(fun() -> rate(Pong) end),
    io:format("{\"name\": \"erlang\", \"unit\": \"us\", \"n\": ~b, \"median\": ~.3f, \"p99\": ~.3f, "
              "\"messages_per_s\": ~b, \"in_flight\": ~b, "
              "\"versions\": {\"otp\": \"~s\", \"erts\": \"~s\", \"schedulers\": \"~b\"}}~n",
              [N, percentile_us(Samples, N, 50), percentile_us(Samples, N, 99), Rate, ?WINDOW,
               erlang:system_info(otp_release), erlang:system_info(version),
               erlang:system_info(schedulers_online)]).

%% The script's own process is not an ordinary one: play in a fresh process and hand its result over.
in_own_process(Play) ->
    Self = self(),
    Player = spawn_link(fun() -> Self ! {self(), Play()} end),
    receive {Player, Result} -> Result end.

pong() ->
    receive {Ping, Body} -> Ping ! {self(), Body}, pong() end.

warm_up(N) -> max(100, min(N div 10, 1000)).

latency(Pong, N) -> latency(Pong, N, -warm_up(N), []).

latency(_Pong, N, N, Samples) -> Samples;
latency(Pong, N, Number, Samples) ->
    Body = body(Number),
    Start = erlang:monotonic_time(),
    Pong ! {self(), Body},
    Body = await(Pong),
    Took = erlang:convert_time_unit(erlang:monotonic_time() - Start, native, nanosecond),
    latency(Pong, N, Number + 1, [Took || Number >= 0] ++ Samples).

%% One process keeps the window full: each pong that comes back sends the next ping, until the time is over.
rate(Pong) ->
    Start = erlang:monotonic_time(nanosecond),
    [Pong ! {self(), body(Number)} || Number <- lists:seq(0, ?WINDOW - 1)],
    Trips = keep_flying(Pong, Start + ?THROUGHPUT_NS, 0, ?WINDOW),
    2 * Trips * 1000000000 div (erlang:monotonic_time(nanosecond) - Start).

keep_flying(_Pong, _Deadline, Sent, Sent) -> Sent;
keep_flying(Pong, Deadline, Received, Sent) ->
    Body = body(Received),
    Body = await(Pong),
    case erlang:monotonic_time(nanosecond) < Deadline of
        true -> Pong ! {self(), body(Sent)}, keep_flying(Pong, Deadline, Received + 1, Sent + 1);
        false -> keep_flying(Pong, Deadline, Received + 1, Sent)
    end.

await(Pong) ->
    receive {Pong, Body} -> Body after ?ANSWER_TIMEOUT_MS -> error(no_pong) end.

%% JSON of exactly BODY_BYTES bytes, a binary under 65 bytes: it is copied from process to process, not shared.
body(Number) ->
    Head = <<"{\"ping\": ", (integer_to_binary(Number))/binary, ", \"pad\": \"">>,
    Pad = binary:copy(<<"x">>, ?BODY_BYTES - byte_size(Head) - 2),
    <<Head/binary, Pad/binary, "\"}">>.

%% Nearest rank, as harness.summary does it.
percentile_us(Sorted, N, Percent) ->
    lists:nth((N * Percent + 99) div 100, Sorted) / 1000.
