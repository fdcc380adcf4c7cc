/* Between a process and the C library: everything that it does to the files below one directory is
 * written down, or made to fail.
 *
 * Preloaded with
 *   DISK_DIRECTORY  the directory, absolute, without a slash at its end; files elsewhere pass;
 *   DISK_RECORD     a file outside it that records are appended to, or unset;
 *   DISK_FAULT      a file outside it: while it exists, the number in it is the errno of every call
 *                   that would write below the directory, or unset.
 *
 * A record is a header of five 64-bit words (operation, stamp, inode, offset, length) and `length`
 * bytes: what was written, or a name below the directory, or two names with a zero in between. The
 * stamp is the monotonic clock in nanoseconds before the call. One lock is held from the stamp to
 * the end of the record, so the records are in the order in which things happened to the disk.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { CREATE = 1, WRITE, TRUNCATE, SYNC, SYNC_DIRECTORY, UNLINK, RENAME };
enum { FDS = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *directory, *fault;
static size_t directory_length;
static int record = -1;
static struct { uint64_t inode; int kind, flags; } known[FDS]; /* kind: 0 other, 1 file, 2 folder */

/* Raw calls: whatever the C library does inside must not come back here. */
static int raw_open(const char *path, int flags, int mode)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("DISK_RECORD");
    directory = getenv("DISK_DIRECTORY");
    fault = getenv("DISK_FAULT");
    directory_length = directory ? strlen(directory) : 0;
    if (directory && path)
        record = raw_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static uint64_t stamp(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void note(int operation, uint64_t when, uint64_t inode, uint64_t offset,
                 const void *bytes, size_t length)
{
    uint64_t header[5] = {(uint64_t)operation, when, inode, offset, length};
    struct iovec parts[2] = {{header, sizeof header}, {(void *)bytes, length}};
    if (record >= 0 && syscall(SYS_writev, record, parts, 2) < 0)
        abort();
}

/* The name below the directory; "" for the directory itself, NULL for a path elsewhere. */
static const char *below(const char *path)
{
    if (!directory || strncmp(path, directory, directory_length))
        return NULL;
    if (path[directory_length] == '/')
        return path + directory_length + 1;
    return path[directory_length] ? NULL : "";
}

/* The errno that writing fails with at present, or 0. */
static int failing(void)
{
    char text[16] = {0};
    int handle, number = 0;
    if (fault && (handle = raw_open(fault, O_RDONLY | O_CLOEXEC, 0)) >= 0) {
        if (syscall(SYS_read, handle, text, sizeof text - 1) > 0)
            number = atoi(text);
        syscall(SYS_close, handle);
    }
    return number;
}

static int kind_of(int handle)
{
    return handle >= 0 && handle < FDS ? known[handle].kind : 0;
}

#define FAIL_IF_FAULTY(which)                                   \
    do {                                                        \
        int number = (which) ? failing() : 0;                   \
        if (number) { errno = number; return -1; }              \
    } while (0)

static int opened(const char *path, int flags, int mode)
{
    const char *name = below(path);
    struct stat status;
    int handle, is_new = 0;
    uint64_t when;
    if (!name) {
        handle = raw_open(path, flags, mode);
        if (handle >= 0 && handle < FDS)
            known[handle].kind = 0;
        return handle;
    }
    pthread_mutex_lock(&lock);
    if (flags & O_CREAT)
        is_new = fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) != 0;
    if ((is_new || (flags & O_TRUNC)) && (errno = failing())) {
        pthread_mutex_unlock(&lock);
        return -1;
    }
    when = stamp();
    handle = raw_open(path, flags, mode);
    if (handle >= 0 && handle < FDS && !fstat(handle, &status)) {
        known[handle].inode = status.st_ino;
        known[handle].kind = S_ISDIR(status.st_mode) ? 2 : S_ISREG(status.st_mode) ? 1 : 0;
        known[handle].flags = flags;
        if (is_new)
            note(CREATE, when, status.st_ino, 0, name, strlen(name));
        else if (flags & O_TRUNC)
            note(TRUNCATE, when, status.st_ino, 0, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return handle;
}

#define MODE(flags) (((flags) & O_CREAT) ? ({ va_list more; va_start(more, flags);            \
                                              int m = va_arg(more, int); va_end(more); m; }) : 0)

