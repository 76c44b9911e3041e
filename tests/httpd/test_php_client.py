"""client/PinterestCapi.php under mod_php, php-fpm and the command line."""

import hashlib
import os
import subprocess

import pytest

from server import ACCOUNT, BROWSER, EPIK, SHOPPER, TOP, wait_for

CLIENT = TOP / "client" / "PinterestCapi.php"
CONF = """
PinterestCapiMergeWindow 0
<Location "/v5/ad_accounts">
  SetHandler pinterest-capi-events
</Location>
"""


def page(code, flush=False):
    return (f"<?php require '{CLIENT}';" + ("echo 'early'; flush();" if flush else "") + code)


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def the_event(api):
    return wait_for(api.processed, "the event")[0]


def test_an_event_with_match_keys_arrives_and_no_header_leaks(make_httpd, api, php):
    httpd = make_httpd(api=api, conf=CONF, **php)
    httpd.write("buy.php", page("""
PinterestCapi::match(['email' => ' Ada@Example.com', 'phone' => '', 'first_name' => 'Ada']);
var_export(PinterestCapi::event(['event_name' => 'purchase', 'event_id' => 'p1',
  'order_id' => '1', 'custom_data' => ['value' => 129.95, 'currency' => 'EUR']]));"""))
    answer = httpd.get(f"/buy.php?epik={EPIK}", {"Cookie": "PHPSESSID=a1"})
    assert answer.text == "true"
    assert not [k for k, _ in answer.headers if k.lower().startswith("pinterest")]
    event = the_event(api)
    assert event["event_name"] == "checkout"
    assert event["custom_data"]["value"] == "129.95"
    assert event["user_data"]["em"] == [sha("ada@example.com")]
    assert event["user_data"]["click_id"] == EPIK


def test_a_long_event_goes_in_pieces(make_httpd, api, php):
    httpd = make_httpd(api=api, conf=CONF, **php)
    httpd.write("long.php", page("""
PinterestCapi::event(['event_name' => 'purchase', 'event_id' => 'p2', 'custom_data' =>
  ['content_ids' => array_map(function ($i) { return "SKU-$i-" . str_repeat('x', 30); },
                              range(1, 450))]]);"""))
    assert httpd.get("/long.php").status == 200
    assert len(the_event(api)["custom_data"]["content_ids"]) == 450


def test_once_headers_are_gone_the_event_is_posted_with_the_shopper(make_httpd, api, php):
    httpd = make_httpd(api=api, conf=CONF, **php)
    httpd.write("late.php", page(f"""
define('PINTEREST_CAPI_ENDPOINT', 'http://127.0.0.1:{httpd.port}/v5/ad_accounts/{ACCOUNT}/events');
echo str_repeat(' ', 9000); flush();
var_export(headers_sent());
var_export(PinterestCapi::event(['event_name' => 'lead', 'event_id' => 'late']));""", True))
    answer = httpd.get(f"/late.php?epik={EPIK}")
    assert answer.text.strip().endswith("truetrue")
    user = the_event(api)["user_data"]
    assert user["client_ip_address"] == SHOPPER
    assert user["client_user_agent"] == BROWSER
    assert user["click_id"] == EPIK


def test_lines_that_php_fpm_would_choke_on_are_split_or_not_said(make_httpd, api, php):
    httpd = make_httpd(api=api, conf=CONF, **php)
    httpd.write("long.php", page("""
$ids = function ($length) { return array_map(function ($i) use ($length) {
  return str_pad("id$i-", $length, 'x'); }, range(1, 15)); };
var_export([PinterestCapi::match(['external_id' => $ids(400), 'city' => $ids(200), 'fn' => 'Ada']),
  PinterestCapi::match(['external_id' => $ids(600)]), PinterestCapi::bind(str_repeat('b', 9000)),
  PinterestCapi::event(['event_name' => 'lead'])]);"""))
    answer = httpd.get("/long.php")
    assert answer.status == 200
    assert "".join(answer.text.split()) == "array(0=>true,1=>false,2=>false,3=>true,)"
    user = the_event(api)["user_data"]
    assert user["fn"] == [sha("ada")]
    assert user["external_id"][0] == sha("id1-".ljust(400, "x")) and len(user["ct"]) == 15


@pytest.mark.parametrize("said", ["'order_id' => '7', 'context' => 'order:7'", "'order_id' => '7'"])
def test_a_late_event_with_a_context_takes_nothing_of_the_request_that_carries_it(make_httpd, api,
                                                                                  php, said):
    httpd = make_httpd(api=api, conf=CONF, **php)
    httpd.write("order.php", page("PinterestCapi::bind('order:7');"))
    httpd.write("webhook.php", page(f"""
define('PINTEREST_CAPI_ENDPOINT', 'http://127.0.0.1:{httpd.port}/v5/ad_accounts/{ACCOUNT}/events');
echo str_repeat(' ', 9000); flush();
var_export(headers_sent());
var_export(PinterestCapi::event(['event_name' => 'purchase', 'event_id' => 'checkout_7',
  {said}, 'custom_data' => ['value' => 1, 'currency' => 'EUR']]));""", True))
    httpd.get(f"/order.php?epik={EPIK}", {"Cookie": "PHPSESSID=a1"})
    answer = httpd.request("POST", "/webhook.php", body="x", agent="PayProvider/2.0",
                           address="198.51.100.7")
    assert answer.text.strip().endswith("truetrue")
    assert the_event(api)["user_data"] == {"click_id": EPIK, "client_ip_address": SHOPPER,
                                           "client_user_agent": BROWSER}


