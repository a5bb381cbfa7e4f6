"""What Caxton promises, where it is promised, and the tests that would fail without it, or the gap that is known.

`tests/docs/test_requirements.py` checks that every test named here exists and that every promise has a test or a gap.
"""

from __future__ import annotations

from dataclasses import dataclass

MESSAGES = "docs/reference/messages.md"
GUESTS = "docs/reference/guest-interface.md"
REST = "docs/reference/rest.md"
CLI = "docs/reference/cli.md"
LIMITS = "docs/reference/limits.md"
CONFIG = "docs/reference/configuration.md"
AGENT_CONFIG = "docs/reference/agent-config.md"
PROTOCOLS = "docs/reference/protocols.md"
WAITS = "docs/howto/find-out-who-waits.md"
RULES = "docs/howto/talk-by-the-rules.md"
REPLAY = "docs/howto/replay-what-agents-did.md"
TASKS = "docs/howto/delegate-a-task.md"
DIRECTORY = "docs/reference/directory.md"
METRICS = "docs/reference/metrics.md"
MONITORING = "docs/howto/set-up-monitoring.md"
SDK_C = "sdk/c/README.md"
TELEMETRY = "docs/howto/export-telemetry.md"
LOGS = "docs/reference/logs.md"
TOOLS = "docs/reference/tools.md"
MAP = "ARCHITECTURE.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One promise."""

    source: str
    """The page that makes it."""
    text: str
    tests: tuple[str, ...] = ()
    """Names of test functions; any file."""
    gap: str = ""
    """What is missing, if something is."""


