"""The sender's life: what it is given, hand-over at reloads, the end, crashes, and what a crash left."""

import datetime
import json
import os
import pathlib
import pwd
import re
import signal
import stat
import time

import pytest

from server import ACCOUNT, IS_SANITIZED, TOKEN, is_alive, wait_for

# Nobody listens there: what these tests look at happens before anything is sent.
CONF = """
PinterestCapiApiUrl http://127.0.0.1:9/v5
<Location "/v5/ad_accounts">
  SetHandler pinterest-capi-events
</Location>
<Location "/server-status">
  SetHandler server-status
</Location>
"""
PATH = f"/v5/ad_accounts/{ACCOUNT}/events"
EM = ["836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f"]
NOISE = (r"PCAPI1\d\d", r"PCAPI055", r"exit signal Killed", r"AH00052")


def queues(httpd):
    return sorted(path.name for path in httpd.run.glob("queue.*"))


def the_sender(httpd):
    def only():
        senders = httpd.senders()
        return senders[0] if len(senders) == 1 else None
    return wait_for(only, "exactly one sender")


def another_sender(httpd, old):
    def new():
        senders = httpd.senders()
        return senders[0] if len(senders) == 1 and senders[0] != old else None
    return wait_for(new, "another sender", 40)


def say(httpd, event_id):
    event = {"event_name": "lead", "action_source": "web", "event_id": event_id,
             "user_data": {"em": EM}}
    return httpd.post(PATH, {"data": [event]}, agent="shop/1")


def start(make_httpd, mpm="event", conf=CONF, **options):
    httpd = make_httpd(mpm=mpm, conf=conf, **options)
    httpd.expect(*NOISE)
    the_sender(httpd)  # httpd listens before it has read all of its configuration
    return httpd


def field(pid, name):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return re.search(rf"^{name}:\s*(.*)$", text, re.M)[1].split()


WITNESS = """#!/usr/bin/python3 -I
import fcntl, json, os, signal
facts = {"uid": os.getresuid(), "gid": os.getresgid(), "groups": os.getgroups(),
         "environment": dict(os.environ), "pid": os.getpid(), "group": os.getpgid(0),
         "fds": {fd: os.readlink("/proc/self/fd/" + fd) for fd in sorted(os.listdir("/proc/self/fd"))
                 if os.path.lexists("/proc/self/fd/" + fd)},
         "seals": fcntl.fcntl(3, 1034), "config": os.pread(3, 65536, 0).decode(),
         "can_write_queue": fcntl.fcntl(4, fcntl.F_GETFL) & os.O_RDWR, "cwd": os.getcwd()}
state = json.loads(facts["config"])["state_dir"]
with open(state + "/facts.new", "w") as out:
    json.dump(facts, out)
os.rename(state + "/facts.new", state + "/facts")
signal.sigwait({signal.SIGTERM})  # blocked until a sender can hear it
"""


@pytest.fixture
def witness(tmp_path):
    """A sender that only tells what it was given."""
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)
    path = tmp_path / "witness"
    path.write_text(WITNESS)
    path.chmod(0o755)
    return path


def given_to(make_httpd, witness, mpm, more="", **options):
    httpd = make_httpd(mpm=mpm, start=False, conf=CONF + f"PinterestCapiSender {witness}\n" + more,
                       **options)
    httpd.expect(*NOISE)
    httpd.start()
    return httpd, json.loads(wait_for(lambda: (httpd.state / "facts").exists() and
                                      (httpd.state / "facts").read_text(), "the sender's facts"))


