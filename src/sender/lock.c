/* The lock that keeps two senders from one store: a new generation waits here for the old one. */

#include "sender.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <unistd.h>

#include <apr_strings.h>

typedef struct {
    int lock_fd;
    int done_fd; /* eventfd */
    int error;   /* valid once done_fd is readable */
} capi_waiter_t;

/* flock() cannot be waited for with poll(), and a signal that comes just before it blocks would be
 * missed; a thread that does nothing else settles both. It ends with the lock or with the process. */
static void *wait_for_lock(void *arg)
{
    capi_waiter_t *waiter = arg;
    uint64_t one = 1;
    int rc;

    do {
        rc = flock(waiter->lock_fd, LOCK_EX);
    } while (rc != 0 && errno == EINTR);
    waiter->error = rc == 0 ? 0 : errno;
    while (write(waiter->done_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
        continue;
    }
    return NULL;
}

static capi_lock_t wait_interruptibly(capi_waiter_t *waiter, int signal_fd, int parent_fd)
{
    struct pollfd fds[3] = {
        {waiter->done_fd, POLLIN, 0}, {signal_fd, POLLIN, 0}, {parent_fd, POLLIN, 0}};
    pthread_t thread;

    if (pthread_create(&thread, NULL, wait_for_lock, waiter) != 0) {
        capi_log(CAPI_LOG_ERR, "PCAPI104: no thread to wait for the sender before this one: %s",
                 strerror(errno));
        return CAPI_LOCK_FAILED;
    }
    while (poll(fds, 3, -1) < 0 && errno == EINTR) {
        continue;
    }
    if (!fds[0].revents) {
        return CAPI_LOCK_ASKED_TO_STOP;
    }
    pthread_join(thread, NULL);
    return waiter->error == 0 ? CAPI_LOCK_HELD : CAPI_LOCK_FAILED;
}

capi_lock_t capi_lock_wait(const char *state_dir, int signal_fd, int parent_fd, bool is_said,
                           apr_pool_t *p)
{
    const char *path = apr_pstrcat(p, state_dir, "/sender.lock", NULL);
    capi_waiter_t *waiter = apr_pcalloc(p, sizeof(*waiter));

    waiter->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (waiter->lock_fd < 0 && is_said) {
        return CAPI_LOCK_NO_FILE;
    }
    if (waiter->lock_fd < 0) {
        capi_log(CAPI_LOG_ERR,
                 "PCAPI105: '%s' cannot be opened (%s): nothing is sent until the directory of "
                 "PinterestCapiStateDir is there and writable for the sender's user",
                 path, strerror(errno));
        return CAPI_LOCK_NO_FILE;
    }
    if (flock(waiter->lock_fd, LOCK_EX | LOCK_NB) == 0) {
        return CAPI_LOCK_HELD;
    }
    capi_log(CAPI_LOG_INFO, "PCAPI106: waiting for the sender before this one to end");
    waiter->done_fd = eventfd(0, EFD_CLOEXEC);
    return waiter->done_fd < 0 ? CAPI_LOCK_FAILED
                               : wait_interruptibly(waiter, signal_fd, parent_fd);
}
