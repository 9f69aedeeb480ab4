"""What the product was tried against: faults of other gateways that people reported in public, and what an attacker
would try. For each kind: where its right values are tests of ours, and at least three neighbours that nobody reported,
in other names, encodings or places.

The table is checked: a test that is renamed or a neighbour that is taken out is missed here.
"""

import ast
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

HERE: Final = Path(__file__).resolve().parent
FEWEST_NEIGHBOURS: Final = 3


class Kind(NamedTuple):
    """``tests`` as ``file::function``; ``neighbours`` are literals that stand in those files. ``name`` begins with its
    number among the reports that were handed to us, h for what an attacker tries."""

    name: str
    tests: tuple[str, ...]
    neighbours: tuple[str, ...]


KINDS: Final = [
    Kind(
        "01 a closing comment in a block of its own",
        (
            "proxy/dialects/test_openai_chat.py::test_a_stream_ends_with_its_cost_in_no_block_of_its_own",
            "proxy/dialects/test_openai_chat.py::test_the_official_client_finds_no_event_without_data_at_the_end",
            "proxy/test_npm_client.py::test_every_stream_is_read_to_its_end_fresh_and_from_the_cache",
        ),
        (r'b"event: message\n"', r'b"id: 7\nevent: message\n"', r'data: {"usage":\ndata: 1}'),
    ),
    Kind(
        "02 events without data, and other events that only the books cannot read",
        (
            "proxy/test_vendors.py::test_what_only_the_books_cannot_read_breaks_no_stream",
            "proxy/core/test_sse.py::test_the_end_of_a_stream_may_have_blanks_around_it",
            "proxy/core/test_sse.py::test_an_event_that_was_not_closed_is_closed",
        ),
        ("byte order mark", "blank behind", "no blank line", "no number", r'b"[DONE]\t "'),
    ),
    Kind(
        "03 halves of a character",
        (
            "proxy/test_vendors.py::test_half_a_character_in_a_name_keeps_no_money_from_being_settled",
            "proxy/upstreams/test_openai.py::test_halves_of_a_character_come_together_in_the_count",
            "proxy/upstreams/test_refusals.py::test_halves_of_characters_can_be_told_on",
        ),
        (r"c\\udc00", r"an emoji\\ud83c", r"st\\ud83d"),
    ),
    Kind(
        "04 an upgrade that is offered",
        (
            "serve/test_framing.py::test_a_request_that_offers_another_protocol_is_served",
            "serve/test_framing.py::test_two_lengths_behind_an_offer_are_two_lengths",
            "serve/test_desync.py::test_no_request_ends_elsewhere",
        ),
        ('"websocket"', '"TLS/1.2"', '"IRC/6.9"', "connection: close, upgrade"),
    ),
    Kind(
        "05 a compressed body",
        (
            "proxy/core/test_encodings.py::test_what_cannot_be_unpacked_is_named",
            "proxy/core/test_encodings.py::test_a_body_is_unpacked",
            "proxy/core/test_encodings.py::test_a_few_bytes_do_not_become_gigabytes",
        ),
        ('"br"', '"gzip, gzip"', '"x-gzip"', "raw_deflate(BODY)", 'gzip.compress(BODY, mtime=0) + b"\\0"'),
    ),
    Kind(
        "06 a refusal within a 200",
        (
            "proxy/test_vendors.py::test_refusals_keep_their_words_and_status_and_cost_nothing",
            "proxy/upstreams/test_refusals.py::test_a_refusal_in_the_clothes_of_an_answer",
        ),
        ("a status as a text", "a word for a code", "nothing said of why", '{"errors": [{"message": "No."}]}'),
    ),
    Kind(
        "07 shapes of errors",
        (
            "proxy/upstreams/test_refusals.py::test_words_codes_and_statuses_in_every_shape",
            "proxy/upstreams/test_refusals.py::test_words_that_are_no_json",
            "proxy/upstreams/test_refusals.py::test_when_to_come_again",
        ),
        ("a problem document", "Cloudflare", "Baidu", "Monday, 02-Mar-26 12:00:20 GMT"),
    ),
    Kind(
        "08 thoughts that stand in the total alone",
        (
            "proxy/upstreams/test_usage.py::test_what_geminis_total_has_more_is_thought_and_billed_as_output",
            "proxy/upstreams/test_usage.py::test_reports_that_do_not_add_up",
            "proxy/upstreams/test_usage.py::test_the_same_call_in_every_vendors_words",
        ),
        ("# SGLang: reasoning at the top", "# xAI: reasoning beside the completion", '"total_tokens": 200}'),
    ),
    Kind(
        "09 another tier, or another model, answers",
        (
            "proxy/core/test_answered.py::test_the_tier_that_answered_is_billed",
            "proxy/core/test_answered.py::test_the_model_that_answered_is_billed",
            "proxy/core/test_demand.py::test_a_speed_is_a_tier",
        ),
        ('("default", "scale"', '"/models/small.gguf"', '("auto", "flex"', '"speed": "fast"'),
    ),
    Kind(
        "10 11 long contexts, and tokens of pictures",
        (
            "proxy/core/test_price_situations.py::test_a_call_costs_what_the_provider_bills",
            "proxy/core/test_answered.py::test_sound_and_pictures_that_are_charged_as_text_are_no_exact_cost",
        ),
        (
            *("gpt-5.4 at its last short length", "gpt-5.4, long by what is cached", "a marginal tier"),
            *("gemini-3-pro-image draws", "gpt-image-1.5 edits a picture", "gpt-realtime is shown a picture"),
        ),
    ),
    Kind(
        "15 both output limits",
        (
            "proxy/test_vendors.py::test_one_output_limit_and_the_other_one_where_that_is_refused",
            "proxy/upstreams/test_habits.py::test_the_field_of_our_limit_goes_by_host_and_model",
        ),
        ('"azure:GPT-5"', "openai.azure.com.evil.example", "cannot be set at the same time"),
    ),
    Kind(
        "16 stream_options that are refused",
        (
            "proxy/test_vendors.py::test_a_refused_habit_is_learned_from_once",
            "proxy/upstreams/test_habits.py::test_a_refused_field_may_stand_in_the_param_or_the_code",
        ),
        ("body.stream_options: not allowed", "Unrecognized request argument supplied: stream", "api.bytez.com"),
    ),
    Kind(
        "17 large whole numbers",
        (
            "proxy/core/test_exact_json.py::test_in_a_short_body_they_have_any_length",
            "proxy/core/test_exact_json.py::test_in_a_long_one_they_are_refused",
            "proxy/upstreams/test_openai_requests.py::test_digits_in_a_text_are_a_text",
        ),
        ("-LARGE", "10**40", "2**63"),
    ),
    Kind(
        "19 browsers",
        (
            "proxy/core/test_cors.py::test_a_page_of_a_listed_origin_may_read_the_answer",
            "proxy/core/test_cors.py::test_no_other_page_may",
        ),
        ('"null"', "{APP}.evil.example", '"http://app.example.org"', "{APP}:444"),
    ),
    Kind(
        "24 output that is no plain string",
        (
            "proxy/upstreams/test_produced.py::test_texts_are_found_wherever_they_stand",
            "proxy/upstreams/test_produced.py::test_sound_pictures_and_hidden_thoughts_are_output_that_no_text_tells",
        ),
        ('"function_call"', '"something_new"', "reasoning.encrypted"),
    ),
    Kind(
        "27 servers that stream by default",
        (
            "proxy/test_vendors.py::test_servers_that_stream_by_default_and_such_that_never_do",
            "proxy/upstreams/test_habits.py::test_a_server_that_streams_by_default_is_told_not_to",
        ),
        ("make_chat(stream=None)", "Endpoint.COMPLETIONS", "one that streams whatever it is told"),
    ),
    Kind(
        "28 HTTP/1.0",
        (
            "serve/test_framing.py::test_a_stream_ends_with_the_connection",
            "serve/test_framing.py::test_it_is_not_asked_for_its_body",
        ),
        ("chunks over HTTP/1.0", "two hosts over HTTP/1.0", "expect: 100-continue"),
    ),
    Kind(
        "32 minus one for no limit",
        (
            "proxy/dialects/test_openai_chat.py::test_minus_one_is_no_limit_and_is_not_passed_on",
            "proxy/upstreams/test_openai_requests.py::test_our_limit_takes_the_place_of_minus_one",
        ),
        ('{"max_completion_tokens": -1}', '"max_tokens": -1, "n_predict": 9', '"max_completion_tokens": 9}'),
    ),
    Kind(
        "36 embeddings of pictures",
        ("proxy/dialects/test_openai_chat.py::test_embeddings_of_pictures_are_bounded_by_a_window_each",),
        ('"input": ["a kite", {"image"', '{"text": "a kite"}', '"input": "a kite", "messages"'),
    ),
    Kind(
        "h01 h13 a body whose reading stops the others",
        (
            "proxy/core/test_weight.py::test_values_are_counted_and_texts_are_not",
            "proxy/test_call.py::test_a_body_of_too_many_values_is_refused_and_others_have_their_turns",
            "proxy/core/test_sound.py::test_no_bytes_are_too_strange",
        ),
        ('b"[]," * (MAX_NODES - 2)', "b'\"%d\":1' % place", "b'\"\",' * MAX_VALUES"),
    ),
    Kind(
        "h02 unknown keys that outrun a stop",
        (
            "proxy/edges/test_catalog.py::test_what_was_known_before_a_stop_is_not_made_do_with",
            "proxy/edges/test_catalog.py::test_an_unknown_key_is_not_called_wrong",
            "proxy/edges/test_catalog.py::test_only_what_may_stop_calls_closes",
        ),
        ("set_stopped", "create_end_user", "test_a_model_that_may_be_new_is_not_called_unknown"),
    ),
    Kind(
        "h03 the stored credential in an upstream's words",
        (
            "proxy/core/test_redaction.py::test_every_spelling_of_it_is_hidden",
            "proxy/core/test_redaction.py::test_of_an_error_large_parts_are_hidden_too",
            "proxy/core/test_redaction.py::test_however_a_stream_is_cut_nothing_of_it_comes_through",
        ),
        ("escape_all(SECRET).lower()", "SECRET[:9]}***{SECRET[-9:]", 'b"sk-%6"'),
    ),
    Kind(
        "h04 trailers",
        (
            "serve/test_framing.py::test_what_stands_behind_a_body_is_no_header",
            "serve/test_framing.py::test_there_is_an_end_of_them",
            "serve/test_framing.py::test_one_that_does_not_end_is_cut_off",
        ),
        ('"long names"', '"extension"', "small_chunks_are_no_trailers"),
    ),
    Kind(
        "h05 bodies outside of the API",
        ("test_bodies.py::test_a_longer_one_is_refused_at_once", "test_bodies.py::test_one_that_does_not_come_is_not_waited_for"),
        ('"99999999999999"', 'piece(b"x" * 600), piece(b"x" * 600)', "test_all_that_come_at_once_have_a_bound_together"),
    ),
    Kind(
        "h06 names that fold to others",
        (
            "proxy/core/test_field_names.py::test_a_name_that_folds_to_one_of_ours_is_refused",
            "proxy/core/test_field_names.py::test_so_are_those_inside_that_matter",
        ),
        ("the Kelvin sign", "full width", "protobuf's JSON"),
    ),
    Kind(
        "h07 budgets that begin while calls are in flight",
        (
            "proxy/ledger/test_budgets_that_begin.py::test_what_is_held_counts_from_the_first_moment_and_what_it_costs_after_it",
            "proxy/ledger/test_budgets_that_begin.py::test_between_two_models_and_after",
            "proxy/ledger/test_budgets_that_begin.py::test_all_of_an_organisation_that_moves_to_another_zone",
        ),
        ("is_active=True", 'time_zone="Etc/GMT+1"', "till.turn(row"),
    ),
    Kind(
        "h11 headers in several lines",
        (
            "proxy/core/test_controls.py::test_several_lines_of_tags_are_one_list",
            "proxy/core/test_controls.py::test_what_a_call_has_one_of_stands_there_once_or_says_the_same",
        ),
        ("holds 17 tags", "x-costhub-max-cost", "x-costhub-user"),
    ),
    Kind(
        "h12 logins that take every connection",
        (
            "console/test_passwords.py::test_one_password_for_many_accounts",
            "console/test_passwords.py::test_many_addresses_for_one_account",
            "console/test_passwords.py::test_so_many_wait_and_no_more",
        ),
        (
            "test_who_guesses_one_account_from_one_address_has_to_wait",
            "test_more_at_once_than_there_is_room_for_are_told_to_come_again",
            "6.6.6.6, 1.2.3.4, 10.0.0.1",
        ),
    ),
    Kind(
        "h14 rotation that refills a budget",
        ("proxy/ledger/test_budgets_that_begin.py::test_a_key_and_what_became_of_it_are_one_in_the_ledger_too",),
        ('within={"key"', "recount.recount(till.shard, \"\", ())", "grace_seconds=60"),
    ),
    Kind(
        "tools that a provider bills, under whichever name",
        (
            "proxy/core/test_demand.py::test_a_tool_that_nobody_here_knows_may_cost_anything",
            "proxy/core/test_demand.py::test_what_is_no_tool_is_refused_in_words",
        ),
        (
            *('{"name": "f"}', '{"type": "function_of_theirs"}', '["web_search"]', '{"type": "customer_search"'),
            *(r'"web_\u017fearch"', '{"Type": "web_search"'),
        ),
    ),
    Kind(
        "searches that are bought by a field, or by a model's name",
        (
            "proxy/core/test_demand.py::test_what_is_bought_by_a_field_is_held",
            "proxy/core/test_demand.py::test_what_a_field_buys_is_refused_where_no_fee_is_known",
            "proxy/core/test_demand.py::test_a_name_may_ask_for_a_search",
        ),
        ('"enable_enhancement"', '"connectors"', "plugin_web_search", '"search_strategy": "agent_max"', ":online"),
    ),
    Kind(
        "searches whose report does not say of which kind they were",
        (
            "proxy/core/test_answered.py::test_searches_are_billed_as_they_were_asked_for",
            "proxy/core/test_answered.py::test_a_model_that_searches_unasked_has_searched",
            "proxy/test_responses.py::test_what_is_billed_by_the_piece_is_counted",
        ),
        ('"max_results": 6', '"web_searches_preview": 2}', '"find_in_page"'),
    ),
    Kind(
        "two fields that name a tier",
        ("proxy/core/test_demand.py::test_who_wants_speed_may_be_served_by_the_tier_as_well",),
        ('"service_tier": "standard_only"}', '("priority", {"speed": "fast"}', '{"speed": "priority"'),
    ),
    Kind(
        "a key that ends while its body comes",
        ("proxy/test_app.py::test_what_happens_while_a_body_comes_holds_its_call_too",),
        ('("expired", 401', '("stopped", 403', '("another address", 403'),
    ),
    Kind(
        "uploads that come together",
        ("proxy/batches/test_openai_client.py::test_uploads_that_come_together_are_counted_together",),
        ('b"x" * 501', '"count_bytes", lambda _: 0', "path.name for path in folder"),
    ),
    Kind(
        "sound whose length its bytes do not tell",
        ("proxy/core/test_sound.py::test_a_minute_is_a_minute_or_a_little_more",),
        ("wav that says that it has less", "opus of a packet in two pages", "m4a whose samples are longer"),
    ),
]  # fmt: skip


@cache
def read(file: str) -> tuple[str, frozenset[str]]:
    """A file's text and the names of its functions."""
    text = (HERE / file).read_text()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return text, frozenset(node.name for node in ast.walk(ast.parse(text)) if isinstance(node, functions))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_kind_of_fault_has_its_tests_and_its_neighbours(kind: Kind) -> None:
    texts = []
    for test in kind.tests:
        file, _, name = test.partition("::")
        text, names = read(file)
        assert name in names, test
        texts.append(text)
    assert len(set(kind.neighbours)) >= FEWEST_NEIGHBOURS
    missing = [neighbour for neighbour in kind.neighbours if not any(neighbour in text for text in texts)]
    assert missing == []


def test_nothing_is_counted_twice() -> None:
    """A test stands for one kind, and a neighbour is no test that stands for its kind already."""
    tests = [test for kind in KINDS for test in kind.tests]
    neighbours = [neighbour for kind in KINDS for neighbour in kind.neighbours]
    assert len(set(tests)) == len(tests)
    assert len(set(neighbours)) == len(neighbours)
    assert [one for kind in KINDS for one in kind.neighbours if any(one in test for test in kind.tests)] == []