def test_sender_has_its_user_its_descriptors_and_a_minimal_environment(make_httpd, mpm, witness):
    httpd, facts = given_to(make_httpd, witness, mpm,
                             env={"HTTPS_PROXY": "http://127.0.0.1:1", "SECRET": "s",
                                  "SSL_CERT_DIR": "/etc/ssl/certs"})
    user = pwd.getpwnam(httpd.USER)
    assert facts["uid"] == [user.pw_uid] * 3
    assert facts["gid"] == [user.pw_gid] * 3
    assert 0 not in facts["groups"]
    # Python's own, and what a sanitized build adds
    names = set(facts["environment"]) - {"LC_CTYPE", "ASAN_OPTIONS", "UBSAN_OPTIONS"}
    assert names == {"PATH", "TZ", "SSL_CERT_DIR"}
    assert facts["group"] == facts["pid"]
    assert facts["cwd"] == "/"
    held = facts["fds"]
    assert held["0"] == held["1"] == "/dev/null"
    assert held["2"] == str(httpd.error_log)
    assert "memfd:" in held["3"]
    assert held["4"] == str(httpd.run / "queue.1")
    assert "eventfd" in held["5"] and "pidfd" in held["6"]
    assert held["7"] == str(httpd.token_file)
    inherited = {fd for fd, target in held.items() if "facts" not in target and
                 "/proc/" not in target and target != str(witness)}
    assert inherited == set("01234567")


def test_configuration_is_sealed_and_holds_no_token(make_httpd, witness):
    httpd, facts = given_to(make_httpd, witness, "event")
    assert facts["seals"] & 0xF == 0xF  # seal, shrink, grow, write
    assert TOKEN not in facts["config"]
    assert str(httpd.token_file) in facts["config"]


def test_missing_token_file_leaves_its_descriptor_closed_and_is_said(make_httpd, witness):
    httpd, facts = given_to(make_httpd, witness, "event")
    httpd.expect(r"PCAPI04[56]")
    (httpd.state / "facts").unlink()
    httpd.token_file.unlink()
    httpd.kill(facts["pid"])
    again = json.loads(wait_for(lambda: (httpd.state / "facts").exists() and
                                (httpd.state / "facts").read_text(), "the sender's facts"))
    assert again["fds"].get("7") != str(httpd.token_file)
    httpd.wait_log(r"PCAPI045.*token")
    httpd.token_file.write_text("later")


