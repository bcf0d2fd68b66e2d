/* A disk that fills, or a process that dies, at a chosen step: preloaded (LD_PRELOAD), then armed.

   Counts the calls that change or flush something below a folder. At the chosen one the process is
   killed (before or after the call), or the call fails with ENOSPC, or it and all later ones that
   need room do. Calls within the C library itself (stdio's) do not come through here. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum how { COUNT, KILL_BEFORE, KILL_AFTER, FAIL, FULL };

static char root[PATH_MAX];
static long calls, chosen;
static int armed, how, told = -1;

void arm(const char *folder, long step, int way, int tell) {
    strncpy(root, folder, sizeof root - 1);
    calls = 0, chosen = step, how = way, told = tell, armed = 1;
}

void disarm(void) { armed = 0; }

static int is_below(const char *path) { return strncmp(path, root, strlen(root)) == 0; }

static int fd_is_below(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static int at_is_below(int folder, const char *path) {
    return path[0] == '/' || folder == AT_FDCWD ? is_below(path) : fd_is_below(folder);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* -1: the call is to fail. */
static int step(const char *name, int below, int needs_room) {
    if (!armed || !below) return 0;
    calls++;
    if (told >= 0) {
        char line[64];
        int length = snprintf(line, sizeof line, "%s\n", name);
        int before = armed;
        armed = 0;
        if (REAL(write)(told, line, length) < 0) told = -1;
        armed = before;
    }
    if (how == FULL && calls >= chosen && needs_room) return errno = ENOSPC, -1;
    if (calls != chosen) return 0;
    if (how == KILL_BEFORE) kill(getpid(), SIGKILL);
    if (how == FAIL) return errno = ENOSPC, -1;
    return 0;
}

static void after(int below) {
    if (armed && below && how == KILL_AFTER && calls == chosen) kill(getpid(), SIGKILL);
}

#define ATTACKED(type, name, below_, room, declared, given) \
    type name declared {                                    \
        int below = armed && (below_);                      \
        if (step(#name, below, room)) return -1;            \
        type found = REAL(name) given;                      \
        int error = errno;                                  \
        after(below);                                       \
        errno = error;                                      \
        return found;                                       \
    }

ATTACKED(int, mkdir, is_below(path), 1, (const char *path, mode_t mode), (path, mode))
ATTACKED(int, rmdir, is_below(path), 0, (const char *path), (path))
ATTACKED(int, unlink, is_below(path), 0, (const char *path), (path))
ATTACKED(int, unlinkat, at_is_below(folder, path), 0, (int folder, const char *path, int flags),
         (folder, path, flags))
ATTACKED(int, rename, is_below(to), 1, (const char *from, const char *to), (from, to))
ATTACKED(int, renameat, at_is_below(at, to), 1, (int from_at, const char *from, int at, const char *to),
         (from_at, from, at, to))
ATTACKED(int, renameat2, at_is_below(at, to), 1,
         (int from_at, const char *from, int at, const char *to, unsigned int flags),
         (from_at, from, at, to, flags))
ATTACKED(int, fsync, fd_is_below(fd), 1, (int fd), (fd))
ATTACKED(int, ftruncate64, fd_is_below(fd), 0, (int fd, off64_t size), (fd, size))
ATTACKED(ssize_t, write, fd_is_below(fd), 1, (int fd, const void *from, size_t size), (fd, from, size))
ATTACKED(ssize_t, writev, fd_is_below(fd), 1, (int fd, const struct iovec *from, int count),
         (fd, from, count))

#define IS_WRITTEN(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC))
#define MODE(flags)                                   \
    va_list rest;                                     \
    va_start(rest, flags);                            \
    mode_t mode = (flags) & O_CREAT ? va_arg(rest, mode_t) : 0; \
    va_end(rest);

#define OPENED(name)                                                            \
    int name(const char *path, int flags, ...) {                                \
        MODE(flags)                                                             \
        int below = armed && IS_WRITTEN(flags) && is_below(path);               \
        if (step("open", below, 1)) return -1;                                  \
        int found = REAL(name)(path, flags, mode);                              \
        int error = errno;                                                      \
        after(below);                                                           \
        errno = error;                                                          \
        return found;                                                           \
    }

OPENED(open)
OPENED(open64)
