/* The queue of src/core/queue.c as a model for Spin: producers under a robust mutex, one consumer
 * without a lock, and somebody who kills any of them between any two steps.
 *
 * A record takes one slot and is written in two halves, so that a torn one can be seen. A position
 * is the number of its record. Memory is sequentially consistent here; what weaker orders do is for
 * the stress tests and ThreadSanitizer.
 *
 * Checked: whoever is killed and whenever, no accepted record is lost, none is torn, none is seen
 * again once its release began, nobody sleeps beside an accepted record, nobody waits for what is
 * durable already, both counters are exact, what was released or left half done is wiped.
 *
 * The consumer's sleep ends by a record or by something else (a signal, an answer, a deadline), and
 * it waits for something else without having announced sleep, too; each time it clears the eventfd.
 *
 * FAULT 1 to 10 each break one of the orders that the queue relies on: every one must be found. */

#ifndef FAULT
#define FAULT 0
#endif
#ifndef RECORDS
#define RECORDS 2 /* that each producer pushes */
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef OTHERS
#define OTHERS 2 /* reasons to wake that are no record */
#endif
#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#define IDS      (PRODUCERS * RECORDS + 1)
#define CONSUMER PRODUCERS
#define NOBODY   255

/* The mapping, by the names of queue_int.h. */
byte owner = NOBODY; /* of the mutex */
byte head, pushed, undo_head, undo_pushed, claimed;
byte tail, durable, taken, undo_durable, undo_taken, steps;
byte sleeps, sleeping;
byte others = OTHERS;
byte first_half[SLOTS], second_half[SLOTS];

/* The kernel: an eventfd, one who waits in futex(), and SIGKILL. */
bool event, is_waiting;
bool killed[PRODUCERS + 1];

/* What the world outside knows of each record. */
bool accepted[IDS]; /* its push returned */
bool stored[IDS];   /* the consumer has it on disk */
bool released[IDS]; /* and has said so */

inline write_slot(position, id)
{
    first_half[(position) % SLOTS] = id;
    second_half[(position) % SLOTS] = id
}

/* A wipe that is cut short is done again, so its halves need no telling apart. */
inline wipe_slot(position)
{
    d_step {
        first_half[(position) % SLOTS] = 0;
        second_half[(position) % SLOTS] = 0
    }
}

/* A robust mutex: the next one gets a dead holder's lock, and is told. */
inline lock(me, is_recovered)
{
    atomic {
        (owner == NOBODY || killed[owner]) -> is_recovered = (owner != NOBODY);
        owner = me
    }
}

inline recover_lock()
{
    if
    :: claimed > head -> wipe_slot(head)
    :: else
    fi;
    if
    :: head == undo_head && FAULT != 1 -> pushed = undo_pushed
    :: else
    fi
}

inline publish()
{
    undo_pushed = pushed;
    undo_head = head;
    pushed++;
    head++
}

inline append(id)
{
    claimed = head + 1;
#if FAULT == 2
    publish();
    write_slot(head - 1, id)
#else
    write_slot(head, id);
    publish()
#endif
}

inline wake_consumer(ticket)
{
    ticket = sleeping;
    if
    :: ticket != 0 ->
#if FAULT == 3
        sleeping = 0;
        event = true
#else
        event = true;
        atomic {
            if
            :: sleeping == ticket || FAULT == 4 -> sleeping = 0
            :: else
            fi
        }
#endif
    :: else
    fi
}

inline wait_durable(position, seen)
{
    do
    ::
#if FAULT != 10
        seen = steps;
#endif
        if
        :: durable >= position -> break
        :: else
        fi;
#if FAULT == 10
        seen = steps;
#endif
        atomic {
            if
            :: steps == seen -> is_waiting = true
            :: else
            fi
        }
        !is_waiting
    od
}