REQUIREMENTS: dict[str, Requirement] = {
    # --- agents of the server's own --------------------------------------------------------------------------
    "native:same-guarantees": Requirement(
        source=MESSAGES,
        text="Mail, state and timers of the server's own agents are as durable as any other's, without a deployment.",
        tests=(
            "test_killed_node_comes_back_with_what_its_native_agent_knew",
            "test_state_timers_and_mail_are_there_again_after_a_crash_without_a_row_in_agents",
        ),
    ),
    "native:failure": Requirement(
        source=MESSAGES,
        text="One that fails leaves nothing behind, is there again at once, and its message is repeated or buried.",
        tests=(
            "test_message_that_raises_comes_again_alone_and_leaves_nothing_behind",
            "test_after_five_attempts_it_is_a_dead_letter_and_a_caller_who_waits_hears_at_once",
            "test_timer_that_raises_is_tried_again_and_is_gone_after_its_attempts",
        ),
    ),
    "native:names": Requirement(
        source=MESSAGES,
        text="Nothing is deployed under a reserved name; an agent that has one gets another and keeps all it had.",
        tests=(
            "test_nobody_can_be_deployed_put_or_forgotten_under_a_name_of_the_nodes_own",
            "test_agent_that_had_such_a_name_gets_another_and_keeps_all_it_had",
        ),
    ),
    # --- tools: the broker -----------------------------------------------------------------------------------
    "broker:grants": Requirement(
        source=TOOLS,
        text="An agent calls the tools that its grant names, and no others.",
        tests=(
            "test_tool_that_is_not_granted_is_not_called",
            "test_agent_without_a_grant_does_not_make_a_source_start",
            "test_name_and_wildcards_grant",
        ),
    ),
    "broker:arguments": Requirement(
        source=TOOLS,
        text="Arguments that are too large, too deep or against the tool's schema do not reach it.",
        tests=(
            "test_arguments_against_the_schema_do_not_reach_the_tool",
            "test_arguments_that_are_too_large_do_not_reach_the_tool",
            "test_arguments_that_are_too_deep_do_not_reach_a_tool_that_takes_anything",
        ),
    ),
    "broker:results": Requirement(
        source=TOOLS,
        text="A result that is too large or not what its schema promises does not reach the agent.",
        tests=(
            "test_result_that_is_too_large_does_not_reach_the_agent",
            "test_result_that_lies_about_its_schema_does_not_reach_the_agent",
        ),
    ),
    "broker:schemas": Requirement(
        source=TOOLS,
        text="A stranger's schema fetches nothing, and cannot hold up the server.",
        tests=(
            "test_schema_of_a_stranger_that_may_do_harm_is_refused",
            "test_value_that_takes_too_long_to_check_is_told_before",
        ),
    ),
    "broker:pins": Requirement(
        source=TOOLS,
        text="A tool that changed is not called until somebody approves it, nor does its result reach an agent.",
        tests=(
            "test_tool_that_changed_is_quarantined_before_the_next_call",
            "test_result_of_a_tool_that_changed_while_it_was_called_is_held_back",
            "test_pins_hold_after_a_restart",
            "test_each_part_of_a_definition_is_pinned",
            "test_what_is_approved_is_what_was_looked_at",
        ),
    ),
    "broker:names": Requirement(
        source=TOOLS,
        text="Two tools of one name are both refused.",
        tests=(
            "test_two_tools_of_one_name_are_both_refused",
            "test_two_sources_of_one_name_are_refused",
        ),
    ),
    "broker:rates": Requirement(
        source=TOOLS,
        text="Agents and tools have rates, agents a budget that outlasts a restart.",
        tests=(
            "test_agent_that_calls_too_often_is_refused_until_time_has_passed",
            "test_tool_that_is_called_too_often_is_refused_to_all",
            "test_budget_is_a_row_for_each_agent_at_a_commit_and_holds_after_a_restart",
            "test_pins_first_uses_and_budgets_are_there_after_a_restart",
        ),
    ),
    "broker:deadline": Requirement(
        source=TOOLS,
        text="Whoever calls a tool that hangs has an answer at the deadline.",
        tests=(
            "test_tool_that_hangs_is_left_at_the_deadline",
            "test_late_answer_after_the_deadline_changes_nothing",
            "test_deadline_counts_while_a_call_waits_in_line",
        ),
    ),
    "broker:repetition": Requirement(
        source=TOOLS,
        text="Only idempotent calls are repeated, and once.",
        tests=(
            "test_idempotent_call_without_an_answer_is_repeated_once",
            "test_call_that_is_not_idempotent_is_never_repeated",
            "test_idempotent_call_is_not_repeated_twice",
        ),
    ),
    "broker:breaker": Requirement(
        source=TOOLS,
        text="A source that fails is left alone for a while; calls beyond its room wait in line.",
        tests=(
            "test_source_that_fails_is_left_alone_and_tried_again",
            "test_calls_beyond_the_bulkhead_wait_in_order",
            "test_calls_in_line_are_refused_when_the_circuit_opens",
        ),
    ),
    "broker:approval": Requirement(
        source=TOOLS,
        text="A call that needs a person waits for one, and without an answer is not made.",
        tests=(
            "test_call_waits_for_a_person_and_goes_on",
            "test_nobody_answers_is_no",
            "test_call_that_is_denied_is_not_made",
            "test_tool_that_changes_while_a_person_thinks_is_not_called",
            "test_person_is_shown_arguments_without_secrets",
        ),
    ),
    "broker:records": Requirement(
        source=TOOLS,
        text="Each call leaves a record without what was said.",
        tests=(
            "test_each_call_is_a_line_of_json_in_a_file_of_its_owner_alone",
            "test_calls_are_shown_with_their_outcome_and_without_what_was_said",
        ),
    ),
    "broker:settings": Requirement(
        source=TOOLS,
        text="Nothing is granted to a source that is not written, and no slip goes unnoticed.",
        tests=(
            "test_what_is_not_written_is_not_granted",
            "test_slip_is_named_with_its_place",
        ),
    ),
    # --- traces ----------------------------------------------------------------------------------------------
    "trace:tree": Requirement(
        source=REST,
        text="Each message of a trace stands below the one in whose handling it was sent, also after a restart.",
        tests=(
            "test_every_message_hangs_on_the_one_in_whose_handling_it_was_sent",
            "test_everything_is_shown_once_even_when_the_clock_stands_still",
            "test_chain_of_guests_is_a_tree_and_a_message_in_the_middle_has_its_family",
            "test_trace_survives_the_server",
            "test_messages_that_had_the_same_number_before_and_after_a_restart_are_two",
            "test_message_is_found_behind_more_records_than_one_answer_has",
            "test_message_that_waits_shows_what_led_to_it_also_after_a_restart",
        ),
    ),
    "trace:present": Requirement(
        source=CLI,
        text="What waits or is in hand now is in a trace, with the reason and those before it.",
        tests=(
            "test_what_failed_comes_again_and_its_time_is_told",
            "test_mail_of_an_agent_that_is_stopped_waits_in_its_order_and_says_why",
            "test_guest_that_computes_has_its_message_in_hand_and_others_wait_behind",
            "test_mail_of_a_sender_waits_for_its_message_that_is_repeated",
            "test_what_ended_since_it_was_looked_at_is_over",
        ),
    ),
    "trace:lines": Requirement(
        source=CLI,
        text="A trace has a line with time, agent, act, status, error and tool for each thing that happened.",
        tests=(
            "test_lines_of_the_brief_look_like_this",
            "test_every_kind_of_record_has_a_line",
            "test_message_that_was_handled_and_did_not_last_is_received_once_more_and_that_is_said",
            "test_what_a_crash_undid_and_what_was_done_then_are_told_apart",
            "test_times_are_local_unless_asked_otherwise",
            "test_no_name_or_error_can_forge_a_line_or_steer_a_terminal",
        ),
    ),
    "trace:bars": Requirement(
        source=CLI,
        text="Every message is a bar that tells waiting, handling and tools apart; no line is wider than the terminal.",
        tests=(
            "test_incident_looks_like_this",
            "test_no_line_is_wider_than_asked_for_and_every_message_has_a_bar",
            "test_bars_of_hostile_names_stay_in_their_lines",
        ),
    ),
    "trace:bounded": Requirement(
        source=REST,
        text="A trace is bounded and says when something was left out.",
        tests=(
            "test_long_conversation_is_cut_to_its_end_and_says_so",
            "test_no_narrower_view_shows_more_or_loses_what_it_must_show",
            "test_more_than_the_limit_is_cut_and_said",
            "test_trace_that_was_cut_before_says_more_than",
            "test_long_story_of_one_message_is_cut",
        ),
    ),
    "trace:unknown": Requirement(
        source=REST,
        text="An id of which nothing is known is an error that says how far back the flight recorder goes.",
        tests=(
            "test_unknown_ids_are_not_found_and_known_ones_that_are_quiet_are_empty",
            "test_what_nothing_is_known_of_is_not_found_and_the_error_says_how_far_back_that_is",
            "test_quiet_time_is_an_answer_that_says_when_there_was_something",
            "test_filter_that_leaves_nothing_is_named",
        ),
    ),
    "trace:formats": Requirement(
        source=CLI,
        text="A trace can be had as JSON, as a Mermaid diagram and as OTLP/JSON.",
        tests=(
            "test_formats_for_programs_are_nothing_but_that",
            "test_mermaid_draws_messages_and_calls_of_tools",
            "test_otlp_has_spans_of_sending_handling_and_calls_each_with_its_parent",
            "test_otlp_has_the_spans_that_telemetry_exports",
            "test_otlp_follows_the_rules_of_the_protocol_whatever_happened",
        ),
    ),
    "trace:night": Requirement(
        source="docs/howto/three-in-the-morning.md",
        text="From the alarm of a real Prometheus the commands of the brief, in their order, lead to the slow tool.",
        tests=(
            "test_page_has_the_commands_of_the_brief_in_their_order",
            "test_commands_in_their_order_lead_from_the_alarm_to_the_slow_tool_and_mend_it",
        ),
    ),
    "trace:tools": Requirement(
        source=CLI,
        text="Every call of a tool is in the trace of the message in whose handling it was, with its time and error.",
        tests=(
            "test_result_comes_back_and_the_call_is_recorded_with_its_times_and_its_cause",
            "test_tool_that_gives_up_says_why",
            "test_tool_belongs_to_the_handling_that_called_it_and_its_error_to_nobody_else",
            "test_without_tools_every_call_is_not_found_and_a_guest_in_a_loop_does_not_fill_the_recorder",
        ),
    ),
    # --- capabilities ----------------------------------------------------------------------------------------
    "capabilities:strategies": Requirement(
        source=MESSAGES,
        text="A message for a capability goes to those whom its strategy chooses; an unknown strategy is refused.",
        tests=(
            "test_unknown_strategy_is_refused_for_clients_and_guests",
            "test_each_gets_its_turn_and_one_that_is_down_does_not_shift_its_share_to_the_next",
            "test_best_weighs_priority_health_and_load",
            "test_least_loaded_goes_by_what_waits_for_each_replica",
            "test_broadcast_reaches_all_who_offer_it_but_not_its_sender",
            "test_broadcast_reaches_nobody_if_one_of_them_is_full",
            "test_who_is_unhealthy_gets_a_message_only_if_all_are_and_then_one_who_runs",
            "test_choice_is_never_empty_and_nobody_is_passed_over_for_a_worse_one",
        ),
    ),
    "capabilities:nobody": Requirement(
        source=MESSAGES,
        text="Who asks for a capability that nobody offers is told, with the nearest names.",
        tests=(
            "test_client_is_told_that_nobody_offers_it_with_the_nearest_names_and_nothing_is_accepted",
            "test_guest_that_finds_nobody_hears_of_it_from_df_in_its_conversation",
        ),
    ),
    "capabilities:health": Requirement(
        source=MESSAGES,
        text="Health and load are those of the agent as it is.",
        tests=(
            "test_health_is_what_the_agent_is",
            "test_load_is_how_full_the_mailbox_is",
            "test_health_that_is_shown_follows_the_agent",
        ),
    ),
    "directory:registrations": Requirement(
        source=DIRECTORY,
        text="What an agent registers is found, addressed and durable, and ends with its lease or its agent.",
        tests=(
            "test_what_an_agent_registers_can_be_found_addressed_changed_and_taken_back",
            "test_registration_is_there_after_a_crash_and_gone_with_its_agent",
            "test_registrations_of_a_removed_agent_go_with_it_in_one_commit",
            "test_lease_ends_and_can_be_renewed_before",
            "test_guest_finds_another_by_message_and_writes_to_it",
        ),
    ),
    "directory:rules": Requirement(
        source=DIRECTORY,
        text="A request is carried out as a whole or refused with its reason; an agent registers itself only.",
        tests=(
            "test_what_cannot_be_registered_is_refused_and_changes_nothing",
            "test_agent_may_register_itself_only_and_a_client_nobody",
            "test_directory_that_is_full_takes_all_of_it_or_nothing",
            "test_what_is_no_known_action_is_not_understood_and_the_known_are_named",
            "test_an_answer_gets_no_answer",
        ),
    ),
    "directory:white-pages": Requirement(
        source=DIRECTORY,
        text="ams tells which agents there are and how they are; deployment alone changes that.",
        tests=(
            "test_agent_is_described_as_it_is",
            "test_nobody_is_registered_by_message_because_deployment_does_it",
            "test_search_is_given_in_pages_and_looks_at_so_many_agents_only",
        ),
    ),
    # --- delivery --------------------------------------------------------------------------------------------
    "delivery:accepted-is-on-disk": Requirement(
        source=MESSAGES,
        text="A receipt is given only after the commit that holds the message.",
        tests=(
            "test_failed_write_is_reported_once_and_nobody_is_acknowledged",
            "test_all_who_wait_in_one_turn_share_one_commit",
        ),
    ),
    "delivery:handler-is-a-transaction": Requirement(
        source=GUESTS,
        text="Sends, state, timers and settlement of a handler happen together or not at all.",
        tests=(
            "test_handler_that_does_not_succeed_leaves_neither_state_nor_message",
            "test_disk_holds_a_consistent_cut_at_every_commit",
            "test_effects_of_a_timer_and_its_end_are_one_transaction",
        ),
    ),
    "delivery:output-after-commit": Requirement(
        source=MESSAGES,
        text="A reply leaves the node only after the commit that holds its cause.",
        tests=(
            "test_reply_is_told_only_after_the_commit_that_holds_it",
            "test_reply_is_never_told_when_the_disk_fails",
        ),
    ),
    "delivery:no-row-for-the-short-lived": Requirement(
        source=MAP,
        text="A message born and settled between two commits is never written.",
        tests=("test_message_born_and_settled_between_two_commits_is_never_written",),
    ),
    "delivery:order": Requirement(
        source=MESSAGES,
        text="Messages of one sender to one receiver arrive in the order sent, over failures and restarts.",
        tests=("test_order_survives_failures_and_crashes", "test_order_survives_a_stop_and_a_start"),
    ),
    "delivery:attempts": Requirement(
        source=MESSAGES,
        text="A failed message comes again and says which attempt it is; after five it is a dead letter.",
        tests=(
            "test_failed_message_comes_again_after_its_delay_and_says_which_attempt_it_is",
            "test_after_five_attempts_it_is_a_dead_letter_in_the_same_transaction",
        ),
    ),
    "waits:deadlocks": Requirement(
        source=WAITS,
        text="A deadlock is a set of quiet agents that wait for nobody else; all are named, and nothing else is.",
        tests=(
            "test_deadlocks_are_those_of_the_definition",
            "test_graph_without_a_cycle_has_no_deadlock",
            "test_cycle_is_no_deadlock_while_one_of_it_has_something_to_do",
            "test_cycle_is_no_deadlock_while_one_of_it_waits_for_somebody_else_too",
            "test_deadlock_of_three_is_named_with_its_conversations",
            "test_deadlocks_are_those_whose_agents_have_nothing_left_to_do",
        ),
    ),
    "waits:bounded": Requirement(
        source=LIMITS,
        text="What is over leaves nothing behind, and of too many open asks the oldest are forgotten.",
        tests=(
            "test_graph_counts_as_a_plain_count_does_and_keeps_nothing_that_is_over",
            "test_beyond_the_limit_the_oldest_ask_is_forgotten",
            "test_times_of_answered_asks_do_not_pile_up",
        ),
    ),
    "waits:why": Requirement(
        source=WAITS,
        text="From each wait of a conversation a path leads over the reasons to a cause; cycles are named.",
        tests=(
            "test_path_leads_from_the_initiator_over_a_nested_conversation_to_the_agent_that_is_stopped",
            "test_path_leads_over_nested_conversations_to_the_agent_that_is_stopped",
            "test_cause_tells_what_the_last_agent_does",
            "test_cycle_over_conversations_is_named_and_followed_once",
            "test_every_path_is_a_chain_of_waits_that_ends_in_a_cause",
            "test_command_prints_what_the_page_shows",
        ),
    ),
    "waits:past": Requirement(
        source=WAITS,
        text="The waits that made up the time of a conversation cover all of it, each counted for who was waited for.",
        tests=(
            "test_waits_of_the_past_cover_the_whole_duration_in_order",
            "test_time_until_a_deadline_counts_for_those_who_were_silent",
        ),
    ),
    "conversations:cancel": Requirement(
        source=REST,
        text="Cancelling tells each participant whose exchange goes on, once, and refuses what has ended.",
        tests=(
            "test_cancel_is_told_to_each_once",
            "test_agent_that_is_told_to_cancel_is_told_once",
            "test_cancelling_one_of_its_conversations_ends_a_deadlock",
            "test_conversation_that_has_ended_cannot_be_cancelled",
            "test_who_may_only_look_may_not_cancel",
        ),
    ),
    "conversations:removed": Requirement(
        source=WAITS,
        text="Nobody waits for an agent that was removed; an initiator to whom it owes an answer hears so at once.",
        tests=(
            "test_new_agents_are_not_in_the_deadlock_of_those_who_had_their_names",
            "test_initiator_hears_at_once_that_who_owes_an_answer_was_removed",
            "test_nobody_waits_for_an_agent_that_was_removed_or_a_name_that_was_forgotten",
        ),
    ),
    "waits:way-out": Requirement(
        source=WAITS,
        text="Free messages cannot be cancelled, and the command that shows deadlocks does not say that they could.",
        tests=("test_hint_says_how_a_deadlock_ends_by_what_is_waited_for",),
    ),
    "tasks:own-conversation": Requirement(
        source="docs/howto/delegate-a-task.md",
        text="Nobody who knows the id of a task can begin its conversation before the server does.",
        tests=(
            "test_who_knows_the_id_of_a_task_beforehand_cannot_keep_it_from_being_negotiated",
            "test_conversations_of_one_task_id_have_nothing_in_common_that_could_be_guessed",
        ),
    ),
    "conversations:any-id": Requirement(
        source=REST,
        text="A conversation of any id can be shown and cancelled, also one that no path can hold.",
        tests=(
            "test_any_id_is_found_when_the_query_has_it",
            "test_client_reaches_a_conversation_of_any_id",
        ),
    ),
    "dead-letters:kept": Requirement(
        source=MESSAGES,
        text="A letter is written in the transaction that ends its message, with reason, attempts, error, trap, trace.",
        tests=(
            "test_letter_and_the_end_of_its_message_are_one_transaction",
            "test_trap_its_functions_and_the_trace_are_kept_with_the_letter",
            "test_letter_tells_the_trap_and_where_in_the_guest_it_was",
        ),
    ),
    "dead-letters:replayed-once": Requirement(
        source=MESSAGES,
        text="A letter replayed twice, by many at once, or again after a crash, becomes one message with one receipt.",
        tests=(
            "test_letter_replayed_twice_becomes_one_message_and_gets_the_same_receipt",
            "test_letter_replayed_by_many_at_once_becomes_one_message",
            "test_replay_survives_a_restart_once",
            "test_replay_that_no_commit_holds_did_not_happen",
            "test_letters_of_a_guest_that_traps_are_looked_at_replayed_once_and_purged",
        ),
    ),
    "dead-letters:flagged": Requirement(
        source=MESSAGES,
        text="A replayed message says so, and nobody but the host can say it.",
        tests=(
            "test_replayed_letter_is_handled_as_a_first_attempt_that_says_so",
            "test_only_the_host_says_that_a_message_was_replayed",
            "test_who_sets_a_field_is_right",
        ),
    ),
    "dead-letters:refused-stays": Requirement(
        source=MESSAGES,
        text="A letter that cannot be replayed now stays as it was.",
        tests=("test_what_cannot_be_replayed_now_stays_a_letter",),
    ),
    "dead-letters:audited": Requirement(
        source=MESSAGES,
        text="Who replayed or purged what is a line in the log, and stays in the journal.",
        tests=("test_replays_and_purges_are_logged_with_who_and_what",),
    ),
    "dead-letters:rate": Requirement(
        source=LIMITS,
        text="At most 100 letters are replayed in a second.",
        tests=(
            "test_replays_are_no_more_than_the_rate_allows",
            "test_replay_over_the_rate_is_refused_and_says_when_to_come_back",
        ),
    ),
    "dead-letters:full": Requirement(
        source=MESSAGES,
        text="A full store refuses senders, keeps every letter, and opens again once there is room.",
        tests=(
            "test_full_store_refuses_senders_and_drops_nothing",
            "test_full_store_of_letters_stops_every_way_in_and_keeps_what_is_on_its_way",
            "test_full_store_is_still_full_after_a_restart",
            "test_full_store_opens_again_once_there_is_room",
            "test_full_store_refuses_clients_until_there_is_room_and_loses_nothing",
        ),
    ),
    "dead-letters:age": Requirement(
        source=MESSAGES,
        text="A letter is let go after 7 days.",
        tests=("test_letters_are_let_go_after_a_week",),
    ),
    "dead-letters:checked": Requirement(
        source=MESSAGES,
        text="A letter that rotted on the disk is neither shown nor delivered.",
        tests=("test_letter_that_rotted_on_the_disk_is_neither_shown_nor_delivered",),
    ),
    "delivery:back-pressure": Requirement(
        source=MESSAGES,
        text="A full mailbox answers -3 to guests and MAILBOX_FULL to clients; nothing accepted is dropped.",
        tests=(
            "test_full_mailbox_would_block_until_there_is_room",
            "test_full_mailbox_refuses_and_says_its_limits",
            "test_full_mailbox_pushes_back_and_loses_nothing_that_was_accepted",
        ),
    ),
    "delivery:waiting-mail": Requirement(
        source=MESSAGES,
        text="Mail to a stopped or failed agent waits, also over a crash of the server.",
        tests=("test_mail_to_a_stopped_agent_waits_in_order_and_survives_a_crash",),
    ),
    "delivery:replicas": Requirement(
        source=MESSAGES,
        text="A conversation stays with one replica, the rest goes round; scaling loses nothing.",
        tests=(
            "test_conversation_stays_with_its_replica_and_the_rest_goes_round",
            "test_scaling_under_load_loses_nothing_and_answers_everybody",
        ),
    ),
    "delivery:duplicates": Requirement(
        source=MESSAGES,
        text="A message posted again under its id within 5 minutes is handled once, also over a crash.",
        tests=(
            "test_same_message_again_is_known_and_handled_once",
            "test_other_message_under_the_same_id_is_refused_and_changes_nothing",
            "test_receipt_survives_a_crash_with_its_message",
            "test_same_post_again_is_one_message_whatever_became_of_the_first",
            "test_another_post_under_the_id_is_refused_whatever_became_of_the_first",
            "test_after_the_window_the_same_is_a_new_message",
            "test_who_posts_again_while_the_first_still_waits_gets_the_reply_too",
            "test_clock_that_is_set_neither_shortens_nor_prolongs_the_window",
        ),
    ),
    "delivery:lifetimes": Requirement(
        source=MESSAGES,
        text="A message whose time is over is a dead letter and is not handed over, wherever it waits.",
        tests=(
            "test_message_that_waited_too_long_is_a_dead_letter_and_is_never_handled",
            "test_message_that_is_late_on_arrival_is_refused_and_leaves_nothing",
            "test_message_in_hand_may_end_late_and_expires_only_if_it_fails",
            "test_who_waits_for_the_reply_hears_that_it_expired",
            "test_clock_that_is_set_neither_ends_nor_prolongs_a_life",
            "test_life_goes_on_over_a_crash_also_while_the_node_is_down",
        ),
    ),
    "delivery:priorities": Requirement(
        source=MESSAGES,
        text="Higher priorities are handed over first; within one, in order.",
        tests=("test_higher_priorities_come_first_and_each_keeps_its_order", "test_priority_is_kept_over_a_crash"),
    ),
    "delivery:one-pair": Requirement(
        source=MESSAGES,
        text="A message that is to be repeated holds up those of its sender, and nobody else's.",
        tests=("test_failing_message_holds_up_its_sender_and_nobody_else",),
    ),
    "delivery:poison": Requirement(
        source=MESSAGES,
        text="A message that ends the process is a dead letter after 5 attempts, and harms no other.",
        tests=(
            "test_poison_is_a_dead_letter_after_its_attempts_and_nothing_else_is",
            "test_child_that_kills_before_it_was_ever_written_is_found_too",
            "test_handler_that_kills_the_process_buries_its_message_and_the_server_stays_up",
            "test_handler_that_never_succeeds_buries_its_message_and_lets_the_next_ones_through",
            "test_timer_that_kills_is_dropped_after_its_attempts",
        ),
    ),
    "delivery:known-names": Requirement(
        source=MESSAGES,
        text="Mail for a name that had an agent once waits for the next one.",
        tests=(
            "test_mail_for_a_name_whose_agent_is_gone_waits_for_the_next_one_in_order",
            "test_name_that_never_was_is_unknown_to_clients_and_guests",
        ),
    ),
    "delivery:topics": Requirement(
        source=MESSAGES,
        text="Topics, patterns and groups reach who listens, each once and in one transaction.",
        tests=(
            "test_who_is_found_is_who_is_subscribed",
            "test_group_reaches_its_members_once_but_not_the_sender",
            "test_fan_out_is_one_transaction",
            "test_fan_out_reaches_nobody_if_one_of_them_is_full",
        ),
    ),
    "delivery:workspace-quota": Requirement(
        source=MESSAGES,
        text="A workspace that is full refuses, and takes again once there is room.",
        tests=("test_workspace_that_is_full_refuses_clients_and_guests_until_there_is_room",),
    ),
    "delivery:memory": Requirement(
        source=MESSAGES,
        text="A message for memory only is not written, but by a stop; what it causes is.",
        tests=(
            "test_message_in_memory_only_is_never_written_and_gone_after_a_crash_with_its_receipt",
            "test_what_a_message_in_memory_caused_is_on_disk",
            "test_stop_of_the_node_writes_what_was_in_memory_only",
        ),
    ),
    "delivery:power-cut": Requirement(
        source=MESSAGES,
        text="What was accepted survives a power cut.",
        tests=(
            "test_what_was_acknowledged_survives_every_power_cut_and_nothing_is_there_by_half",
            "test_simulator_finds_what_is_lost_without_an_fsync_at_each_commit",
            "test_every_commit_is_synced_to_a_write_ahead_log",
        ),
    ),
    "delivery:kill-9": Requirement(
        source=MESSAGES,
        text="What was accepted survives kill -9, once, in order, with all its effects.",
        tests=(
            "test_nothing_acknowledged_is_lost_by_kill_9",
            "test_nothing_acknowledged_is_lost_doubled_or_overtaken_by_kill_9_under_load",
            "test_server_that_dies_there_loses_doubles_and_alters_nothing",
            "test_every_crash_point_of_the_server_has_its_scenario",
        ),
    ),
    "delivery:checker": Requirement(
        source=MESSAGES,
        text="The proofs of delivery find what they look for.",
        tests=("test_violation_is_found_and_named", "test_nothing_is_found_where_nothing_is_wrong"),
    ),
    "delivery:model": Requirement(
        source=MESSAGES,
        text="Whatever happens, in whatever order, what is on disk fits together and every message meets its fate.",
        tests=("test_bus_does_what_its_model_says_whatever_happens",),
    ),
    "delivery:in-hand-at-a-crash": Requirement(
        source=MESSAGES,
        text="What was in hand when the server died has had one attempt, and is handed over first and alone.",
        tests=(
            "test_what_is_in_hand_over_a_commit_has_had_an_attempt_when_the_node_ends",
            "test_suspects_run_alone_each_between_commits_of_its_own",
            "test_nothing_is_handled_before_the_attempt_of_the_suspects_is_on_disk",
            "test_who_waited_is_not_remembered_and_the_message_is_repeated_like_any",
        ),
    ),
    "delivery:clock": Requirement(
        source=MESSAGES,
        text="Setting the clock while the server runs changes nothing but the expiry of tokens.",
        tests=(
            "test_a_life_with_a_clock_that_jumps_is_the_same_as_one_without",
            "test_crashes_within_a_minute_are_counted_although_the_clock_jumps",
            "test_token_expires_by_the_time_of_day",
            "test_clock_that_is_set_neither_fires_nor_delays_a_timer",
        ),
    ),
    "delivery:start": Requirement(
        source=MESSAGES,
        text="A start with much mail hands over all of it in order.",
        tests=("test_node_with_much_mail_hands_over_all_of_it_in_order_and_starts_with_few_queries",),
    ),
    "delivery:no-room-is-no-failure": Requirement(
        source=MESSAGES,
        text="A handler that was told -3 waits and uses up no attempt, and fails only after 25 times.",
        tests=(
            "test_handler_that_finds_no_room_waits_for_it_and_uses_up_no_attempt",
            "test_handler_that_finds_no_room_for_too_long_has_failed",
            "test_closed_intake_makes_handlers_wait_and_fails_none",
            "test_slow_consumer_holds_up_its_senders_all_the_way_and_gets_everything_in_order",
        ),
    ),
    "delivery:asked-once": Requirement(
        source=MESSAGES,
        text="A message whose sender waits is tried once, and the sender is told of the failure.",
        tests=(
            "test_failure_reaches_the_caller_after_the_commit_and_the_message_is_tried_once",
            "test_crash_is_told_with_trap_functions_and_log",
        ),
    ),
    "delivery:stale-result": Requirement(
        source=MESSAGES,
        text="A handler that was given up settles nothing any more; its message is handed over again.",
        tests=(
            "test_result_that_comes_after_a_forced_stop_settles_nothing",
            "test_handler_that_is_slow_over_a_restart_of_its_agent_is_resumed_no_more",
            "test_dropped_handler_is_not_resumed_and_its_successor_is_not_disturbed",
        ),
    ),
    "delivery:removed": Requirement(
        source=MESSAGES,
        text="Mail of an agent that is removed becomes dead letters, wherever it waits.",
        tests=(
            "test_mail_of_a_removed_agent_becomes_dead_letters_with_the_removal",
            "test_message_on_its_way_to_an_agent_that_is_removed_becomes_a_dead_letter",
            "test_suspects_of_an_agent_that_is_removed_are_dead_letters_like_its_other_mail",
        ),
    ),
    "delivery:timers-end": Requirement(
        source=MESSAGES,
        text="A timer whose handler fails or kills 5 times is dropped.",
        tests=(
            "test_failing_timer_is_tried_again_and_given_up",
            "test_timer_that_kills_is_dropped_after_its_attempts",
            "test_timer_that_kills_after_a_commit_is_dropped_after_its_attempts",
        ),
    ),
    "delivery:commits": Requirement(
        source=MESSAGES,
        text="Commits come as soon as somebody waits, else 50 ms after a change, or after 1,024 rows.",
        tests=(
            "test_when_nobody_waits_changes_gather_for_50_ms",
            "test_many_changes_are_committed_at_once",
            "test_each_message_of_a_batch_is_answered_for_itself_with_one_commit",
        ),
    ),
    "messages:fields": Requirement(
        source=MESSAGES,
        text="Content is passed on byte for byte; unknown keys are dropped; the host fills in what it must.",
        tests=(
            "test_content_stays_the_bytes_its_sender_wrote",
            "test_unknown_keys_are_ignored",
            "test_keys_with_nothing_to_say_are_not_written",
            "test_host_fills_in_what_a_client_may_not_or_need_not_say",
            "test_message_survives_any_number_of_hops",
            "test_every_field_has_a_line_and_every_line_its_field",
        ),
    ),
    "messages:ids": Requirement(
        source=MESSAGES,
        text="Ids that the host gives are unique among all servers and runs.",
        tests=("test_message_ids_and_sequence_never_repeat", "test_ids_of_two_runs_differ"),
    ),
    "messages:acts": Requirement(
        source=MESSAGES,
        text="The 22 acts of FIPA are taken, whatever their case; agree is no reply.",
        tests=(
            "test_there_are_the_22_acts_of_the_standard",
            "test_case_and_underscores_do_not_count",
            "test_agree_announces_the_reply_and_is_none",
        ),
    ),
    "messages:round-trip": Requirement(
        source=MESSAGES,
        text="JSON and FIPA's string encoding bring back every field of a message, one after the other as well.",
        tests=(
            "test_every_field_takes_part",
            "test_json_brings_back_every_field",
            "test_string_encoding_brings_back_every_field",
            "test_text_to_json_and_back_is_the_same_text",
            "test_json_to_text_and_back_is_the_same_json_but_for_the_spelling_of_texts",
        ),
    ),
    "messages:string-encoding": Requirement(
        source=MESSAGES,
        text="What JADE writes is read in any case of letters; what is written obeys the grammar of SC00070.",
        tests=(
            "test_message_of_a_jade_like_peer_is_read",
            "test_every_act_and_parameter_is_read_in_any_case",
            "test_what_is_written_obeys_the_grammar_of_the_standard",
            "test_name_loses_our_platform_and_no_other",
            "test_content_is_a_text_or_the_json_that_it_says_it_is",
            "test_time_is_read_as_the_moment_that_is_meant",
            "test_each_of_fipas_thirteen_parameters_has_a_line_with_its_key_and_its_form",
        ),
    ),
    "messages:string-encoding-hostile": Requirement(
        source=MESSAGES,
        text="What is no message in FIPA's encoding is refused by line and column, in time that grows with its length.",
        tests=(
            "test_what_is_no_message_is_refused_by_its_place",
            "test_content_that_says_it_is_json_can_bring_in_nothing_else",
            "test_two_mebibytes_of_anything_are_refused_at_once",
            "test_deep_parentheses_are_refused_without_a_recursion_error",
            "test_parts_within_parentheses_count_over_the_whole_message",
            "test_any_order_of_familiar_pieces_is_a_message_or_is_refused",
            "test_damaged_message_is_a_message_or_is_refused",
        ),
    ),
    "messages:string-encoding-doors": Requirement(
        source=REST,
        text="A client posts a message in FIPA's encoding, and gets replies and conversations in it if it asks so.",
        tests=(
            "test_a_message_in_fipas_encoding_is_accepted_with_a_receipt",
            "test_the_reply_comes_in_fipas_encoding_to_those_who_ask_for_it",
            "test_a_conversation_is_read_in_the_encoding_that_is_asked_for",
            "test_peer_asks_in_fipas_encoding_and_is_answered_in_it",
            "test_message_as_fipa_writes_it_is_sent",
        ),
    ),
    "messages:receivers": Requirement(
        source=MESSAGES,
        text="A list reaches each once or nobody; a capability goes round among those who run; nobody is refused.",
        tests=(
            "test_message_that_cannot_go_to_all_its_receivers_goes_to_none",
            "test_client_naming_an_agent_twice_sends_one_copy",
            "test_capability_goes_round_among_those_who_offer_it",
            "test_capability_prefers_those_who_run",
            "test_receiver_comes_before_capability",
            "test_a_message_to_nobody_is_refused",
            "test_reply_to_several_names_each_client_alone",
        ),
    ),
    "messages:asking-who-does-not-run": Requirement(
        source=MESSAGES,
        text="Who would wait for an agent that does not run is told at once.",
        tests=("test_question_to_an_agent_that_does_not_run_is_refused_at_once",),
    ),
    "messages:replies": Requirement(
        source=MESSAGES,
        text="A reply is known by its reference or its conversation, and kept when it comes too late.",
        tests=(
            "test_reply_without_reference_is_known_by_its_conversation",
            "test_message_that_refers_to_nothing_is_no_reply",
            "test_two_questions_of_one_conversation_get_their_own_replies",
            "test_reply_that_comes_too_late_is_kept_and_told_to_nobody",
        ),
    ),
    "messages:rules": Requirement(
        source=MESSAGES,
        text="What breaks a rule of size, encoding, depth or type is refused by name.",
        tests=(
            "test_what_is_no_message_is_refused",
            "test_what_two_parsers_could_read_differently_is_refused_from_outside",
            "test_content_over_its_limit_is_refused_though_the_message_is_within_its_own",
            "test_overlong_field_from_outside_is_refused_and_named",
            "test_value_out_of_bounds_is_refused_with_its_field",
            "test_rules_are_right",
        ),
    ),
    "messages:conversations": Requirement(
        source=MESSAGES,
        text="A conversation shows what is kept of it, in order, and only what is on disk.",
        tests=(
            "test_conversation_is_in_order_bounded_and_outlives_a_restart",
            "test_conversation_shows_only_what_is_on_disk",
            "test_only_the_last_ones_are_remembered",
            "test_large_messages_are_not_kept_in_memory",
        ),
    ),
    "messages:forgotten-names": Requirement(
        source=MESSAGES,
        text="A name that is forgotten is unknown, and what waits for it becomes dead letters.",
        tests=("test_waiting_mail_survives_a_crash_and_a_message_for_a_forgotten_name_is_a_dead_letter",),
    ),
    "delivery:disk-full": Requirement(
        source=MESSAGES,
        text="A full disk makes the server read-only instead of ending it; it goes on by itself.",
        tests=(
            "test_disk_that_fills_up_at_any_write_loses_nothing_and_the_node_goes_on_by_itself",
            "test_server_on_a_full_disk_settles_refuses_and_goes_on_by_itself",
            "test_nothing_new_is_taken_before_the_disk_is_quite_full",
        ),
    ),
    "delivery:disk-error": Requirement(
        source=MESSAGES,
        text="After a failed write or fsync nothing is acknowledged: exit code 74, and a restart has all that was.",
        tests=(
            "test_after_an_io_error_at_any_place_nobody_is_told_that_anything_is_safe",
            "test_failed_fsync_of_a_checkpoint_is_not_forgotten",
            "test_failed_fsync_ends_the_server_with_74_and_a_restart_has_all_that_was_acknowledged",
        ),
    ),
    "delivery:journal-gone": Requirement(
        source=MESSAGES,
        text="A journal that is removed or replaced is noticed before the next acknowledgement.",
        tests=(
            "test_journal_that_is_removed_or_replaced_is_noticed_before_the_next_acknowledgement",
            "test_server_whose_journal_is_removed_acknowledges_nothing_more_and_ends_with_74",
        ),
    ),
    "delivery:slow-disk": Requirement(
        source=MESSAGES,
        text="Acknowledgements wait for the disk however slow it is; memory is bounded meanwhile.",
        tests=(
            "test_acknowledgements_wait_for_a_slow_disk",
            "test_memory_is_bounded_and_senders_are_held_back_while_the_disk_is_slow",
        ),
    ),
    "delivery:checksums": Requirement(
        source=MESSAGES,
        text="What a disk has altered is put aside or refused, and never delivered.",
        tests=(
            "test_no_flipped_bit_alters_what_is_delivered_and_none_is_overlooked",
            "test_file_that_ends_early_alters_nothing",
            "test_log_that_is_unreadable_in_its_middle_is_refused_and_not_silently_cut",
            "test_damaged_message_is_put_aside_and_the_others_are_delivered",
            "test_damaged_conversation_is_put_aside_at_a_start_and_the_others_go_on",
            "test_conversation_damaged_while_it_sleeps_is_not_there_and_put_aside_with_the_next_commit",
        ),
    ),
    "delivery:journal-limits": Requirement(
        source=MESSAGES,
        text="The journal and its write-ahead log have limits past which new messages are refused.",
        tests=(
            "test_full_journal_takes_nothing_new_until_it_is_well_below_its_limit",
            "test_log_that_a_reader_holds_up_is_bounded_and_begins_anew_once_the_reader_is_gone",
        ),
    ),
    "delivery:retention": Requirement(
        source=MESSAGES,
        text="Settled messages are kept for a time, a number and a size; agents' logs too.",
        tests=(
            "test_settled_messages_are_bounded_in_number",
            "test_settled_messages_are_bounded_in_bytes_and_counted_again_after_a_restart",
            "test_lines_of_an_agent_are_bounded_in_bytes_of_memory",
            "test_lines_of_last_week_are_forgotten_also_if_nothing_is_written_any_more",
        ),
    ),
    "storage:upkeep": Requirement(
        source=CLI,
        text="A journal can be looked at, verified and compacted while the server works.",
        tests=(
            "test_what_is_stored_is_counted_while_the_node_works",
            "test_compacting_prunes_and_gives_room_back_while_messages_go_on",
            "test_altered_row_is_named",
        ),
    ),
    # --- sandbox ---------------------------------------------------------------------------------------------
    "sandbox:slices": Requirement(
        source=GUESTS,
        text="A guest in an endless loop gives way each millisecond, wherever it loops.",
        tests=(
            "test_others_are_served_while_a_guest_spins",
            "test_others_start_and_restart_while_a_guest_spins_in_its_start",
        ),
    ),
    "sandbox:survives": Requirement(
        source=GUESTS,
        text="No guest ends the process.",
        tests=("test_process_survives_every_hostile_guest", "test_neighbour_of_all_hostile_guests_at_once_is_served"),
    ),
    "sandbox:memory": Requirement(
        source=GUESTS,
        text="Pointers outside of guest memory are refused, whatever their sign and length.",
        tests=(
            "test_exactly_the_regions_inside_memory_can_be_read",
            "test_exactly_the_regions_inside_memory_can_be_written",
        ),
    ),
    "sandbox:validated": Requirement(
        source=GUESTS,
        text="A module that does not fit the interface is refused with the name of what is wrong.",
        tests=(
            "test_module_cut_short_is_refused",
            "test_features_that_are_switched_off_are_refused",
            "test_refused_module_is_named_its_reason_and_not_kept",
        ),
    ),
    "sandbox:compile-limits": Requirement(
        source=LIMITS,
        text="A module that takes the compiler too long or too much memory is refused.",
        tests=(
            "test_compiler_that_computes_too_long_is_ended",
            "test_compiler_that_takes_too_much_memory_is_ended",
        ),
    ),
    "sandbox:signed-cache": Requirement(
        source="docs/decisions/0001-guests-on-fibers-through-cffi.md",
        text="A damaged or foreign cache file is compiled anew, never loaded.",
        tests=("test_flipped_bit_in_the_cache_is_compiled_over",),
    ),
    "sandbox:forged-sender": Requirement(
        source=MESSAGES,
        text="Sender, id, time and trace are the host's, whatever a guest or client says.",
        tests=("test_nothing_that_the_host_sets_can_be_forged", "test_forged_sender_of_a_client_is_replaced"),
    ),
    "sandbox:floods": Requirement(
        source=LIMITS,
        text="Log floods and send storms are bounded and hurt nobody else.",
        tests=(
            "test_log_flood_is_bounded_and_its_extent_is_told",
            "test_send_storm_ends_with_its_sender_and_hurts_nobody_else",
        ),
    ),
    "sandbox:components": Requirement(
        source=GUESTS,
        text="Components run behind the same port.",
        gap="they are refused with a clear error",
    ),
    "sandbox:tools": Requirement(
        source=GUESTS,
        text="call_tool reaches the tools that are granted; who waits for one waits alone, and not in its own time.",
        tests=(
            "test_granted_tool_answers_and_one_that_is_not_granted_does_not",
            "test_tool_in_the_sandbox_is_compiled_started_and_asked",
            "test_others_work_while_one_waits_and_a_thousand_may",
            "test_time_that_it_waits_is_not_its_own",
            "test_call_that_a_person_has_to_allow_waits_and_nobody_waits_with_it",
            "test_agent_that_is_stopped_or_removed_while_it_waits_leaves_nothing_behind",
            "test_node_that_stops_does_not_wait_for_a_person",
            "test_message_of_a_handler_that_waits_counts_an_attempt_if_the_node_ends",
            "test_suspect_that_waits_does_not_hold_up_the_others",
            "test_repeated_call_of_the_same_message_has_the_same_key_and_another_has_another",
        ),
    ),
    # --- supervision -----------------------------------------------------------------------------------------
    "supervision:window": Requirement(
        source=MAP,
        text="At most three restarts a minute; the fourth crash within 60 s fails the agent, one in 61 s does not.",
        tests=(
            "test_fourth_crash_within_a_minute_fails_the_agent",
            "test_fourth_crash_a_minute_after_the_first_does_not",
        ),
    ),
    "supervision:revived": Requirement(
        source=MAP,
        text="A failed agent's mail waits, others do not notice, start revives it.",
        tests=("test_fourth_crash_fails_the_agent_whose_mail_waits_until_it_is_started",),
    ),
    "deployment:all-or-nothing": Requirement(
        source=REST,
        text="A deployment that fails changes nothing; a new version that does not start leaves the old one serving.",
        tests=(
            "test_failed_deployment_changes_nothing",
            "test_version_that_does_not_start_leaves_the_old_one_serving",
        ),
    ),
    # --- doors -----------------------------------------------------------------------------------------------
    "api:deny-by-default": Requirement(
        source=REST,
        text="A route without a declared action is denied, and every route has one.",
        tests=(
            "test_a_route_that_declares_no_action_is_denied_to_everybody",
            "test_every_route_declares_an_action_that_the_policy_knows",
        ),
    ),
    "api:tokens": Requirement(
        source=REST,
        text="Without a valid token the answer is 401, on loopback too, and the same for every cause.",
        tests=("test_no_token_is_refused", "test_every_forged_token_gets_the_same_answer"),
    ),
    "api:hosts": Requirement(
        source=REST,
        text="Requests for another host or from another origin are refused.",
        tests=("test_a_request_for_another_host_is_refused", "test_a_page_of_another_site_is_refused"),
    ),
    "api:slow-clients": Requirement(
        source=REST,
        text="Silent and slow clients are cut off; waiting requests and quiet streams are not.",
        tests=(
            "test_a_client_that_stops_before_a_request_is_whole_is_cut_off",
            "test_a_client_that_trickles_anything_but_a_request_is_cut_off",
            "test_a_body_that_does_not_end_is_told_so_and_cut_off",
            "test_an_event_stream_without_events_is_left_alone",
        ),
    ),
    "api:protocols": Requirement(
        source=REST,
        text="HTTP/1.1 and HTTP/2; with a certificate TLS 1.3 and nothing older.",
        tests=("test_tls_clients_choose_their_protocol", "test_tls_1_2_is_refused"),
    ),
    "api:rate-limits": Requirement(
        source=REST,
        text="Requests are limited per address and principal.",
        gap="connections are bounded in all, not per address",
    ),
    # --- containment -----------------------------------------------------------------------------------------
    "circuit:machine": Requirement(
        source=AGENT_CONFIG,
        text="A circuit opens at the threshold, lets only its probes through, and hears no result of an earlier time.",
        tests=(
            "test_opens_at_the_failure_that_reaches_the_threshold_and_not_before",
            "test_promises_hold_whatever_happens",
            "test_after_its_timeout_an_open_one_always_admits_a_call_that_the_bulkhead_holds",
            "test_result_of_another_generation_never_changes_anything_but_the_number_of_calls",
            "test_what_was_in_hand_when_it_opened_changes_nothing_when_it_ends",
        ),
    ),
    "circuit:mail-waits": Requirement(
        source=MESSAGES,
        text="While an agent's circuit is open its mail waits in order and no attempt is counted.",
        tests=(
            "test_mail_waits_untouched_while_it_is_open_and_no_attempt_is_burnt",
            "test_probe_that_fails_opens_it_again_and_only_that_message_was_tried",
            "test_only_one_of_several_replicas_is_tried_and_the_others_follow_when_it_succeeds",
            "test_crashes_count_and_a_handler_that_is_made_again_gets_no_mail_while_it_is_open",
            "test_draining_mailboxes_stay_shut_when_the_timeout_passes",
            "test_timers_of_the_agent_wait_as_well",
        ),
    ),
    "circuit:callers-are-told": Requirement(
        source=REST,
        text="Who would wait for a reply is refused at once while the circuit is open, and told when to come again.",
        tests=(
            "test_handler_that_fails_or_crashes_or_runs_out_of_time_opens_it",
            "test_who_would_wait_for_a_reply_is_refused_at_once_and_told_when_to_come_again",
            "test_refused_caller_is_told_when_to_come_again",
            "test_while_half_open_a_caller_gets_in_only_as_a_probe",
        ),
    ),
    "bulkhead:callers": Requirement(
        source=AGENT_CONFIG,
        text="No more callers wait for one agent's replies than its bulkhead holds.",
        tests=(
            "test_callers_beyond_the_bulkhead_are_refused_and_those_before_them_go_on",
            "test_caller_whose_message_was_not_accepted_leaves_its_place",
            "test_one_call_more_than_the_bulkhead_holds_is_refused_until_one_ends",
        ),
    ),
    "settings:live": Requirement(
        source=CLI,
        text="config set holds at once without a restart or a new revision, and outlives a kill of the server.",
        tests=(
            "test_settings_survive_a_kill_of_the_server_and_are_the_ones_that_hold",
            "test_agent_that_fails_is_left_alone_until_its_settings_let_it_be_tried",
            "test_shorter_timeout_holds_for_a_circuit_that_is_open_already",
            "test_settings_outlive_the_node_and_the_next_revision_has_only_its_own",
        ),
    ),
    "settings:all-or-nothing": Requirement(
        source=REST,
        text="A change with a bad value, or an option that nobody knows, changes nothing.",
        tests=(
            "test_value_out_of_bounds_is_refused_and_nothing_changes",
            "test_patch_that_breaks_a_rule_changes_nothing",
            "test_bad_value_is_refused_and_the_good_one_beside_it_does_not_count",
            "test_option_that_nobody_knows_is_answered_with_those_there_are",
        ),
    ),
    "cli:errors": Requirement(
        source=CLI,
        text="Errors say what happened and what to do; the exit code says of which kind it was.",
        tests=("test_server_that_is_not_running_is_told_with_its_address_and_what_to_do",),
    ),
    "server:one-per-directory": Requirement(
        source=CONFIG,
        text="A second server on the same data directory is refused.",
        tests=("test_second_server_on_the_same_data_is_refused_and_the_first_goes_on",),
    ),
    "server:settings": Requirement(
        source=CONFIG,
        text="Flags win over variables, those over the file, that over defaults; unknown keys are refused by name.",
        tests=("test_effective_settings_come_with_their_places",),
    ),
    "server:stop": Requirement(
        source=CLI,
        text="SIGTERM: refuse new work, finish what is in hand, commit, exit 0.",
        tests=(
            "test_server_in_the_foreground_says_where_it_runs_and_ends_well",
            "test_message_in_hand_is_finished_and_its_reply_given_before_the_server_ends",
            "test_draining_ends_what_is_in_hand_and_begins_nothing",
        ),
    ),
    "timers:attempts-over-a-restart": Requirement(
        source=MESSAGES,
        text="A timer whose handler fails 5 times is dropped.",
        tests=("test_timer_that_kills_is_dropped_after_its_attempts",),
        gap="a restart in between begins to count anew, unless the timer was in hand when the server ended",
    ),
    "logs:bounded-in-all": Requirement(
        source=LIMITS,
        text="Agents' logs are bounded in lines, bytes and days, each and all together; the loudest gives way.",
        tests=(
            "test_lines_of_an_agent_are_bounded_in_bytes_of_memory",
            "test_one_that_shouts_gives_way_before_those_that_speak_once",
            "test_books_balance_whatever_happens",
            "test_cost_covers_what_python_takes_for_a_line_and_its_ids",
            "test_agent_that_logs_megabytes_keeps_its_share_and_nobody_else_suffers",
        ),
    ),
    "logs:message": Requirement(
        source=LOGS,
        text="A line that is written while a message is in hand names it, its conversation, trace and attempt; so does "
        "what the host says of its failure.",
        tests=(
            "test_each_line_names_the_message_that_was_in_hand_and_its_trace",
            "test_agents_that_work_on_the_same_thing_log_under_the_same_trace",
            "test_what_the_host_says_of_a_failure_names_the_message_and_the_attempt",
            "test_last_word_about_a_message_that_failed_too_often_names_it",
            "test_lines_of_a_timer_have_a_trace_and_no_message",
            "test_line_that_is_about_no_message_names_none",
            "test_every_turn_is_told_in_the_log_and_counted",
            "test_illegal_act_of_an_agent_arrives_once_the_mode_is_warn_and_not_before",
        ),
    ),
    "logs:text": Requirement(
        source=LOGS,
        text="No text of a guest reaches a terminal as more than text: colours go, control characters are replaced.",
        tests=(
            "test_colours_go_and_what_else_a_terminal_would_obey_is_replaced",
            "test_no_text_leaves_anything_that_a_terminal_or_a_file_chokes_on",
            "test_every_byte_there_is_may_be_logged",
            "test_bytes_that_are_no_text_and_escape_sequences_are_made_harmless",
            "test_text_of_nothing_but_line_ends_is_too_much_at_once",
            "test_sequences_cost_a_line_none_of_its_room_and_what_is_looked_at_is_bounded",
        ),
    ),
    "logs:restart": Requirement(
        source=LOGS,
        text="Logs survive a restart, bounded on disk, without anybody waiting for the disk; removed agents' do not.",
        tests=(
            "test_log_is_there_again_after_a_restart_and_goes_on",
            "test_lines_are_on_disk_soon_without_a_stop",
            "test_lines_of_a_removed_agent_do_not_come_back_but_those_of_its_successor_do",
            "test_bytes_are_bounded_and_what_memory_keeps_survives_the_cleaning",
            "test_lines_gather_while_the_disk_is_slow_and_too_many_are_left_out",
            "test_last_room_of_the_disk_is_left_to_the_journal",
            "test_disk_that_hangs_does_not_keep_the_server",
        ),
    ),
    "logs:damage": Requirement(
        source=LOGS,
        text="Damage costs the lines of its block, how many is told; files of other versions are told, count, and "
        "go in their turn.",
        tests=(
            "test_torn_end_costs_only_what_was_torn",
            "test_any_flipped_bit_costs_its_block_alone_and_what_it_cost_is_told",
            "test_one_byte_of_thousands_of_lines_costs_a_block_of_them",
            "test_hole_over_several_blocks_costs_what_is_in_it",
            "test_cleaning_keeps_what_can_be_read_behind_the_damage",
            "test_text_that_looks_like_a_block_is_text",
            "test_file_of_another_version_is_told_and_stays_while_there_is_room",
            "test_files_of_another_version_count_and_the_oldest_goes_first",
            "test_file_that_the_disk_does_not_give_back_is_told_and_keeps_nobody",
            "test_damaged_log_costs_lines_and_not_the_start",
        ),
    ),
    "logs:search": Requirement(
        source=LOGS,
        text="The server searches what is kept and what comes, by patterns that take linear time; nobody is held up.",
        tests=(
            "test_pattern_that_would_never_end_elsewhere_ends",
            "test_pattern_that_is_none_or_costs_too_much_is_refused_with_a_reason",
            "test_search_lets_others_have_a_turn_and_stands_agents_that_come_and_go_meanwhile",
            "test_search_that_takes_too_long_is_broken_off",
            "test_lines_are_chosen_by_pattern_and_conversation_once_and_live",
            "test_follower_gets_only_what_its_filter_lets_through_but_always_hears_of_gaps",
            "test_lines_that_a_follower_did_not_ask_for_take_no_room",
        ),
    ),
    "server-log:names": Requirement(
        source=LOGS,
        text="The server's log has telemetry's names, and the ids of the request or message that a line is about.",
        tests=(
            "test_line_has_the_names_of_telemetry_for_time_severity_text_and_facts",
            "test_what_a_service_logs_has_the_ids_of_its_request",
            "test_lines_of_a_request_have_its_ids_and_those_of_others_do_not",
            "test_error_of_ours_in_a_handling_is_logged_with_its_message",
        ),
    ),
    "server-log:secrets": Requirement(
        source=LOGS,
        text="No token, password or key is in the server's log, be it in a fact, a text, a URL or a traceback.",
        tests=(
            "test_secrets_do_not_reach_the_log",
            "test_traceback_keeps_all_but_the_secret",
            "test_secret_in_a_text_is_taken_out_and_the_rest_stays",
            "test_our_own_tokens_are_known_by_their_looks",
            "test_fact_with_a_telling_name_is_not_shown",
            "test_time_is_linear_in_the_text_whatever_it_is",
        ),
    ),
    "speed:ring": Requirement(
        source="docs/decisions/0006-budget-of-a-message.md",
        text="120,000 messages/s around a ring of 1,000 guests with 100 in flight, 60,000 with 10,000 in flight.",
        gap="with 100 in flight 116,000 to 122,000 with the flight recorder on, 124,000 to 128,000 with it off; "
        "with 10,000 in flight 58,000 on one core",
    ),
    "speed:acknowledgements": Requirement(
        source="docs/decisions/0006-budget-of-a-message.md",
        text="60,000 posts/s in batches over one connection; acknowledgements at half load within 10 ms (p99).",
        gap="44,000 to 51,000/s; 11 to 39 ms where one fsync in a hundred takes 3 ms",
    ),
    # --- listening -------------------------------------------------------------------------------------------
    "sniff:after-the-commit": Requirement(
        source=REST,
        text="A listener hears of a message after the commit that holds it, even if it never touches the disk.",
        tests=(
            "test_listener_hears_of_a_message_only_after_the_commit_that_holds_it",
            "test_message_that_comes_during_a_commit_waits_for_the_next_one",
            "test_listener_is_never_told_when_the_disk_fails",
            "test_message_that_never_touches_the_disk_is_heard_of_too",
        ),
    ),
    "sniff:nobody-waits-for-a-listener": Requirement(
        source=REST,
        text="A slow listener misses messages and is told how many and where; nobody waits for it; 32 may listen.",
        tests=(
            "test_slow_listener_misses_messages_and_is_told_how_many",
            "test_gap_stands_where_the_messages_are_missing",
            "test_listener_that_never_reads_holds_so_many_messages_and_one_count",
            "test_number_of_listeners_is_limited",
            "test_nobody_is_asked_to_show_anything_while_nobody_listens",
            "test_body_that_cannot_be_read_is_missed_and_undoes_nothing",
        ),
    ),
    "sniff:what-took-effect": Requirement(
        source=REST,
        text="Shown is what took effect, in that order, and what was refused or died, with its reason.",
        tests=(
            "test_order_is_that_in_which_things_took_effect",
            "test_handler_that_fails_has_said_nothing",
            "test_question_answer_and_refusals_are_heard_of_in_their_order",
            "test_act_out_of_place_is_a_dead_letter_that_was_never_sent",
            "test_late_proposal_is_refused_as_late_and_then_rejected_in_the_initiators_name",
        ),
    ),
    "sniff:drawing": Requirement(
        source=CLI,
        text="Each message is one arrow; no line is wider than asked for; a pipe gets plain text, line by line.",
        tests=(
            "test_every_message_is_exactly_one_arrow_in_one_or_two_lines",
            "test_arrow_leads_from_the_senders_lane_to_the_receivers",
            "test_no_line_is_ever_wider_than_asked_for_and_none_steers_a_terminal",
            "test_pipe_gets_no_colour_no_cursor_movement_and_no_line_that_is_too_wide",
            "test_talk_of_guests_is_drawn_over_a_pipe_and_afterwards",
        ),
    ),
    "sniff:pictures-hold-no-markup-of-strangers": Requirement(
        source="docs/howto/watch-agents-talk.md",
        text="Names and contents are text in Mermaid and SVG, whatever they say.",
        tests=(
            "test_mermaid_has_a_line_for_each_name_and_message_and_nothing_else",
            "test_svg_is_xml_with_one_arrow_for_each_message_and_only_harmless_elements",
            "test_svg_has_no_word_of_a_stranger_outside_of_text",
            "test_word_that_ends_blocks_in_mermaid_is_no_word_of_its_own",
        ),
    ),
    # --- protocols -------------------------------------------------------------------------------------------
    "protocols:as-in-the-standard": Requirement(
        source=PROTOCOLS,
        text="Eleven FIPA protocols: nothing is accepted that the standard does not have, nothing refused that it has.",
        tests=(
            "test_random_sequences_are_judged_as_by_the_reference",
            "test_random_sequences_try_every_state_and_take_every_move",
            "test_allowed_acts_are_exactly_those_that_are_accepted",
            "test_moves_of_both_sides_are_those_of_the_code",
        ),
    ),
    "protocols:late-proposals": Requirement(
        source=PROTOCOLS,
        text="A proposal after its deadline is rejected; one that came in time can be accepted at any time.",
        tests=(
            "test_late_proposal_is_rejected_and_late_refusal_is_taken",
            "test_proposal_in_time_outlives_the_deadline",
            "test_second_proposal_is_refused",
        ),
    ),
    "protocols:deadlines": Requirement(
        source=PROTOCOLS,
        text="After a deadline nobody waits for the participant any more.",
        tests=(
            "test_after_a_deadline_nobody_waits_for_the_participant",
            "test_time_runs_out_where_the_participant_owes_the_initiator_an_answer",
            "test_deadlines_are_those_of_the_code",
        ),
    ),
    "protocols:cancel": Requirement(
        source=PROTOCOLS,
        text="An initiator may cancel at any time; what crosses with the cancel is told from the answer to it.",
        tests=(
            "test_notice_that_crosses_with_a_cancel_is_no_answer_to_it",
            "test_cancel_may_be_answered_though_the_end_crossed_with_it",
            "test_cancel_is_answered_by_inform_or_failure_only",
            "test_answers_to_a_cancel_are_those_of_the_code",
        ),
    ),
    # --- SDKs and examples -----------------------------------------------------------------------------------
    "sdk:answers": Requirement(
        source=SDK_C,
        text="An answer goes to `reply_to` or else the sender, in the same conversation and protocol.",
        tests=(
            "test_answer_carries_what_fipa_wants_of_it",
            "test_answer_goes_to_reply_to",
            "test_answer_to_a_message_without_fields_has_none_either",
        ),
    ),
    "sdk:conversations": Requirement(
        source=SDK_C,
        text="A conversation that an agent begins has an id of its own, and a deadline that is not earlier than asked.",
        tests=(
            "test_conversation_begins_with_its_act_under_a_fresh_id",
            "test_two_contract_nets_at_a_time_are_kept_apart",
            "test_deadline_is_that_many_milliseconds_from_now_and_never_less",
            "test_every_day_of_four_centuries_has_its_date",
            "test_time_is_written_as_iso_8601_or_not_at_all",
        ),
    ),
    "sdk:cancel": Requirement(
        source=SDK_C,
        text="The answer to a cancel is told from what crossed it, and the node's word from everybody else's.",
        tests=(
            "test_cancel_names_the_conversation_and_its_answer_is_told_from_what_crossed_it",
            "test_word_of_the_node_is_known_by_sender_and_code",
            "test_answer_that_the_node_gives_for_a_participant_is_the_participants",
        ),
    ),
    "sdk:keeping": Requirement(
        source=SDK_C,
        text="A message that was kept can be answered as if it had just come.",
        tests=("test_kept_message_is_answered_later_as_if_it_had_just_come",),
    ),
    "sdk:reading": Requirement(
        source=SDK_C,
        text="Numbers and lists of a content are read as they are, and nothing else is taken for one.",
        tests=(
            "test_number_is_read_as_the_double_that_it_is",
            "test_number_of_fifteen_digits_is_read_exactly",
            "test_what_is_no_number_is_not_read_as_one",
            "test_items_of_a_list_are_read_one_after_the_other",
        ),
    ),
    "examples:contract-net": Requirement(
        source="docs/tutorial/contract-net.md",
        text="The lowest bid wins, each other bidder is rejected once, and nobody who is silent or broken holds it up.",
        tests=(
            "test_lowest_of_five_bids_wins_and_each_of_the_others_is_rejected_once",
            "test_best_bid_is_awarded_when_the_time_of_a_silent_bidder_is_over",
            "test_bidder_that_fails_on_the_call_is_not_waited_for",
            "test_acceptance_has_a_deadline_and_a_silent_winner_is_reported",
            "test_every_command_of_the_tutorial_does_what_the_page_says",
        ),
    ),
    "examples:auction": Requirement(
        source="examples/auctioneer/README.md",
        text="Who bids longest has it for a step more than the others would have paid, and is asked to pay.",
        tests=(
            "test_highest_bidder_wins_the_auction_and_pays_when_it_is_requested",
            "test_every_bid_of_an_auction_is_answered_and_every_act_is_allowed",
        ),
    ),
    "examples:subscription": Requirement(
        source="examples/subscription-publisher/README.md",
        text="Subscribers are told each change until they cancel, over restarts, and nothing after that.",
        tests=(
            "test_subscriber_is_told_each_change_until_it_cancels_and_none_after_that",
            "test_subscription_outlives_a_restart_of_the_server",
        ),
    ),
    "examples:cancel": Requirement(
        source="examples/cancel-worker/README.md",
        text="A cancelled request is answered with inform, and no result follows.",
        tests=("test_cancelled_request_is_answered_with_inform_and_no_result_follows",),
    ),
    # --- modes -----------------------------------------------------------------------------------------------
    "modes:at-once": Requirement(
        source=REST,
        text="The mode of a workspace holds from the next message on, for agents and clients, without a restart.",
        tests=(
            "test_illegal_act_of_an_agent_arrives_once_the_mode_is_warn_and_not_before",
            "test_client_is_refused_until_the_mode_is_warn",
            "test_conversation_that_goes_on_is_known_after_a_change_from_enforce_to_warn_and_back",
        ),
    ),
    "modes:lasting": Requirement(
        source=REST,
        text="It is on disk when the change is answered, and null is again what the server's configuration says.",
        tests=(
            "test_mode_is_on_disk_when_the_change_is_answered",
            "test_two_who_change_it_at_once_leave_what_the_last_one_said",
            "test_mode_of_a_workspace_holds_at_once_and_survives_a_kill_of_the_server",
            "test_default_is_what_the_node_says",
        ),
    ),
    "modes:wrong": Requirement(
        source=REST,
        text="A wrong mode, an unknown key or workspace, or a node that stops: nothing changes.",
        tests=(
            "test_unknown_mode_and_unknown_workspace_change_nothing",
            "test_node_that_stops_changes_no_setting",
            "test_mode_that_there_is_not_is_refused_with_those_there_are",
            "test_settings_of_an_agent_and_of_a_workspace_do_not_go_together",
        ),
    ),
    "modes:told": Requirement(
        source=REST,
        text="The server's log tells who changed a setting of a workspace.",
        tests=("test_log_says_who_changed_it_from_what_to_what",),
    ),
    "modes:howto": Requirement(
        source=RULES,
        text="What agents hear of breaches, silence, late proposals, dead letters and ends is what the page shows.",
        tests=(
            "test_breach_is_answered_and_logged_as_the_page_says",
            "test_silence_is_told_as_the_page_says",
            "test_late_proposal_is_rejected_as_the_page_says",
            "test_what_cannot_be_delivered_is_told_as_the_page_says",
            "test_end_for_want_of_words_is_told_as_the_page_says",
            "test_cancel_by_an_operator_has_the_name_on_the_token",
            "test_what_began_while_nobody_listened_is_out_of_place_later_unless_one_is_only_warned",
        ),
    ),
    # --- tasks -----------------------------------------------------------------------------------------------
    "tasks:best-award": Requirement(
        source=TASKS,
        text="The best proposal by the task's weights wins, corrected by what its bidder's promises were worth.",
        tests=(
            "test_the_award_is_the_best_by_an_oracle",
            "test_equal_scores_go_by_cost_then_time_then_confidence_then_name",
            "test_any_market_with_a_crash_somewhere_awards_the_best_by_the_oracle",
            "test_a_promise_that_was_not_kept_costs_the_next_award",
            "test_the_cheapest_of_five_guests_gets_the_task_and_does_it",
        ),
    ),
    "tasks:record": Requirement(
        source=TASKS,
        text="A bidder's record fades with age, takes a newcomer at its word, and counts one slip ten times at most.",
        tests=(
            "test_a_newcomer_is_taken_at_its_word",
            "test_who_takes_twice_as_long_is_expected_to",
            "test_one_failure_halves_the_reliability_and_successes_mend_it",
            "test_one_outcome_counts_for_ten_times_the_promise_at_most",
        ),
    ),
    "tasks:one-answer": Requirement(
        source=TASKS,
        text="Everybody who proposes gets exactly one answer, also over a crash of the server between any two steps.",
        tests=(
            "test_whatever_happens_everybody_gets_one_answer_and_the_best_wins",
            "test_everybody_gets_one_answer_and_the_cheapest_wins",
            "test_a_crash_between_any_two_steps_changes_neither_the_award_nor_the_answers",
            "test_a_killed_node_takes_the_task_up_where_it_was",
            "test_a_task_that_is_cancelled_tells_everybody_once",
        ),
    ),
    "tasks:late": Requirement(
        source=TASKS,
        text="A proposal after the deadline is rejected as late, whoever notices it first.",
        tests=(
            "test_a_late_proposal_is_rejected_with_that_reason_and_only_once",
            "test_a_proposal_for_a_task_that_is_forgotten_is_late",
            "test_late_proposal_is_rejected_once_after_a_restart_too",
        ),
    ),
    "tasks:budget": Requirement(
        source=TASKS,
        text="Proposals above a limit, or without the figures that count, are rejected at once with both numbers.",
        tests=(
            "test_a_bid_at_its_budget_is_taken_and_one_above_is_told_both_numbers",
            "test_a_proposal_that_cannot_win_is_rejected_at_once_with_the_reason",
            "test_a_figure_that_is_no_amount_is_malformed",
        ),
    ),
    "tasks:binding": Requirement(
        source=TASKS,
        text="The first proposal of a bidder binds; the award is made once all have answered, or at the deadline.",
        tests=(
            "test_a_second_proposal_changes_nothing",
            "test_the_award_is_made_as_soon_as_all_have_answered",
            "test_the_award_is_made_at_the_deadline_among_those_who_proposed",
        ),
    ),
    "tasks:winner": Requirement(
        source=TASKS,
        text="A winner that fails fails the task with its reason; one that is silent too long is told to stop.",
        tests=(
            "test_a_winner_that_fails_fails_the_task_with_its_reason",
            "test_a_winner_that_stays_silent_is_told_to_stop_and_it_counts_against_it",
            "test_a_winner_that_crashes_for_good_on_the_award_fails_the_task",
        ),
    ),
    "tasks:created-once": Requirement(
        source=REST,
        text="A task is on disk before it is told, and is created once under an id; another under that id is refused.",
        tests=(
            "test_nobody_hears_of_a_task_before_it_is_on_disk",
            "test_the_same_task_under_the_same_id_is_created_once_also_after_a_crash",
            "test_another_task_under_a_known_id_is_refused",
        ),
    ),
    "tasks:unreachable": Requirement(
        source=TASKS,
        text="Who has no room for the call is absent; an answer that finds a mailbox full comes later and once.",
        tests=(
            "test_who_has_no_room_for_the_call_is_absent_and_the_others_bid",
            "test_an_answer_that_finds_a_mailbox_full_comes_later_and_once",
            "test_a_winner_that_never_heard_of_its_award_is_rejected_and_has_broken_no_promise",
        ),
    ),
    "tasks:limits": Requirement(
        source=LIMITS,
        text="Open tasks are bounded in number and bytes; those that ended are forgotten, the oldest first.",
        tests=(
            "test_there_are_only_so_many_open_tasks",
            "test_open_tasks_may_only_grow_to_so_many_bytes",
            "test_the_oldest_that_ended_are_forgotten_when_there_are_too_many",
            "test_results_make_room_by_forgetting_the_oldest_tasks",
            "test_a_result_for_which_there_is_no_room_ends_the_task_all_the_same",
        ),
    ),
    "tasks:show": Requirement(
        source=CLI,
        text="task show tells bids, award, result and reasons; waiting for a task that is not done is exit code 9.",
        tests=(
            "test_show_tells_bids_award_result_and_reasons",
            "test_a_task_that_is_waited_for_and_not_done_is_a_failure",
            "test_who_waits_gets_the_task_once_it_has_ended_and_that_is_on_disk",
        ),
    ),
    # --- the referee -----------------------------------------------------------------------------------------
    "referee:out-of-place": Requirement(
        source=PROTOCOLS,
        text="What is out of place is not delivered: its sender is told what it may say; a client is refused.",
        tests=(
            "test_illegal_act_is_not_delivered_and_its_sender_learns_state_and_allowed_acts",
            "test_client_that_breaks_a_rule_is_refused_and_nothing_is_accepted",
            "test_third_agent_cannot_answer_for_another",
            "test_conversation_id_of_others_cannot_be_used_again",
            "test_not_understood_is_not_answered_in_the_same_way",
        ),
    ),
    "referee:free": Requirement(
        source=PROTOCOLS,
        text="Messages without a protocol are free, and those of an unknown one unless the workspace is strict.",
        tests=(
            "test_messages_without_protocol_are_free",
            "test_unknown_protocol_is_free_with_one_warning",
            "test_unknown_protocol_is_refused_where_it_is_strict",
        ),
    ),
    "referee:deadlines": Requirement(
        source=PROTOCOLS,
        text="Who was not answered in time hears of it once, also when the node was down meanwhile.",
        tests=(
            "test_initiator_hears_once_of_all_who_were_silent",
            "test_deadline_that_passed_while_the_node_was_down_is_told_at_start",
            "test_far_deadline_is_found_in_the_journal",
            "test_late_proposal_is_rejected_for_the_initiator_who_does_not_see_it",
        ),
    ),
    "referee:undeliverable": Requirement(
        source=PROTOCOLS,
        text="Who asked somebody who cannot handle it hears of that at once.",
        tests=("test_initiator_hears_at_once_when_its_request_becomes_a_dead_letter",),
    ),
    "referee:state": Requirement(
        source=PROTOCOLS,
        text="State and messages are of one commit, and conversations that memory cannot hold are in the journal.",
        tests=(
            "test_state_is_that_of_the_commit_after_a_crash",
            "test_what_a_failed_handler_said_changes_no_conversation",
            "test_one_that_left_memory_comes_back_with_its_state",
            "test_nothing_leaves_memory_before_it_is_on_disk",
        ),
    ),
    "referee:stale": Requirement(
        source=PROTOCOLS,
        text="A conversation ends when nothing is said for a day, or after a week, and who waits hears of it.",
        tests=("test_stale_conversation_ends_and_who_waits_hears_of_it",),
    ),
    "referee:deadlocks": Requirement(
        source=WAITS,
        text="A deadlock is named within a second, and nothing else is.",
        tests=(
            "test_three_that_wait_for_each_other_are_named_within_a_second",
            "test_ten_thousand_clean_conversations_raise_no_alarm",
        ),
    ),
    "referee:quota": Requirement(
        source=LIMITS,
        text="What conversations take is bounded: in memory, in the journal once they are over, as dead letters.",
        tests=(
            "test_those_of_which_nothing_was_heard_are_in_the_journal_only",
            "test_participants_count_towards_what_memory_holds",
            "test_answered_questions_leave_no_deadline_behind",
            "test_dead_letters_of_one_who_breaks_rules_all_the_time_are_bounded",
            "test_full_mailbox_gets_no_notice",
        ),
        gap="how many conversations one agent has open is bounded only by storage.max_journal, which is everybody's",
    ),
    "recorder:life": Requirement(
        source="docs/reference/recorder.md",
        text="What happened to every message is recorded, before anybody outside hears of it.",
        tests=(
            "test_effect_has_the_time_and_trace_of_its_cause",
            "test_record_is_there_before_the_reply_leaves",
            "test_failures_attempts_and_the_dead_letter_are_recorded_with_their_errors",
            "test_trap_is_recorded_with_its_reason",
            "test_message_without_receiver_and_sends_that_are_refused_are_recorded",
            "test_timer_that_fired_is_recorded_as_one",
            "test_message_that_was_in_hand_at_a_crash_is_recorded_at_the_start",
        ),
    ),
    "recorder:kill": Requirement(
        source="docs/reference/recorder.md",
        text="Records survive kill -9, and nothing torn is shown; a file of another version is put aside.",
        tests=(
            "test_no_torn_record_is_shown_after_a_kill",
            "test_no_torn_record_is_shown_after_two_hundred_kills",
            "test_whatever_is_read_was_written_in_that_order",
            "test_file_of_another_version_is_put_aside_and_a_new_one_begun",
            "test_disk_that_is_full_costs_only_the_records",
            "test_what_went_wrong_outlasts_a_flood_of_what_went_well",
            "test_message_that_waited_over_a_restart_has_its_own_time_and_trace",
        ),
    ),
    "recorder:bodies": Requirement(
        source="docs/reference/recorder.md",
        text="What was said is kept by whole conversations within a budget, the notable ones longest.",
        tests=(
            "test_notable_ones_go_only_when_no_other_is_left",
            "test_conversation_that_takes_too_much_is_given_up_whole",
            "test_under_load_no_conversation_is_kept_in_part",
            "test_notable_conversation_stays_whole_while_others_flood",
            "test_damaged_file_is_put_aside_and_begun_anew",
            "test_long_ids_count",
            "test_conversation_that_becomes_notable_is_taken_from_memory",
            "test_eviction_takes_whole_conversations_off_the_disk",
            "test_a_million_conversation_ids_are_not_remembered_for_ever",
        ),
    ),
    # --- replays ---------------------------------------------------------------------------------------------
    "replay:same": Requirement(
        source=REPLAY,
        text="What was recorded runs again byte for byte, also after a restart, whatever the guest uses.",
        tests=(
            "test_hundred_conversations_of_the_examples_replay_identically_after_a_restart",
            "test_guest_that_uses_all_the_host_has_does_the_same_bytes_again",
            "test_every_answer_of_the_host_counts",
            "test_answers_of_tools_are_recorded_and_no_tool_is_called_again",
            "test_failed_attempts_are_replayed_in_the_memory_that_they_left",
            "test_crashes_end_a_life_and_each_attempt_is_replayed_in_its_own",
            "test_start_that_failed_is_recorded_and_fails_again",
            "test_slices_and_limits_do_not_matter",
            "test_handling_that_ran_out_of_time_is_the_same_up_to_there",
            "test_handling_that_was_cut_off_is_the_end_of_its_life",
            "test_each_replica_has_a_recording_and_reads_what_the_others_wrote",
            "test_every_function_of_the_host_has_its_number",
        ),
    ),
    "replay:against": Requirement(
        source=REPLAY,
        text="The first difference is named: message, host call, what was expected and what came; exit 10.",
        tests=(
            "test_changed_module_is_caught_at_the_right_message_and_call",
            "test_end_of_a_handling_is_compared",
            "test_other_module_ends_with_10_and_the_first_difference",
            "test_difference_tells_what_was_expected_and_what_came",
        ),
    ),
    "replay:step-and-fork": Requirement(
        source=REPLAY,
        text="It stops before each message, also over a pipe; it goes on freely from a message, or an edited one.",
        tests=(
            "test_step_asks_before_each_message_and_obeys",
            "test_fork_goes_on_freely_and_shows_what_would_have_been_sent",
            "test_fork_shows_what_would_have_been_done_and_takes_an_edited_message",
            "test_fork_meets_the_state_that_the_recording_had_made",
            "test_fork_is_the_same_in_every_run_and_no_two_draws_are",
            "test_step_that_is_left_at_the_first_message_claims_nothing",
            "test_fork_from_the_start_compares_nothing_and_claims_nothing",
        ),
    ),
    "replay:offline": Requirement(
        source=REPLAY,
        text="A replay touches no live agent, network or tool.",
        tests=(
            "test_conversation_of_before_a_kill_is_replayed_stepped_through_and_tried_on_another_module",
            "test_fork_goes_on_freely_and_shows_what_would_have_been_sent",
        ),
    ),
    "replay:who-records": Requirement(
        source=REPLAY,
        text="Recording is switched while an agent runs and outlives a restart; who does not record pays nothing.",
        tests=(
            "test_it_is_switched_on_and_off_while_the_agent_runs_and_outlives_a_restart",
            "test_switching_it_on_waits_for_the_message_in_hand_and_loses_none",
            "test_agent_that_cannot_start_anew_goes_on_unrecorded",
            "test_agent_that_does_not_record_has_nothing_of_it_on_its_way",
        ),
    ),
    "replay:gaps": Requirement(
        source=REPLAY,
        text="Who took part and did not record is named, what was not recorded counted, how to record told.",
        tests=(
            "test_who_took_part_and_has_no_recording_is_named",
            "test_messages_of_before_the_recording_are_counted",
            "test_agents_without_a_recording_are_named",
            "test_nothing_recorded_is_an_error_that_says_how_to_record",
            "test_nothing_recorded_gives_the_reason_that_is_known",
            "test_who_records_and_has_nothing_of_it_is_not_said_not_to_record",
            "test_file_of_another_format_is_named_where_it_holds_what_is_asked_for",
            "test_unreadable_files_are_told_of_once_and_only_where_they_matter",
            "test_empty_id_of_an_unset_variable_is_refused",
        ),
    ),
    "replay:durable": Requirement(
        source=REPLAY,
        text="After a kill -9 nothing is missing that somebody was told of, and nothing torn is shown.",
        tests=(
            "test_whatever_was_acknowledged_is_recorded_whole_and_replays",
            "test_file_cut_off_anywhere_shows_whole_handlings_only",
            "test_what_a_kill_cut_off_is_no_damage_and_what_was_cut_out_is",
            "test_frame_that_was_lost_or_taken_from_elsewhere_ends_what_is_read",
        ),
        gap="a power cut may cost the last seconds of a recording: it is not synced",
    ),
    "replay:damaged": Requirement(
        source=REPLAY,
        text="A damaged recording is named with what is missing, is never called identical, and ends with 74.",
        tests=(
            "test_flipped_bit_is_damage_wherever_it_is_and_nothing_from_there_on_is_read",
            "test_damage_tells_which_handlings_are_lost",
            "test_what_is_damaged_is_not_said_to_have_never_been_recorded",
            "test_recording_damaged_in_the_middle_is_named_with_what_is_missing_and_never_identical",
            "test_damage_before_all_that_was_asked_for_is_told_too",
            "test_difference_before_the_damage_is_the_answer",
        ),
    ),
    "replay:bounded": Requirement(
        source=REPLAY,
        text="All recordings have a bound: the oldest lives of who takes most go first, whole; one life has a quarter.",
        tests=(
            "test_everything_together_stays_within_its_bound_and_the_oldest_goes_first_as_a_whole",
            "test_one_life_has_its_share_and_then_its_recording_ends_and_says_so",
            "test_recording_that_gets_too_large_ends_with_a_line_in_the_log",
            "test_module_goes_with_the_last_life_that_needs_it",
            "test_agent_that_crashes_all_the_time_lets_go_of_its_own_recordings",
            "test_lives_that_go_on_stay_as_long_as_others_are_over",
            "test_state_that_is_larger_than_a_life_may_be_is_refused_and_takes_nothing",
        ),
    ),
    "replay:bounded-work": Requirement(
        source=REPLAY,
        text="Recordings do not hold up a node: states, modules, deletions and what a start reads are for threads, and "
        "room is made in slices.",
        tests=(
            "test_modules_are_written_and_what_is_there_is_read_in_threads",
            "test_module_that_two_agents_write_at_once_is_whole_and_counts_once",
            "test_module_whose_deployment_is_not_waited_for_any_more_still_counts",
            "test_letting_go_of_a_life_looks_at_no_other_and_deletes_nothing_on_this_thread",
            "test_large_state_is_written_in_a_thread_before_anything_is_handled",
        ),
    ),
    "replay:trouble": Requirement(
        source=REPLAY,
        text="A recording that cannot be written costs no message; a file of another format is refused and left alone.",
        tests=(
            "test_recording_that_cannot_be_written_costs_no_message",
            "test_module_that_cannot_be_kept_costs_no_message",
            "test_module_that_the_disk_does_not_take_leaves_nothing",
            "test_half_a_module_that_another_run_left_goes_at_the_next_start",
            "test_disk_that_takes_half_of_a_frame_ends_the_recording_at_the_frame_before",
            "test_files_of_another_format_are_named_refused_and_left_as_they_are",
            "test_file_that_cannot_be_read_is_an_error",
            "test_recordings_are_not_for_everybody",
        ),
    ),
    # --- telemetry -------------------------------------------------------------------------------------------
    "telemetry:chain": Requirement(
        source=TELEMETRY,
        text="A collector sees messages as a chain of parents and children over agents, below the caller's span.",
        tests=(
            "test_collector_sees_a_chain_of_parents_over_five_agents",
            "test_effect_hangs_below_its_cause_whichever_is_seen_first",
            "test_refusal_hangs_below_the_handling_that_wanted_to_send",
            "test_clients_message_hangs_below_the_clients_span",
        ),
    ),
    "telemetry:kept": Requirement(
        source=TELEMETRY,
        text="What went wrong, came again or was slow is kept whatever the ratio, and comes first.",
        tests=(
            "test_what_goes_wrong_is_kept_without_any_sample",
            "test_trace_of_an_error_is_kept_whole_before_and_after",
            "test_slower_than_99_of_100_is_kept",
            "test_budget_holds_and_errors_come_first",
            "test_ratio_sinks_under_load_so_that_kept_traces_are_whole_and_rises_again",
            "test_flood_of_marked_traces_takes_its_share_for_minutes_and_nothing_of_it_stays",
            "test_marked_traces_that_are_kept_are_whole",
            "test_long_trace_of_more_than_its_share_does_not_drive_the_ratio_to_nothing",
            "test_what_may_have_gone_wrong_is_always_let_through",
            "test_traces_that_are_kept_are_always_let_through_in_their_order",
            "test_what_was_kept_is_not_kept_again_with_its_trace",
            "test_records_of_traces_are_found_among_the_last_as_they_were_recorded",
            "test_spans_without_budget_are_counted",
            "test_trouble_in_the_middle_of_the_load_is_told_once_and_the_traces_go_on",
            "test_state_that_always_fails_is_left_behind",
        ),
    ),
    "telemetry:dead-collector": Requirement(
        source=TELEMETRY,
        text="A collector that is dead, silent or out of order costs a counter, no message and no stop.",
        tests=(
            "test_useless_collector_costs_a_counter_and_no_message",
            "test_stop_does_not_wait_for_a_useless_collector",
            "test_collector_that_comes_back_gets_what_follows",
            "test_silent_collector_is_named_with_its_status_for_each_signal",
            "test_newest_figures_wait_and_older_ones_go",
            "test_what_finds_no_room_is_counted_and_nobody_waits",
            "test_records_that_nobody_looks_at_are_bounded_and_counted",
        ),
    ),
    "telemetry:off": Requirement(
        source=CONFIG,
        text="Without an endpoint nothing of OpenTelemetry is loaded.",
        tests=("test_opentelemetry_is_loaded_only_with_an_endpoint", "test_without_an_endpoint_there_is_nothing"),
    ),
    "telemetry:secrets": Requirement(
        source=CONFIG,
        text="Headers for the collector are sent to it alone and printed nowhere.",
        tests=(
            "test_value_of_a_header_is_never_printed",
            "test_header_that_is_wrong_is_not_printed_either",
            "test_header_is_not_shown_by_the_command",
            "test_headers_are_for_that_collector_alone",
        ),
    ),
    "telemetry:signals": Requirement(
        source=TELEMETRY,
        text="Figures arrive under the names of the metrics page, lines of the server's log and of agents' as records.",
        tests=(
            "test_figures_arrive_under_the_names_of_the_metrics_page",
            "test_lines_of_the_server_and_of_agents_arrive",
            "test_names_are_known_to_the_conventions_or_begin_with_caxton",
        ),
    ),
    "telemetry:context": Requirement(
        source=REST,
        text="W3C trace context is taken from a request if it keeps its rules, and told in the answer.",
        tests=(
            "test_span_of_the_caller_is_taken_up_with_its_trace",
            "test_span_of_a_caller_that_breaks_the_rules_is_not",
            "test_header_of_the_answer_tells_the_span_of_the_message",
            "test_message_that_was_accepted_before_has_no_span_to_tell",
        ),
        gap="tracestate is not carried on",
    ),
    # --- live figures ----------------------------------------------------------------------------------------
    "stats:figures": Requirement(
        source=REST,
        text="Live figures are of the window asked for, or say of which; what fails and what is in hand is told.",
        tests=(
            "test_busy_agent_has_rate_times_and_what_it_did_last",
            "test_agent_that_fails_is_in_trouble_with_breaker_queue_and_incidents",
            "test_message_that_is_in_hand_is_told_before_it_ends",
            "test_more_records_than_are_looked_at_cut_the_window_short_and_keep_rates_right",
            "test_node_without_a_recorder_has_counts_but_no_rates",
        ),
    ),
    "stats:cost": Requirement(
        source=LIMITS,
        text="Looking costs a bounded number of records, read beside the event loop, once for all who look.",
        tests=(
            "test_all_who_ask_at_once_are_given_the_same_answer",
            "test_records_are_read_beside_the_event_loop",
            "test_more_records_than_are_looked_at_cut_the_window_short_and_keep_rates_right",
        ),
    ),
    "top:screen": Requirement(
        source=CLI,
        text="caxton top sorts, narrows, pauses, looks into agents and conversations; with none and with 10,000.",
        tests=(
            "test_server_without_agents_is_shown_as_such",
            "test_ten_thousand_agents_are_a_page_and_a_count",
            "test_order_is_changed_by_key_and_by_heading",
            "test_filter_narrows_and_escape_widens",
            "test_pause_lets_everything_stand",
            "test_agent_is_looked_into_and_left_again",
            "test_conversation_is_looked_into_by_its_id",
            "test_once_prints_a_table_and_leaves",
            "test_once_can_be_put_in_order_and_narrowed",
        ),
    ),
    "top:server-gone": Requirement(
        source=CLI,
        text="A live screen waits for a server that restarts and says so; one that hangs stops neither keys nor end.",
        tests=(
            "test_server_that_restarts_is_waited_for_and_told",
            "test_connection_that_breaks_without_a_restart_is_no_restart",
            "test_server_that_hangs_stops_neither_the_keys_nor_the_end",
            "test_restart_is_told_and_makes_no_false_curve",
        ),
    ),
    "top:terminal": Requirement(
        source=CLI,
        text="Without a terminal live screens say what to use instead; no text steers one; other commands load none.",
        tests=(
            "test_live_screen_without_a_terminal_says_what_to_use_instead",
            "test_text_of_others_cannot_steer_the_terminal",
            "test_commands_but_the_live_ones_do_without_textual",
            "test_error_of_ours_ends_the_screen_and_shows_no_variables",
        ),
    ),
    "monitor:dashboard": Requirement(
        source=CLI,
        text="caxton monitor draws what happened between two looks, limits as bars, what went wrong and what to do.",
        tests=(
            "test_curves_are_what_happened_between_two_looks",
            "test_resources_are_bars_of_their_limits",
            "test_what_went_wrong_stays_when_the_window_has_moved_on",
            "test_warnings_stand_at_the_top_with_what_to_do",
            "test_small_terminal_shows_fewer_curves",
        ),
    ),
    "status:warnings": Requirement(
        source=CLI,
        text="caxton status names what somebody should look at, each with what to do, and nothing else.",
        tests=(
            "test_each_thing_is_told_once_with_what_to_do",
            "test_little_is_not_told",
            "test_server_that_is_well_is_told_nothing",
            "test_status_warns_and_says_what_to_do",
        ),
    ),
    # --- looking into agents ---------------------------------------------------------------------------------
    "debug:figures": Requirement(
        source="docs/howto/look-into-an-agent.md",
        text="One line tells an agent's memory, queue and tool calls, from the instances and the flight recorder.",
        tests=(
            "test_the_line_is_that_of_the_founding_documents",
            "test_figures_are_those_of_the_flight_recorder_and_the_instances",
            "test_rates_are_those_that_the_live_figures_have",
            "test_rates_of_a_recorder_that_has_turned_over_are_of_what_it_still_has",
            "test_calls_of_tools_are_counted_beside_handlings",
            "test_of_the_servers_own_agents_figures_and_mail_are_seen_and_the_rest_is_refused",
            "test_memory_that_has_grown_is_seen",
        ),
    ),
    "debug:mailbox": Requirement(
        source="docs/howto/look-into-an-agent.md",
        text="What waits is shown in its order, with what is in hand and since when; bounded.",
        tests=(
            "test_mail_is_shown_in_its_order_with_what_is_in_hand",
            "test_message_that_is_to_be_repeated_is_shown_as_paused_with_those_behind_it",
            "test_stopped_agent_has_mail_and_state_and_no_inside",
        ),
    ),
    "debug:inside": Requirement(
        source="docs/howto/look-into-an-agent.md",
        text="State and memory are shown within bounds, never steer a terminal, and not to everybody.",
        tests=(
            "test_state_is_shown_as_text_or_in_hex_and_cut",
            "test_state_is_filtered_by_prefix_and_bounded",
            "test_memory_is_that_of_the_guest_and_its_end_is_a_wall",
            "test_only_those_may_look_who_may_see_that_much",
            "test_values_out_of_bounds_are_refused",
        ),
    ),
    "debug:stack": Requirement(
        source="docs/howto/look-into-an-agent.md",
        text="A busy guest is found where it is, by function and source line, and notices nothing.",
        tests=(
            "test_spinning_guest_is_found_where_it_spins_and_with_what",
            "test_module_with_debug_information_is_shown_by_lines_of_its_source",
            "test_guest_that_is_looked_at_all_the_time_computes_the_same_and_goes_on_working",
            "test_idle_agent_is_not_running",
            "test_guest_that_gets_no_slice_is_said_to_be_so",
            "test_no_bytes_make_it_fail",
        ),
    ),
    "debug:profile": Requirement(
        source="docs/howto/look-into-an-agent.md",
        text="A profile has every function that ran, of short handlings too; while nobody profiles nothing is sampled.",
        tests=(
            "test_profile_has_the_functions_that_ran_and_a_sample_for_each_slice",
            "test_short_handlings_are_seen_too",
            "test_profile_has_what_the_page_that_shows_it_needs_and_the_whole_depth_of_a_stack",
            "test_profile_of_a_busy_agent_has_its_functions_and_ends_when_the_node_stops",
            "test_profile_goes_on_with_the_instance_that_follows_a_crash",
            "test_whoever_leaves_ends_the_profile",
            "test_nobody_looking_leaves_slices_as_they_are",
            "test_wasmtime_without_a_profiler_is_said_so",
        ),
    ),
    "debug:bundle": Requirement(
        source="docs/howto/look-into-an-agent.md",
        text="An archive for a bug report has no secret, wherever one stood; bodies, state and memory are not in it.",
        tests=(
            "test_bug_report_has_every_part_and_no_secret_planted_anywhere",
            "test_values_of_secret_settings_are_nowhere_in_a_bug_report",
            "test_archive_has_no_secret_though_every_source_was_full_of_them",
            "test_secret_is_removed_and_something_says_so",
            "test_archive_is_made_without_a_server_too",
        ),
    ),
    "debug:bundle-cost": Requirement(
        source="docs/howto/look-into-an-agent.md",
        text="A bug report is gathered in small steps: the server goes on working, whatever stands in logs.",
        tests=(
            "test_bug_report_of_hostile_text_is_made_in_small_steps_beside_the_event_loop",
            "test_no_piece_is_longer_than_it_may_be_and_short_lines_are_all_there",
        ),
    ),
    "health:reasons": Requirement(
        source=REST,
        text="/ready lists every reason why no work is taken, with what to do.",
        tests=(
            "test_a_server_that_starts_lives_and_is_not_ready",
            "test_every_reason_is_told_the_gravest_first",
            "test_every_cause_that_closes_the_intake_has_words_of_its_own",
        ),
    ),
    "doctor:measures": Requirement(
        source=CLI,
        text="doctor runs a guest, measures syncs and clocks, looks at memory, keys, certificate and recorder.",
        tests=(
            "test_self_check_finds_nothing_wrong_here",
            "test_each_sync_is_really_asked_for_and_nothing_is_left_behind",
            "test_slow_disk_is_warned_of",
            "test_clock_that_was_never_set_fails",
            "test_limit_on_address_space_fails",
            "test_key_file_open_to_others_fails_with_the_way_to_close_it",
            "test_recorder_that_is_off_foreign_or_of_another_version_is_warned_of",
            "test_recorder_has_the_size_of_its_file_and_is_on_if_the_server_says_so",
            "test_certificate_out_of_its_time_fails_and_shortly_before_its_end_is_warned_of",
            "test_certificate_that_cannot_be_used_with_its_key_fails",
            "test_doctor_with_a_damaged_contexts_file_asks_the_server_that_is_named",
            "test_server_of_another_version_or_that_takes_no_work_is_warned_of",
        ),
    ),
    # --- metrics and monitoring ------------------------------------------------------------------------------
    "metrics:catalogue": Requirement(
        source=METRICS,
        text="Every figure is given under its name with its own labels, and none of them is a name or an id.",
        tests=(
            "test_every_metric_has_a_line_and_every_line_its_metric",
            "test_every_metric_of_the_catalogue_is_given_with_its_own_labels",
            "test_nothing_that_agents_clients_or_messages_bring_along_is_a_label",
            "test_requests_count_under_their_route_and_not_their_path",
            "test_what_strangers_make_up_makes_no_series",
        ),
    ),
    "metrics:truth": Requirement(
        source=METRICS,
        text="They count what happened: messages, failures, repetitions, refusals, deployments, commits, waiting.",
        tests=(
            "test_messages_are_counted_from_sending_to_settling",
            "test_failures_crashes_and_repetitions_are_told_apart",
            "test_redelivery_after_a_crash_of_the_node_is_told_apart",
            "test_refused_messages_are_counted_by_reason",
            "test_logs_and_recordings_are_measured_and_lost_lines_counted",
            "test_deployments_are_counted_by_how_they_end",
            "test_commits_say_how_many_messages_they_wrote_and_how_long_the_disk_took",
            "test_age_is_that_of_the_oldest_message_that_waits_anywhere",
            "test_loop_that_is_held_up_is_late_by_as_much",
        ),
    ),
    "metrics:errors": Requirement(
        source=METRICS,
        text="Errors are those of the server and its agents; wrong requests and answers to probes are not.",
        tests=(
            "test_wrong_requests_are_refusals_and_not_errors",
            "test_what_fails_within_is_an_error_by_its_code",
            "test_answers_to_probes_are_no_errors",
            "test_every_error_is_counted_from_zero_on_since_only_what_grows_raises_an_alarm",
        ),
    ),
    "metrics:cost": Requirement(
        source=METRICS,
        text="A scrape gives way to messages, however many agents there are.",
        tests=("test_census_of_many_agents_gives_way_to_others",),
    ),
    "metrics:up": Requirement(
        source=METRICS,
        text="Prometheus finds each agent that is meant to run and is told whether it is up.",
        tests=(
            "test_each_agent_that_is_meant_to_run_is_a_target_at_the_address_that_was_asked",
            "test_agent_of_which_no_instance_is_up_is_down",
            "test_agents_that_crash_and_requests_that_fail_set_off_alarms",
        ),
    ),
    "metrics:token": Requirement(
        source=REST,
        text="There is a token that reads metrics and nothing else.",
        tests=(
            "test_a_monitor_reads_metrics_and_nothing_else",
            "test_token_for_monitoring_reads_metrics_and_nothing_else",
            "test_token_of_more_rights_in_the_monitors_place_is_replaced",
        ),
    ),
    "monitoring:alarms": Requirement(
        source=MONITORING,
        text="Alarms go off when they should and not otherwise, in a real Prometheus on a real server.",
        tests=(
            "test_alarms_of_the_founding_documents_are_there_as_they_were_written",
            "test_every_alarm_has_a_case_in_which_it_goes_off_and_one_in_which_it_does_not",
            "test_every_alarm_goes_off_when_it_should_and_not_otherwise",
            "test_dead_letters_and_open_circuits_set_off_alarms",
        ),
    ),
    "desk:decisions": Requirement(
        source="docs/reference/tools.md",
        text="What a person decides about a tool or a call is on disk before it is told, and the log has who did.",
        tests=(
            "test_decision_is_on_disk_before_it_is_told_and_in_the_servers_log",
            "test_granted_call_goes_on_and_is_remembered_on_disk",
            "test_denied_call_is_refused",
        ),
    ),
    "desk:rights": Requirement(
        source="docs/reference/tools.md",
        text="Who may only look decides nothing about tools and calls none.",
        tests=(
            "test_who_may_only_look_decides_nothing_and_calls_nothing",
            "test_who_may_only_look_decides_nothing",
        ),
    ),
    "desk:approve-what-was-shown": Requirement(
        source="docs/reference/tools.md",
        text="What is approved is what was shown, and what changed is shown first.",
        tests=(
            "test_changed_tool_is_shown_as_it_was_approved_and_as_it_is",
            "test_approving_shows_what_changed_first",
            "test_what_is_approved_with_yes_is_what_was_shown",
            "test_what_is_approved_is_what_was_looked_at",
            "test_nothing_is_approved_that_nobody_looked_at",
        ),
    ),
    "desk:down": Requirement(
        source="docs/reference/tools.md",
        text="A source that is down or hangs hides no others, and can be shut but not approved.",
        tests=(
            "test_source_that_is_down_can_be_looked_at_and_shut_but_not_called_or_approved",
            "test_source_that_hangs_hides_no_tools_of_others",
        ),
    ),
    "monitoring:boards": Requirement(
        source=MONITORING,
        text="Boards and alarms ask for what the server gives, and every figure is on a board.",
        tests=(
            "test_metrics_and_labels_that_are_asked_for_exist",
            "test_values_of_labels_that_are_asked_for_are_on_the_page",
            "test_every_metric_is_on_a_board",
            "test_queries_of_a_board_can_be_read",
        ),
    ),
    "observed:cost": Requirement(
        source="docs/decisions/0009-the-flight-recorder.md",
        text="With everything on the node keeps nine tenths of its throughput with everything off.",
        tests=(
            "test_first_records_of_each_look_are_all_let_through",
            "test_busy_node_remembers_fewer_and_later_more_again",
        ),
        gap="0.93 with the flight recorder, 0.92 with telemetry and a scrape a second as well, 0.893 while somebody "
        "looks at caxton top (bench/observed.py)",
    ),
    # --- egress6 ---
    "egress:listed": Requirement(
        source=TOOLS,
        text="Only hosts and ports that are listed are reached, and no packet leaves for any other address.",
        tests=(
            "test_no_packet_of_a_fetch_goes_where_it_must_not",
            "test_no_packet_of_an_mcp_client_goes_where_it_must_not",
            "test_what_is_not_listed_is_refused_before_any_connection",
            "test_what_may_not_be_reached_is_a_502_without_a_connection",
            "test_name_is_permitted_with_its_port_only",
            "test_wildcard_permits_all_names_below_and_not_the_name_itself",
        ),
    ),
    "egress:private": Requirement(
        source=TOOLS,
        text="A name opens no address that is not public, whatever its DNS says, unless the address is listed itself.",
        tests=(
            "test_what_may_be_near_is_not_public",
            "test_name_opens_no_private_address_but_a_listed_one_with_that_port",
            "test_name_that_stands_for_an_address_that_is_not_listed_is_refused",
            "test_name_that_changes_its_address_is_checked_each_time_and_asked_once",
        ),
    ),
    "egress:name": Requirement(
        source=TOOLS,
        text="Certificate and SNI stay with the name though the connection goes to an address.",
        tests=("test_certificate_is_checked_for_the_name_and_the_name_is_told_to_the_server",),
    ),
    "egress:urls": Requirement(
        source=TOOLS,
        text="A URL that can be read in two ways is refused.",
        tests=("test_odd_url_is_refused", "test_any_text_is_a_target_or_refused"),
    ),
    "egress:redirects": Requirement(
        source=TOOLS,
        text="Each redirect is checked like a request, and what is private stays behind when it leaves the origin.",
        tests=(
            "test_redirect_is_looked_at_as_if_it_had_been_asked_for",
            "test_secret_and_login_stay_behind_when_a_redirect_leaves_the_origin",
            "test_redirects_without_end_are_unreachable",
        ),
    ),
    "egress:secrets": Requirement(
        source=TOOLS,
        text="Secrets are filled in for the listed host, and an echo of one comes back as its placeholder.",
        tests=(
            "test_secret_is_filled_in_and_never_comes_back",
            "test_secret_that_is_unknown_or_would_break_the_header_is_refused",
            "test_no_cut_shows_the_beginning_of_a_secret",
        ),
    ),
    "egress:bounds": Requirement(
        source=TOOLS,
        text="Time and size of an answer have an end, whatever the other machine sends.",
        tests=(
            "test_body_is_cut_where_the_limit_is_and_the_rest_is_not_waited_for",
            "test_body_that_drips_ends_at_the_deadline",
            "test_server_that_never_answers_and_name_that_is_never_resolved_end_at_the_deadline",
            "test_packed_body_stays_packed",
            "test_endless_answer_is_a_502_and_its_connection_ends",
            "test_body_in_single_bytes_leaves_others_their_turn",
            "test_answers_before_the_answer_leave_others_their_turn",
        ),
    ),
    "egress:headers": Requirement(
        source=TOOLS,
        text="A request brings no header that says where it ends or whom it is for.",
        tests=("test_header_that_would_say_what_is_not_its_to_say_is_refused",),
    ),
    "tools:http": Requirement(
        source=TOOLS,
        text="The tool http answers as its schemas say, and what goes wrong is told as trouble.",
        tests=(
            "test_text_comes_as_text_with_status_and_headers",
            "test_long_body_is_cut_and_says_so_and_no_letter_is_cut_through",
            "test_what_goes_wrong_is_told_as_trouble",
        ),
    ),
    # --- client6 ---
    "mcp:revisions": Requirement(
        source=TOOLS,
        text="Servers of three revisions list all their pages, answer, and are heard when their tools change.",
        tests=(
            "test_server_of_each_revision_lists_all_its_pages_answers_and_tells_of_changes",
            "test_auto_falls_back_to_the_handshake_of_an_older_server",
        ),
    ),
    "mcp:given": Requirement(
        source=TOOLS,
        text="A program gets exactly its environment and no open file of the server.",
        tests=(
            "test_its_environment_is_exactly_what_is_written",
            "test_it_gets_no_open_file_of_the_node",
        ),
    ),
    "mcp:life": Requirement(
        source=TOOLS,
        text="Servers are started by a call, started again after a back-off, and closed when idle.",
        tests=(
            "test_nothing_is_started_before_the_first_call",
            "test_call_ends_at_once_when_its_server_dies_and_the_server_comes_back_after_a_while",
            "test_back_off_grows_with_each_death_and_who_calls_meanwhile_hears_at_once",
            "test_server_that_nobody_calls_is_closed_and_started_again_when_somebody_does",
            "test_server_that_works_is_not_idle",
        ),
    ),
    "mcp:end": Requirement(
        source=TOOLS,
        text="Ending a server ends what it started, within a bounded time, whatever it ignores.",
        tests=(
            "test_closing_ends_the_server_with_all_it_started",
            "test_server_that_dies_takes_with_it_what_it_started",
            "test_server_that_hangs_in_its_handshake_is_ended_after_its_time",
            "test_death_is_noticed_although_somebody_else_holds_the_output",
        ),
    ),
    "mcp:deadline": Requirement(
        source=TOOLS,
        text="A call ends at its deadline whatever the server does, and is taken back from it.",
        tests=(
            "test_hanging_server_costs_its_caller_no_more_than_the_deadline",
            "test_server_that_does_not_read_does_not_hold_up_whoever_gives_up",
            "test_progress_is_seen_and_keeps_no_call_alive_past_its_deadline",
            "test_call_that_is_given_up_is_taken_back_from_the_server",
            "test_late_answer_after_a_call_was_given_up_is_nobodys",
        ),
    ),
    "mcp:alone": Requirement(
        source=TOOLS,
        text="What goes wrong in one call is the failure of that call.",
        tests=(
            "test_answer_that_is_too_large_is_the_failure_of_its_call_alone",
            "test_bad_answer_fails_its_call_at_once_and_no_other",
            "test_what_goes_wrong_in_one_call_is_the_failure_of_that_call",
            "test_what_is_no_message_is_told_as_noise_and_the_call_is_answered",
        ),
    ),
    "mcp:floods": Requirement(
        source=TOOLS,
        text="Floods of notices, noise and pages are bounded.",
        tests=(
            "test_flood_of_notices_is_told_as_few_changes",
            "test_list_of_tools_has_an_end",
            "test_noise_of_a_flood_is_counted_and_told_later",
            "test_who_floods_is_read_more_slowly_and_who_does_not_is_not",
        ),
    ),
    "mcp:key": Requirement(
        source=TOOLS,
        text="Calls carry the idempotency key and the trace.",
        tests=("test_server_is_told_who_asks_again_and_of_which_trace",),
    ),
    # --- wasm6 ---
    "tools:sandbox:speaks": Requirement(
        source=TOOLS,
        text="A WASI command that speaks MCP lists its tools and answers calls, one instance for each call in hand.",
        tests=(
            "test_tool_of_the_examples_lists_its_tools_and_counts",
            "test_calls_at_once_have_instances_of_their_own_up_to_the_concurrency",
            "test_example_tool_is_built_from_its_source",
        ),
    ),
    "tools:sandbox:files": Requirement(
        source=TOOLS,
        text="It opens files beneath granted directories only; no link, no `..` and no rename leads out.",
        tests=(
            "test_without_a_grant_no_file_opens",
            "test_no_way_leads_out_and_no_link_is_followed",
            "test_links_out_are_neither_made_nor_gone_through_by_other_calls",
            "test_read_only_directory_stays_as_it_is",
            "test_pipe_in_a_granted_directory_holds_nobody",
        ),
    ),
    "tools:sandbox:environment": Requirement(
        source=TOOLS,
        text="It has exactly the environment that was granted.",
        tests=("test_environment_is_exactly_what_was_granted",),
    ),
    "tools:sandbox:limits": Requirement(
        source=TOOLS,
        text="One that computes, allocates, writes or waits without end is stopped, and holds up nobody else.",
        tests=(
            "test_spin_ends_at_its_cpu_time_while_others_go_on",
            "test_memory_bomb_gets_no_more_than_its_memory",
            "test_endless_line_is_cut_off_at_the_result_cap",
            "test_endless_lines_are_ended_and_heard_of_only_in_part",
            "test_call_that_is_over_its_deadline_is_ended_and_the_next_one_answered",
            "test_tool_that_sleeps_holds_nobody_and_is_woken",
            "test_one_slice_is_run_in_each_round_of_the_loop",
        ),
    ),
    "tools:sandbox:ends": Requirement(
        source=TOOLS,
        text="One that traps fails its call only, starts again at the next, and with a pause if it goes on so.",
        tests=(
            "test_end_in_the_middle_of_a_call_fails_it_and_the_next_call_has_a_new_instance",
            "test_end_again_and_again_makes_the_source_wait_before_it_starts_once_more",
            "test_idle_instances_are_closed_after_a_while",
        ),
    ),
    "tools:sandbox:noise": Requirement(
        source=TOOLS,
        text="What it writes beside the protocol is no answer, and goes to its log in bounded lines.",
        tests=("test_logs_on_stdout_and_stderr_are_noise_and_no_answer", "test_question_of_the_tool_is_refused"),
    ),
    # --- builtin6 ---
    "builtin:answers": Requirement(
        source=TOOLS,
        text="Whatever a built-in tool does wrong is its answer; at its deadline nobody waits for it any more.",
        tests=(
            "test_what_a_function_raises_is_its_answer_and_never_passes",
            "test_what_a_coroutine_raises_is_its_answer_too",
            "test_coroutine_that_outlasts_its_deadline_is_cancelled",
            "test_one_that_will_not_be_cancelled_holds_up_nobody",
            "test_work_that_hangs_takes_a_thread_and_the_others_go_on",
        ),
    ),
    "builtin:state": Requirement(
        source=TOOLS,
        text="State is the same in SQLite, Redis and PostgreSQL: whole changes, one winner, spaces apart and bounded.",
        tests=(
            "test_what_was_set_is_there_and_the_last_value_counts",
            "test_spaces_do_not_see_each_other",
            "test_keys_come_in_the_order_of_their_bytes_and_only_those_with_the_prefix",
            "test_compare_and_set_changes_only_what_is_as_expected",
            "test_of_many_at_once_one_wins",
            "test_space_takes_so_many_entries_and_no_more",
            "test_space_takes_so_many_bytes_of_keys_and_values_and_no_more",
            "test_workspaces_share_nothing_and_agents_what_they_are_to",
        ),
    ),
    "builtin:state:repeated": Requirement(
        source=TOOLS,
        text="A compare_and_set that is repeated under its idempotency key is told what the first one did.",
        tests=(
            "test_compare_and_set_that_is_repeated_is_told_that_it_was_done",
            "test_call_that_is_repeated_after_a_crash_is_told_the_same",
        ),
    ),
    "builtin:files": Requirement(
        source=TOOLS,
        text="Nothing outside of the folder is read, written or named; no link is followed, no pipe or device opened.",
        tests=(
            "test_path_that_is_not_inside_by_its_looks_is_refused",
            "test_symbolic_link_is_never_followed",
            "test_directory_that_is_a_symbolic_link_is_never_entered",
            "test_pipe_socket_or_device_is_neither_opened_nor_written",
            "test_file_with_another_name_outside_is_not_written_through",
            "test_folder_that_is_gone_is_unavailable_and_its_place_is_only_for_the_operator",
        ),
    ),
    "builtin:files:room": Requirement(
        source=TOOLS,
        text="A folder holds no more bytes and files than it may, and what is written is there whole or not at all.",
        tests=(
            "test_no_more_bytes_or_files_than_the_folder_may_have",
            "test_write_replaces_unless_it_may_not",
            "test_what_an_interrupted_write_left_goes_after_a_while",
        ),
    ),
    "builtin:time": Requirement(
        source=TOOLS,
        text="The time is told in UTC and in a zone, without waiting.",
        tests=("test_now_is_told_in_utc_and_without_waiting", "test_now_is_told_in_a_zone"),
    ),
    "builtin:sql": Requirement(
        source=TOOLS,
        text="One statement that reads; nothing is changed, reached beside it or left behind, however it is written.",
        tests=(
            "test_nothing_is_changed",
            "test_what_leads_out_of_the_file_is_refused",
            "test_what_would_do_more_than_read_is_refused",
            "test_statement_leaves_nothing_in_its_session",
            "test_role_that_can_do_more_than_read_is_refused",
        ),
    ),
    "builtin:sql:bounded": Requirement(
        source=TOOLS,
        text="A query has an end in time, rows, bytes and memory, and ends in the database when nobody waits for it.",
        tests=(
            "test_no_more_rows_than_wanted",
            "test_no_more_bytes_than_wanted",
            "test_first_row_that_is_too_large_is_an_error",
            "test_endless_statement_ends_at_its_time",
            "test_query_that_nobody_waits_for_ends_in_the_server",
            "test_what_needs_too_much_memory_is_ended",
        ),
    ),
    "builtin:secrets": Requirement(
        source=TOOLS,
        text="A password in a URL is in no answer, error or view.",
        tests=(
            "test_url_that_is_none_is_refused_and_not_repeated",
            "test_store_that_cannot_be_reached_is_unavailable_and_says_why_only_to_the_operator",
        ),
    ),
    # --- server6 ---
    "mcp-server:revisions": Requirement(
        source=TOOLS,
        text="Stock clients of three revisions send, trace, list, and ask what is exposed, over HTTP and over pipes.",
        tests=(
            "test_stock_client_asks_an_agent_and_finds_the_answer_in_the_trace",
            "test_message_is_sent_with_and_without_waiting",
            "test_stock_client_asks_agents_over_pipes_and_is_told_of_changes",
        ),
    ),
    "mcp-server:conformance": Requirement(
        source=TOOLS,
        text="The official conformance suite misses exactly what is not offered.",
        tests=("test_official_suite_fails_exactly_where_something_is_not_offered",),
    ),
    "mcp-server:permissions": Requirement(
        source=TOOLS,
        text="The same tokens and roles as REST; a session is its principal's.",
        tests=(
            "test_without_a_token_nobody_is_let_in",
            "test_viewer_sees_and_calls_only_what_a_viewer_may",
            "test_session_of_another_principal_is_not_there",
            "test_other_sites_page_is_refused",
            "test_role_of_the_token_decides_over_pipes_as_well",
        ),
    ),
    "mcp-server:exposure": Requirement(
        source=TOOLS,
        text="A tool is there while what is exposed is there; who listed the tools is told of changes.",
        tests=(
            "test_what_cannot_be_a_tool_is_refused_and_nothing_has_changed",
            "test_what_is_exposed_is_on_disk_when_the_change_is_answered",
            "test_agent_that_is_removed_meanwhile_is_no_tool_any_more",
            "test_session_is_told_when_tools_come_and_go",
            "test_listener_of_the_present_revision_is_told_as_well",
        ),
    ),
    "mcp-server:calls": Requirement(
        source=TOOLS,
        text="A call is waited for as long as its caller said, ends with it, and carries its trace.",
        tests=(
            "test_agent_that_never_answers_is_waited_for_as_long_as_the_caller_said",
            "test_cancelled_call_is_not_waited_for_any_more",
            "test_trace_context_of_the_call_is_that_of_the_message",
            "test_wrong_arguments_are_told_to_the_model",
        ),
    ),
    "tools:depth": Requirement(
        source=TOOLS,
        text="A tool that calls the agent that called it ends at a depth.",
        gap="the broker refuses what is too deep, but the depth is not carried through messages and /mcp yet",
    ),
    "tools:guest-interface": Requirement(
        source=TOOLS,
        text="A module may have its tools as exports, and a way out to listed hosts.",
        gap="only WASI commands that speak MCP are run, without a way out; anything else stops the start",
    ),
    "tools:ask-agents": Requirement(
        source=TOOLS, text="Other agents can be asked as a built-in tool.", gap="MCP clients can, agents send messages"
    ),
    "tools:repetition-after-a-death": Requirement(
        source=TOOLS,
        text="An idempotent call that got no answer is asked once more.",
        gap="if the server died of it, the repetition comes within its back-off and fails as well",
    ),
    "tools:silent-changes": Requirement(
        source=TOOLS,
        text="A tool that changes is not called.",
        gap="a server that changes one without a notice is found out at its next start",
    ),
    # --- not there yet ---------------------------------------------------------------------------------------
}