@pytest.mark.skipif(IS_SANITIZED, reason="the shadow of a sanitizer is terabytes")
def test_no_worker_and_no_parent_ever_has_the_token_in_memory(make_httpd, mpm):
    httpd = start(make_httpd, mpm)
    the_sender(httpd)
    for pid in [httpd.pid] + httpd.workers():
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
                span, rights = line.split()[:2]
                if not rights.startswith("rw") or line.endswith("queue.1"):
                    continue
                low, high = (int(edge, 16) for edge in span.split("-"))
                try:
                    memory.seek(low)
                    assert TOKEN.encode() not in memory.read(high - low), line
                except OSError:
                    pass
        held = [os.readlink(fd) for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
        assert str(httpd.token_file) not in held


@pytest.mark.parametrize("how", ["graceful", "restart"])
def test_reload_hands_over_to_one_new_sender_on_the_same_queue(make_httpd, mpm, how):
    httpd = start(make_httpd, mpm)
    before = the_sender(httpd)
    assert say(httpd, "before").status == 200
    getattr(httpd, how)()
    another_sender(httpd, before)
    assert queues(httpd) == ["queue.1"]
    assert say(httpd, "after").status == 200
    assert {row["event_id"] for row in httpd.sql("SELECT event_id FROM events")} == \
        {"before", "after"}


def test_reloads_in_quick_succession_leave_one_sender(make_httpd, mpm):
    httpd = start(make_httpd, mpm)
    for _ in range(5):
        before = the_sender(httpd) if _ == 0 else before
        httpd.graceful()
    another_sender(httpd, before)
    time.sleep(1.2)  # a callback of a late death would fork now
    assert len(httpd.senders()) == 1


@pytest.mark.parametrize("how", ["stop", "graceful-stop"])
def test_stop_right_after_a_reload_lets_the_old_sender_finish(make_httpd, api, mpm, how):
    httpd = make_httpd(api=api, mpm=mpm, conf="""
PinterestCapiMergeWindow 0
<Location "/v5/ad_accounts">
SetHandler pinterest-capi-events
</Location>""")
    api.behave({"delay": 2})
    assert say(httpd, "one").status == 200
    api.wait_requests(1)
    httpd.graceful()
    httpd.stop(how)
    assert [(row["event_id"], row["state"]) for row in
            httpd.sql("SELECT event_id, state FROM events")] == [("one", 10)]
    assert len(api.requests) == 1
    assert queues(httpd) == []


@pytest.mark.parametrize("how", ["stop", "graceful-stop"])
def test_stop_leaves_no_process_and_no_queue(make_httpd, mpm, how):
    httpd = start(make_httpd, mpm)
    sender = the_sender(httpd)
    assert say(httpd, "one").status == 200
    httpd.stop(how)
    assert not is_alive(sender)
    assert queues(httpd) == []
    assert [row["event_id"] for row in httpd.sql("SELECT event_id FROM events")] == ["one"]


def test_killed_sender_is_replaced_at_once(make_httpd, mpm):
    httpd = start(make_httpd, mpm)
    before = the_sender(httpd)
    httpd.kill(before)
    began = time.monotonic()
    after = another_sender(httpd, before)
    assert time.monotonic() - began < 5
    assert say(httpd, "after").status == 200
    status = httpd.status_auto()
    assert status["PinterestCapiSenderRestarts"] == "1"
    assert status["PinterestCapiSenderPid"] == str(after)
    httpd.wait_log(rf"PCAPI055: the sender \(pid {before}\)")


def test_sender_is_polite_as_far_as_it_may_come_back(make_httpd, mpm):
    httpd = start(make_httpd, mpm)
    sender = the_sender(httpd)
    assert say(httpd, "one").status == 200
    limits = pathlib.Path(f"/proc/{sender}/limits").read_text()
    may_come_back = int(re.search(r"Max nice priority +(\d+)", limits)[1]) >= 20
    assert os.getpriority(os.PRIO_PROCESS, sender) == (10 if may_come_back else 5)
    assert os.sched_getscheduler(sender) == os.SCHED_BATCH


def test_sender_that_dies_at_start_is_not_forked_in_a_loop(make_httpd, mpm, tmp_path):
    httpd = make_httpd(mpm=mpm, start=False,
                       conf=CONF.replace("PinterestCapiApiUrl", "PinterestCapiSender /bin/false\n"
                                                                "PinterestCapiApiUrl"))
    httpd.expect(*NOISE)
    httpd.start()

    def starts():
        return [datetime.datetime.strptime(stamp, "%H:%M:%S.%f") for stamp in
                re.findall(r"(\d\d:\d\d:\d\d\.\d+) .*PCAPI054", httpd.log_text())]

    wait_for(lambda: len(starts()) >= 5, "five starts", 40)
    gaps = [b - a for a, b in zip(starts()[1:], starts()[2:])]
    assert gaps[1] > gaps[0] and gaps[2] > gaps[1], "the pauses grow"
    wait_for(lambda: httpd.status_auto()["PinterestCapiSenderState"] == "restarting",
             "the status page to say that it pauses")
    httpd.stop()


def test_sender_ends_by_itself_when_the_parent_is_killed(make_httpd, mpm):
    httpd = start(make_httpd, mpm)
    sender, parent = the_sender(httpd), httpd.pid
    workers = httpd.workers()
    os.kill(parent, signal.SIGKILL)
    wait_for(lambda: not is_alive(sender), "the sender to end")
    for worker in workers:
        httpd.kill(worker)


def test_queue_that_a_crash_left_is_drained_and_removed(make_httpd, mpm):
    httpd = start(make_httpd, mpm)
    httpd.expect(r"AH00098", r"AH00032")
    sender = the_sender(httpd)
    os.kill(sender, signal.SIGSTOP)
    assert say(httpd, "left").status == 503  # in the queue, not on disk
    httpd.kill_everything()
    (httpd.run / "httpd.pid").unlink(missing_ok=True)
    httpd.start()
    wait_for(lambda: [r["event_id"] for r in httpd.sql("SELECT event_id FROM events")] == ["left"],
             "the event of the old queue")
    wait_for(lambda: queues(httpd) == ["queue.2"], "the old queue to be removed", 30)


def test_another_size_at_a_reload_makes_a_new_queue_and_loses_nothing(make_httpd, mpm):
    httpd = start(make_httpd, mpm, queue_size=1 << 20)
    sender = the_sender(httpd)
    os.kill(sender, signal.SIGSTOP)
    assert say(httpd, "old").status == 503
    httpd.queue_size = 2 << 20
    httpd.graceful()
    os.kill(sender, signal.SIGCONT)
    another_sender(httpd, sender)
    assert say(httpd, "new").status == 200
    wait_for(lambda: {r["event_id"] for r in httpd.sql("SELECT event_id FROM events")} ==
             {"old", "new"}, "both events")
    wait_for(lambda: queues(httpd) == ["queue.2"], "the old queue to be removed", 40)


def test_two_servers_in_one_runtime_directory_leave_each_others_queue_alone(make_httpd):
    first = start(make_httpd)
    the_sender(first)
    second = make_httpd(conf=CONF, start=False)
    second.expect(*NOISE)
    second.top = f"DefaultRuntimeDir {first.run}"
    second.start()
    the_sender(second)
    assert queues(first) == ["queue.1", "queue.2"]
    assert say(first, "one").status == 200
    assert say(second, "two").status == 200
    assert [r["event_id"] for r in first.sql("SELECT event_id FROM events")] == ["one"]
    assert [r["event_id"] for r in second.sql("SELECT event_id FROM events")] == ["two"]
    second.stop()
    assert queues(first) == ["queue.1"]


def test_state_directory_and_key_belong_to_the_sender_alone(make_httpd):
    httpd = start(make_httpd)
    uid = pwd.getpwnam(httpd.USER).pw_uid
    for path, mode in ((httpd.state, 0o700), (httpd.state / "key", 0o600)):
        found = path.stat()
        assert stat.S_IMODE(found.st_mode) == mode
        assert found.st_uid == uid
    key = (httpd.state / "key").read_bytes()
    assert len(key) == 32
    httpd.graceful()
    assert (httpd.state / "key").read_bytes() == key


@pytest.mark.parametrize("spoil,sentence", [
    (lambda key: key.write_bytes(b"short"), r"PCAPI057.*32 bytes"),
    (lambda key: key.chmod(0o644), r"PCAPI057.*chmod 600"),
    (lambda key: (key.unlink(), key.symlink_to("/etc/passwd")), r"PCAPI057.*key"),
    (lambda key: (key.unlink(), os.mkfifo(key, 0o600)), r"PCAPI057.*key"),
])
def test_odd_key_stops_the_start_with_a_sentence(make_httpd, spoil, sentence):
    httpd = start(make_httpd)
    httpd.stop()
    spoil(httpd.state / "key")
    httpd.expect(r"PCAPI057", r"AH00016", r"AH00020")
    httpd.httpd("-k", "start", check=False)
    httpd.wait_log(sentence)
    wait_for(lambda: not httpd.is_listening(), "httpd to give up")
    assert queues(httpd) == []


def test_odd_key_at_a_reload_does_not_take_the_shop_down(make_httpd):
    httpd = start(make_httpd)
    the_sender(httpd)
    httpd.expect(r"PCAPI057")
    (httpd.state / "key").chmod(0o644)
    httpd.graceful()
    assert httpd.get("/").status == 200
    # a worker of the old generation may answer once more
    wait_for(lambda: say(httpd, "no").status == 503, "events to be refused")
    (httpd.state / "key").chmod(0o600)
    httpd.graceful()
    the_sender(httpd)
    assert say(httpd, "yes").status == 200


@pytest.mark.parametrize("line,sentence", [
    ("ChrootDir /tmp", r"ChrootDir"),
    ("PinterestCapiUser nobody-of-that-name", r"no such user"),
    ("PinterestCapiUser root", r"not run as root"),
    ("PinterestCapiUser nobody no-such-group", r"no group")])
def test_sender_that_could_not_run_is_refused_by_configtest(make_httpd, line, sentence):
    httpd = make_httpd(conf=CONF + line + "\n", start=False)
    ok, text = httpd.configtest()
    assert not ok
    assert re.search(sentence, text), text


def test_configtest_and_dump_touch_nothing(make_httpd):
    httpd = make_httpd(conf=CONF, start=False)
    ok, text = httpd.configtest()
    assert ok, text
    httpd.httpd("-S")
    assert not httpd.state.exists()
    assert queues(httpd) == []


def test_sender_of_its_own_user_shuts_workers_out(make_httpd):
    httpd = start(make_httpd, conf=CONF + "PinterestCapiUser nobody nogroup\n")
    pid = the_sender(httpd)
    nobody = pwd.getpwnam("nobody")
    assert field(pid, "Uid") == [str(nobody.pw_uid)] * 4
    assert field(pid, "Groups") in ([str(nobody.pw_gid)], [])
    assert httpd.state.stat().st_uid == nobody.pw_uid
    assert say(httpd, "one").status == 200


def test_switched_off_at_a_reload_the_sender_ends(make_httpd, mpm):
    httpd = start(make_httpd, mpm)
    the_sender(httpd)
    httpd.settings = False
    httpd.graceful()
    wait_for(lambda: httpd.senders() == [], "the sender to end")
    httpd.settings = True
    httpd.graceful()
    the_sender(httpd)
    # a worker of the old generation may answer once more
    wait_for(lambda: say(httpd, "again").status == 200, "events to be taken again")


def test_status_page_shows_queue_and_sender(make_httpd):
    httpd = start(make_httpd)
    sender = the_sender(httpd)
    assert say(httpd, "one").status == 200
    short = httpd.status_auto()
    assert short["PinterestCapiSenderState"] == "running"
    assert short["PinterestCapiSenderPid"] == str(sender)
    assert int(short["PinterestCapiQueuePushed"]) >= 1
    assert short["PinterestCapiQueueDepth"] == "0"
    assert int(short["PinterestCapiQueueSize"]) >= 67108864
    page = httpd.get("/server-status", address=None).text
    assert "Pinterest Conversions API" in page
    assert f"<td>{sender}</td>" in page


def test_a_stop_right_after_the_start_still_empties_the_queue(make_httpd, api, mpm):
    for _ in range(8):
        httpd = make_httpd(api=api, mpm=mpm, conf="""
<Location /collect>
SetHandler pinterest-capi-collect
</Location>""")
        assert httpd.post("/collect", {"event_name": "add_to_cart", "event_id": "e"}).status == 200
        httpd.stop()
        assert [r["event_id"] for r in httpd.sql("SELECT event_id FROM events")] == ["e"]


def test_a_path_that_is_not_utf8_is_an_error_and_no_crash(make_httpd):
    httpd = make_httpd(start=False)
    odd = httpd.root / "tok\udcffen"
    odd.write_text("pina_TOKEN\n")
    odd.chmod(0o600)
    httpd.configure()
    text = httpd.conf_file.read_bytes().replace(os.fsencode(httpd.token_file), os.fsencode(odd))
    httpd.conf_file.write_bytes(text)
    httpd.expect("PCAPI052", "AH00016", "AH00020")
    httpd.httpd("-k", "start")
    httpd.wait_log("PCAPI052")
    wait_for(lambda: not httpd.family(), "httpd to end by itself")
    assert "AH00016" in httpd.log_text() or "Configuration Failed" in httpd.log_text()
