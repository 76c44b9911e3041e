"""The ledgers notice what they are there to notice."""

import pytest

from ledger import DELIVERED, Ledger


def event(serial, event_id):
    return {"event_id": event_id, "custom_data": {"content_name": serial}}


def store(*delivered, interrupted=0):
    def answer(statement, *_):
        if "attempts" in statement:
            return [{"n": interrupted}] if "SUM" in statement else []
        return [{"event_id": i, "state": DELIVERED} for i in delivered]

    return answer


def good_ledger():
    ledger = Ledger()
    ledger.tell(["a", "b"], "backend", 0, ["id-a", "id-b"])
    ledger.tell(["no"], "browser", 0, ["id-no"], is_denied=True)
    ledger.arrive([event("a", "id-a"), event("b", "id-b")])
    return ledger


def lose(ledger):
    ledger.tell(["c"], "browser", 0)


def mint_another(ledger):
    ledger.arrive([event("a", "minted")])


def send_denied(ledger):
    ledger.arrive([event("no", "id-no")])


def repeat(ledger):
    ledger.arrive([event("a", "id-a")])


def test_round_without_a_fault_is_in_order():
    verdict = good_ledger().verdict(store("id-a", "id-b")).check()
    assert verdict.accepted == {"backend": 2} and verdict.delivered == 2 and verdict.denied == 1


@pytest.mark.parametrize("fault,stored", [
    (lose, ("id-a", "id-b")), (mint_another, ("id-a", "id-b", "minted")),
    (send_denied, ("id-a", "id-b", "id-no")), (repeat, ("id-a", "id-b")),
    (lambda _: None, ("id-a",)), (lambda _: None, ("id-a", "id-b", "claimed")),
    (lambda _: None, ("id-a", "id-b", "id-b"))])
def test_each_fault_of_a_round_is_found(fault, stored):
    ledger = good_ledger()
    fault(ledger)
    with pytest.raises(AssertionError):
        ledger.verdict(store(*stored)).check()


def test_repeat_is_explained_by_a_dead_sender_and_its_open_request_only():
    ledger = good_ledger()
    repeat(ledger)
    ledger.deaths.append(ledger.arrivals["a"][1][0])
    ledger.verdict(store("id-a", "id-b", interrupted=1)).check()
    with pytest.raises(AssertionError):
        ledger.verdict(store("id-a", "id-b")).check()