int open(const char *path, int flags, ...) { return opened(path, flags, MODE(flags)); }
int open64(const char *path, int flags, ...) { return opened(path, flags | O_LARGEFILE, MODE(flags)); }
int __open_2(const char *path, int flags) { return opened(path, flags, 0); }
int __open64_2(const char *path, int flags) { return opened(path, flags | O_LARGEFILE, 0); }

int openat(int at, const char *path, int flags, ...)
{
    int mode = MODE(flags);
    if (at != AT_FDCWD && path[0] != '/')
        return (int)syscall(SYS_openat, at, path, flags, mode);
    return opened(path, flags, mode);
}

int close(int handle)
{
    if (kind_of(handle)) {
        pthread_mutex_lock(&lock);
        known[handle].kind = 0;
        pthread_mutex_unlock(&lock);
    }
    return (int)syscall(SYS_close, handle);
}

/* Writes at `offset`, or where the file stands when it is negative. */
static ssize_t written(int handle, const void *bytes, size_t length, off64_t offset)
{
    ssize_t done;
    uint64_t when;
    pthread_mutex_lock(&lock);
    if ((errno = failing())) {
        pthread_mutex_unlock(&lock);
        return -1;
    }
    when = stamp();
    if (offset >= 0) {
        done = syscall(SYS_pwrite64, handle, bytes, length, offset);
    } else {
        int whence = known[handle].flags & O_APPEND ? SEEK_END : SEEK_CUR;
        offset = lseek64(handle, 0, whence);
        done = syscall(SYS_write, handle, bytes, length);
    }
    if (done > 0)
        note(WRITE, when, known[handle].inode, (uint64_t)offset, bytes, (size_t)done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int handle, const void *bytes, size_t length)
{
    if (kind_of(handle) != 1)
        return syscall(SYS_write, handle, bytes, length);
    return written(handle, bytes, length, -1);
}

ssize_t pwrite64(int handle, const void *bytes, size_t length, off64_t offset)
{
    if (kind_of(handle) != 1)
        return syscall(SYS_pwrite64, handle, bytes, length, offset);
    return written(handle, bytes, length, offset);
}

ssize_t pwrite(int handle, const void *bytes, size_t length, off_t offset)
{
    return pwrite64(handle, bytes, length, offset);
}

int ftruncate64(int handle, off64_t length)
{
    int done;
    uint64_t when;
    if (kind_of(handle) != 1)
        return (int)syscall(SYS_ftruncate, handle, length);
    FAIL_IF_FAULTY(1);
    pthread_mutex_lock(&lock);
    when = stamp();
    done = (int)syscall(SYS_ftruncate, handle, length);
    if (!done)
        note(TRUNCATE, when, known[handle].inode, (uint64_t)length, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int handle, off_t length) { return ftruncate64(handle, length); }

static int synced(int handle, long call)
{
    int done, kind = kind_of(handle);
    uint64_t when;
    if (!kind)
        return (int)syscall(call, handle);
    FAIL_IF_FAULTY(kind == 1);
    pthread_mutex_lock(&lock);
    when = stamp();
    done = (int)syscall(call, handle);
    if (!done)
        note(kind == 2 ? SYNC_DIRECTORY : SYNC, when, known[handle].inode, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int fsync(int handle) { return synced(handle, SYS_fsync); }
int fdatasync(int handle) { return synced(handle, SYS_fdatasync); }

int unlink(const char *path)
{
    const char *name = below(path);
    int done;
    uint64_t when;
    if (!name)
        return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    FAIL_IF_FAULTY(1);
    pthread_mutex_lock(&lock);
    when = stamp();
    done = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (!done)
        note(UNLINK, when, 0, 0, name, strlen(name));
    pthread_mutex_unlock(&lock);
    return done;
}

int rename(const char *from, const char *to)
{
    const char *old = below(from), *new = below(to);
    char names[8192];
    int done, length;
    uint64_t when;
    if (!old || !new)
        return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    FAIL_IF_FAULTY(1);
    length = snprintf(names, sizeof names, "%s%c%s", old, 0, new);
    pthread_mutex_lock(&lock);
    when = stamp();
    done = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (!done)
        note(RENAME, when, 0, 0, names, (size_t)length);
    pthread_mutex_unlock(&lock);
    return done;
}