def test_the_command_line_posts_to_the_backend_endpoint(make_httpd, api):
    httpd = make_httpd(api=api, conf=CONF)
    script = httpd.root / "cron.php"
    script.write_text(page("""
PinterestCapi::match(['email' => 'cron@example.com']);
var_export(PinterestCapi::event(['event_name' => 'purchase', 'event_id' => 'cron1']));"""))
    done = subprocess.run(
        ["php", str(script)], text=True, capture_output=True, timeout=30,
        env={**os.environ, "PINTEREST_CAPI_ENDPOINT":
             f"http://127.0.0.1:{httpd.port}/v5/ad_accounts/{ACCOUNT}/events"})
    assert (done.stdout, done.stderr) == ("true", "")
    event = the_event(api)
    assert event["event_name"] == "checkout"
    assert event["user_data"] == {"em": [sha("cron@example.com")]}


@pytest.mark.parametrize("where", ["no module", "module off"])
def test_it_is_silent_where_the_module_is_not_at_work(make_httpd, php, where):
    httpd = make_httpd(module=where != "no module", settings=False, **php)
    httpd.write("silent.php", page("""
var_export([PinterestCapi::event(['event_name' => 'lead']), PinterestCapi::bind('order:1'),
  PinterestCapi::consent(true), PinterestCapi::eventId('lead')]);"""))
    answer = httpd.get("/silent.php")
    assert "true" not in answer.text
    assert not [k for k, _ in answer.headers if k.lower().startswith("pinterest")]


def test_an_unreachable_endpoint_is_no_exception(tmp_path):
    script = tmp_path / "cron.php"
    script.write_text(page("var_export(PinterestCapi::event(['event_name' => 'lead']));"))
    done = subprocess.run(["php", str(script)], text=True, capture_output=True, timeout=30,
                          env={**os.environ, "PINTEREST_CAPI_ENDPOINT": "http://127.0.0.1:1/x"})
    assert (done.stdout, done.stderr) == ("false", "")


def test_event_ids_for_the_tag_are_those_of_the_events(make_httpd, api, php):
    httpd = make_httpd(api=api, conf=CONF, **php)
    httpd.write("ids.php", page("""
PinterestCapi::event(['event_name' => 'lead']);
echo PinterestCapi::eventId('page_visit'), ' ', PinterestCapi::eventId('lead');"""))
    visit, lead = httpd.get("/ids.php").text.split()
    assert lead == visit + "-lead"
    assert the_event(api)["event_id"] == lead


# What PHP 8 added, as its tokenizer tells it apart, and what the eye of a pattern finds.
NEWER = r"""<?php
$newer = ['T_MATCH', 'T_ATTRIBUTE', 'T_NULLSAFE_OBJECT_OPERATOR', 'T_ENUM', 'T_READONLY'];
$added = ['str_contains', 'str_starts_with', 'str_ends_with', 'get_debug_type', 'array_is_list',
  'json_validate', 'mb_trim', 'fdiv', 'array_find', 'array_any', 'array_all'];
$last = null;
foreach (token_get_all(file_get_contents($argv[1])) as $token) {
  [$name, $text] = is_array($token) ? [token_name($token[0]), $token[1]] : ['', $token];
  if ($name === 'T_WHITESPACE' || $name === 'T_DOC_COMMENT' || $name === 'T_COMMENT') { continue; }
  $isName = in_array($last, ['function', '::', '->'], true);
  if (!$isName && (in_array($name, $newer, true) || in_array($text, $added, true)
      || ($text === 'mixed' || $text === 'never') || ($text === ')' && $last === ','))) {
    echo is_array($token) ? $token[2] : '', ": $text\n";
  }
  $last = $text;
}"""


def test_nothing_in_it_is_newer_than_php_7_4(tmp_path):
    script = tmp_path / "newer.php"
    script.write_text(NEWER)

    def newer(path):
        done = subprocess.run(["php", str(script), str(path)], text=True, capture_output=True,
                              timeout=30, check=True)
        return done.stdout.split("\n")[:-1]

    probe = tmp_path / "probe.php"
    probe.write_text("<?php\n#[A]\nfunction f(mixed $a,): int { return match (1) { 1 => $a?->b }; }\n"
                     "str_contains('a', 'b');")
    assert len(newer(probe)) == 6, "what this test looks for is not found"
    assert newer(CLIENT) == []