proctype producer(byte me)
{
    byte number, id, position, ticket;
    bool is_in;

    {
        do
        :: number == RECORDS -> break
        :: else ->
            id = me * RECORDS + number + 1;
            lock(me, is_in);
            if
            :: is_in -> recover_lock()
            :: else
            fi;
            is_in = (head + 1 - tail <= SLOTS);
            if
            :: is_in -> append(id); position = head
            :: else /* dropped */
            fi;
            owner = NOBODY;
            if
            :: is_in ->
                wake_consumer(ticket);
                accepted[id] = true;
                if
                :: me == 0 -> wait_durable(position, ticket)
                :: else
                fi
            :: else
            fi;
            number++;
            id = 0;
            position = 0;
            ticket = 0;
            is_in = false
        od
    } unless { killed[me] }
}

inline wake_waiters()
{
    steps++;
    is_waiting = false
}

inline give_back()
{
#if FAULT == 5
    tail = durable;
#endif
    at = tail;
#if FAULT == 5
    at = undo_durable;
#endif
    do
    :: at < durable -> wipe_slot(at); at++
    :: else -> break
    od;
    tail = durable
}

/* Moves the durable mark; from here on no record before it may be seen again. */
inline move_durable()
{
    d_step {
        at = durable;
        do
        :: at < cursor ->
            assert(stored[first_half[at % SLOTS]]);
            released[first_half[at % SLOTS]] = true;
            at++
        :: else -> break
        od;
        at = 0;
        durable = cursor
    }
}

inline release()
{
    undo_taken = taken;
    undo_durable = durable;
    taken = taken + cursor - durable;
    move_durable();
    wake_waiters();
    give_back()
}

inline recover_release()
{
    if
    :: durable == undo_durable && FAULT != 6 -> taken = undo_taken
    :: else
    fi;
    if
    :: tail != durable && FAULT != 7 -> wake_waiters(); give_back()
    :: else
    fi
}

inline peek_all()
{
    do
    :: cursor < head ->
        id = first_half[cursor % SLOTS];
        assert(id != 0 && id == second_half[cursor % SLOTS]);
        assert(!released[id]);
        stored[id] = true;
        id = 0;
        cursor++
    :: else -> break
    od
}

/* What is written between the two is of a record that is looked at next. */
inline awake()
{
    sleeping = 0;
    event = false
}

proctype consumer()
{
    byte cursor, at, id;

again:
    {
        recover_release();
        cursor = durable;
        do
        :: peek_all();
            if
            :: cursor > durable -> release()
            :: else
            fi;
            sleeps++;
            sleeping = sleeps;
#if FAULT == 9
            event = false;
#endif
            if
            :: head != durable && FAULT != 8 -> sleeping = 0
            :: else ->
end_asleep:
                if
                :: event
                :: others > 0 -> others--
                fi;
                awake()
            fi
        :: others > 0 -> others--; awake()
        od
    } unless { killed[CONSUMER] };
    atomic {
        cursor = 0;
        at = 0;
        id = 0;
        killed[CONSUMER] = false
    }
    goto again
}

/* Kills whom and when it likes; who has ended already is killed in vain. */
proctype killer()
{
    byte count;

    do
    :: atomic {
            count < KILLS ->
            if
            :: killed[0] = true
            :: killed[PRODUCERS - 1] = true
            :: killed[CONSUMER] = true
            fi;
            count++
        }
    :: count == KILLS -> break
    od
}

init
{
    byte i;

    atomic {
        for (i : 0 .. PRODUCERS - 1) {
            run producer(i)
        }
        run consumer();
        run killer()
    }
    /* Nobody can go on: what is accepted must be stored. */
    timeout ->
    for (i : 1 .. IDS - 1) {
        assert(!accepted[i] || (stored[i] && released[i]))
    }
    assert(taken == durable && tail == durable);
    if
    :: owner == NOBODY && head == tail ->
        assert(pushed == head);
        for (i : 0 .. SLOTS - 1) {
            assert(first_half[i] == 0 && second_half[i] == 0)
        }
    :: else
    fi
}
