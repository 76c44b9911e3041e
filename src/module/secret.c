/* The state directory and the key in it, under which sessions and binds are hashed. Both belong to
 * the sender's user; the parent makes and reads them as root, workers inherit the key in memory. */

#include "supervisor_int.h"

#include <apr_strings.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

APLOG_USE_MODULE(pinterest_capi);

#define KEY_NAME "key"

static const char *why(apr_pool_t *p, const char *what, const char *path, int error)
{
    return apr_psprintf(p, "%s %s: %pm", what, path, &error);
}

static bool give_to(int fd, const capi_runner_t *runner)
{
    return geteuid() != 0 || fchown(fd, runner->uid, runner->gid) == 0;
}

static bool is_empty_directory(int fd)
{
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own >= 0 ? fdopendir(own) : NULL;
    const struct dirent *entry;
    bool is_empty = dir != NULL;

    while (is_empty && (entry = readdir(dir)) != NULL) {
        is_empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    if (dir) {
        closedir(dir);
    }
    return is_empty;
}

/* A directory that is there must be the sender's alone; an empty one of root's is made so, unless a
 * link led there: who can write above could aim it at any directory of root's. */
static const char *check_directory(int fd, bool is_link, const char *path,
                                   const capi_runner_t *runner, apr_pool_t *p)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return why(p, "cannot look at", path, errno);
    }
    if (st.st_uid != runner->uid) {
        if (is_link || st.st_uid != geteuid() || !is_empty_directory(fd)) {
            return apr_psprintf(p,
                                "%s belongs to user %ld, but the sender runs as %s: run "
                                "chown -R %s %s, or set " CAPI_DIR_STATE_DIR " or " CAPI_DIR_USER,
                                path, (long)st.st_uid, runner->name, runner->name, path);
        }
        if (!give_to(fd, runner)) {
            return why(p, "cannot give the sender's user", path, errno);
        }
    }
    if ((st.st_mode & 0027) != 0 && fchmod(fd, st.st_mode & 0750) != 0) {
        return why(p, "cannot take the rights of others away from", path, errno);
    }
    return NULL;
}

static const char *open_directory(int *fd, const char *path, const capi_runner_t *runner,
                                  apr_pool_t *p)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    const char *trouble;
    bool is_link;

    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return why(p, "cannot make the directory", path, errno);
    }
    *fd = open(path, flags | O_NOFOLLOW);
    is_link = *fd < 0 && (errno == ENOTDIR || errno == ELOOP);
    if (is_link) {
        *fd = open(path, flags);
    }
    if (*fd < 0) {
        return why(p, "cannot open the directory", path, errno);
    }
    trouble = check_directory(*fd, is_link, path, runner, p);
    if (trouble) {
        close(*fd);
    }
    return trouble;
}

/* Written under another name and then linked: a crash never leaves a key that is cut short, and of
 * two servers that start at once both read the key that came first. */
static bool make_key(int dir, const capi_runner_t *runner, apr_pool_t *p)
{
    const char *draft = apr_psprintf(p, KEY_NAME ".new.%ld", (long)getpid());
    unsigned char fresh[CAPI_SECRET_LEN];
    bool is_made;
    int fd, error;

    unlinkat(dir, draft, 0);
    fd = openat(dir, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    is_made = getrandom(fresh, sizeof(fresh), 0) == (ssize_t)sizeof(fresh) &&
              write(fd, fresh, sizeof(fresh)) == (ssize_t)sizeof(fresh) && give_to(fd, runner) &&
              fsync(fd) == 0;
    explicit_bzero(fresh, sizeof(fresh));
    if (is_made) {
        is_made = linkat(dir, draft, dir, KEY_NAME, 0) == 0 || errno == EEXIST;
    }
    error = errno;
    close(fd);
    unlinkat(dir, draft, 0);
    fsync(dir);
    errno = error;
    return is_made;
}

static const char *read_key(unsigned char secret[CAPI_SECRET_LEN], int fd, const char *path,
                            const capi_runner_t *runner, apr_pool_t *p)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return why(p, "cannot look at", path, errno);
    }
    if (!S_ISREG(st.st_mode) || (st.st_uid != runner->uid && st.st_uid != geteuid())) {
        return apr_psprintf(p, "%s is not a file of the sender's user %s: look who put it there",
                            path, runner->name);
    }
    if ((st.st_mode & 0077) != 0) {
        return apr_psprintf(p, "%s can be read by others: run chmod 600 %s", path, path);
    }
    if (st.st_size != CAPI_SECRET_LEN ||
        pread(fd, secret, CAPI_SECRET_LEN, 0) != (ssize_t)CAPI_SECRET_LEN) {
        return apr_psprintf(p,
                            "%s does not hold %d bytes: restore it, or remove it to start with a "
                            "new one (visits and carts that wait are then not found again)",
                            path, CAPI_SECRET_LEN);
    }
    return NULL;
}

const char *capi_secret_load(unsigned char secret[CAPI_SECRET_LEN], const char *state_dir,
                             const capi_runner_t *runner, apr_pool_t *p)
{
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    const char *path = apr_pstrcat(p, state_dir, "/" KEY_NAME, NULL);
    const char *trouble;
    int dir = -1;
    int fd;

    trouble = open_directory(&dir, state_dir, runner, p);
    if (trouble) {
        return trouble;
    }
    fd = openat(dir, KEY_NAME, flags);
    if (fd < 0 && errno == ENOENT && make_key(dir, runner, p)) {
        fd = openat(dir, KEY_NAME, flags);
    }
    if (fd < 0) {
        trouble = why(p, "cannot open or make", path, errno);
    }
    else {
        trouble = read_key(secret, fd, path, runner, p);
        close(fd);
    }
    close(dir);
    return trouble;
}
