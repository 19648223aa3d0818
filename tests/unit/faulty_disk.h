// faulty_disk.h: a disk for SQLite that fails when it is told to, and that knows what of a file would be left after a power cut:
// what was synced, and of the rest any part. It stands between SQLite and the real files; one per process, for all files.
#ifndef TESTS_UNIT_FAULTY_DISK_H
#define TESTS_UNIT_FAULTY_DISK_H

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum disk_fault { NO_FAULT, WRITE_FAILS, SYNC_FAILS, DISK_FULL };
#define SECTOR 512

// Something that was done to a file and not synced yet: bytes written, or (data NULL) cut to size `at`.
struct unsynced {
    unsigned char *data;
    size_t at, n;
    struct unsynced *next;
};

struct disk_file {
    char path[256];
    unsigned char *durable;
    size_t size, room;
    struct unsynced *first, **last;
    struct disk_file *next;
};

static struct disk {
    pthread_mutex_t lock;
    sqlite3_vfs vfs, *real;
    sqlite3_io_methods methods;
    struct disk_file *files;
    enum disk_fault fault;
    sqlite3_int64 log_most;       // a write-ahead log that grows beyond this meets a full disk; 0: it may
    int countdown;                // the fault strikes once, when this gets to 0
    bool struck;
    bool lies;                    // syncs report success and do nothing
    bool watched;                 // what is durable is kept track of
    void (*after)(void *ctx);     // after each write and sync of a watched disk, with the lock
    void *ctx;
} disk;

struct disk_handle {
    sqlite3_file base;
    struct disk_file *file;       // NULL: not watched
    bool is_log;
    sqlite3_file *real;           // behind this struct
};

static struct disk_file *disk_find(const char *path) {
    for (struct disk_file *f = disk.files; f; f = f->next)
        if (strcmp(f->path, path) == 0)
            return f;
    struct disk_file *f = calloc(1, sizeof *f);
    snprintf(f->path, sizeof f->path, "%s", path);
    f->last = &f->first;
    f->next = disk.files;
    disk.files = f;
    return f;
}

// ---- what is durable

static void disk_apply(unsigned char **bytes, size_t *size, size_t *room, const struct unsynced *u, size_t from, size_t n) {
    if (!u->data) {
        *size = u->at < *size ? u->at : *size;
        return;
    }
    size_t end = u->at + from + n;
    if (end > *room) {
        *room = end * 2;
        *bytes = realloc(*bytes, *room);
    }
    if (end > *size) {
        memset(*bytes + *size, 0, end - *size);
        *size = end;
    }
    memcpy(*bytes + u->at + from, u->data + from, n);
}

static void disk_forget(struct disk_file *f) {
    for (struct unsynced *u = f->first, *next; u; u = next) {
        next = u->next;
        free(u->data);
        free(u);
    }
    f->first = NULL;
    f->last = &f->first;
}

static void disk_note(struct disk_file *f, const void *data, size_t at, size_t n) {
    struct unsynced *u = calloc(1, sizeof *u);
    *u = (struct unsynced){.data = data ? malloc(n) : NULL, .at = at, .n = n};
    if (data)
        memcpy(u->data, data, n);
    *f->last = u;
    f->last = &u->next;
}

static void disk_synced(struct disk_file *f) {
    for (const struct unsynced *u = f->first; u; u = u->next)
        disk_apply(&f->durable, &f->size, &f->room, u, 0, u->n);
    disk_forget(f);
}

// disk_left writes to `path` what a power cut now would leave of f: all that was synced, and of the rest some sectors, drawn with *dice.
static void disk_left(const struct disk_file *f, const char *path, unsigned *dice) {
    size_t size = f->size, room = f->size + 1;
    unsigned char *bytes = malloc(room);
    memcpy(bytes, f->durable ? f->durable : (const unsigned char *)"", size);
    for (const struct unsynced *u = f->first; u; u = u->next) {
        if (!u->data && rand_r(dice) % 2)
            disk_apply(&bytes, &size, &room, u, 0, 0);
        for (size_t from = 0, n; u->data && from < u->n; from += n) {
            n = SECTOR - (u->at + from) % SECTOR;
            n = n < u->n - from ? n : u->n - from;
            if (rand_r(dice) % 2)
                disk_apply(&bytes, &size, &room, u, from, n);
        }
    }
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    close(fd);
    free(bytes);
}

// ---- faults

static int disk_fault(enum disk_fault kind, int code) {
    if (disk.fault != kind || disk.countdown == 0 || --disk.countdown > 0)
        return SQLITE_OK;
    disk.struck = true;
    return code;
}

#define HANDLE(f) ((struct disk_handle *)(f))
#define REAL(f) (HANDLE(f)->real)

static int disk_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at) {
    pthread_mutex_lock(&disk.lock);
    int code = disk_fault(WRITE_FAILS, SQLITE_IOERR_WRITE);
    if (code == SQLITE_OK)
        code = HANDLE(f)->is_log && disk.log_most && at + n > disk.log_most ? SQLITE_FULL : disk_fault(DISK_FULL, SQLITE_FULL);
    if (code == SQLITE_OK)
        code = REAL(f)->pMethods->xWrite(REAL(f), data, n, at);
    if (code == SQLITE_OK && HANDLE(f)->file) {
        disk_note(HANDLE(f)->file, data, (size_t)at, (size_t)n);
        if (disk.after)
            disk.after(disk.ctx);
    }
    pthread_mutex_unlock(&disk.lock);
    return code;
}

static int disk_truncate(sqlite3_file *f, sqlite3_int64 size) {
    pthread_mutex_lock(&disk.lock);
    int code = REAL(f)->pMethods->xTruncate(REAL(f), size);
    if (code == SQLITE_OK && HANDLE(f)->file)
        disk_note(HANDLE(f)->file, NULL, (size_t)size, 0);
    pthread_mutex_unlock(&disk.lock);
    return code;
}

static int disk_sync(sqlite3_file *f, int flags) {
    pthread_mutex_lock(&disk.lock);
    int code = disk_fault(SYNC_FAILS, SQLITE_IOERR_FSYNC);
    if (code == SQLITE_OK)
        code = REAL(f)->pMethods->xSync(REAL(f), flags);
    if (code == SQLITE_OK && HANDLE(f)->file && !disk.lies)
        disk_synced(HANDLE(f)->file);
    if (code == SQLITE_OK && HANDLE(f)->file && disk.after)
        disk.after(disk.ctx);
    pthread_mutex_unlock(&disk.lock);
    return code;
}

// ---- the rest goes to the real file

static int disk_close(sqlite3_file *f) {
    return REAL(f)->pMethods ? REAL(f)->pMethods->xClose(REAL(f)) : SQLITE_OK;
}
static int disk_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at) {
    return REAL(f)->pMethods->xRead(REAL(f), out, n, at);
}
static int disk_size(sqlite3_file *f, sqlite3_int64 *ret) {
    return REAL(f)->pMethods->xFileSize(REAL(f), ret);
}
static int disk_lock(sqlite3_file *f, int level) {
    return REAL(f)->pMethods->xLock(REAL(f), level);
}
static int disk_unlock(sqlite3_file *f, int level) {
    return REAL(f)->pMethods->xUnlock(REAL(f), level);
}
static int disk_reserved(sqlite3_file *f, int *ret) {
    return REAL(f)->pMethods->xCheckReservedLock(REAL(f), ret);
}
static int disk_control(sqlite3_file *f, int op, void *arg) {
    return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}
static int disk_sector(sqlite3_file *f) {
    return REAL(f)->pMethods->xSectorSize(REAL(f));
}
static int disk_can(sqlite3_file *f) {
    return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}

static int disk_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *ret_flags) {
    (void)vfs;
    struct disk_handle *h = HANDLE(f);
    *h = (struct disk_handle){.is_log = flags & SQLITE_OPEN_WAL, .real = (sqlite3_file *)(h + 1)};
    int code = disk.real->xOpen(disk.real, path, h->real, flags, ret_flags);
    if (code != SQLITE_OK)
        return code;
    h->base.pMethods = &disk.methods;
    pthread_mutex_lock(&disk.lock);
    h->file = disk.watched && path ? disk_find(path) : NULL;
    pthread_mutex_unlock(&disk.lock);
    return code;
}

static int disk_delete(sqlite3_vfs *vfs, const char *path, int sync_directory) {
    (void)vfs;
    pthread_mutex_lock(&disk.lock);
    if (disk.watched) {
        disk_forget(disk_find(path));
        disk_find(path)->size = 0;
    }
    pthread_mutex_unlock(&disk.lock);
    return disk.real->xDelete(disk.real, path, sync_directory);
}

// disk_install: all that SQLite opens from now on is on this disk.
static void disk_install(void) {
    disk.real = sqlite3_vfs_find(NULL);
    disk.vfs = *disk.real;
    disk.vfs.zName = "faulty";
    disk.vfs.szOsFile = (int)sizeof(struct disk_handle) + disk.real->szOsFile;
    disk.vfs.xOpen = disk_open;
    disk.vfs.xDelete = disk_delete;
    disk.methods = (sqlite3_io_methods){1, disk_close, disk_read, disk_write, disk_truncate, disk_sync, disk_size, disk_lock, disk_unlock, disk_reserved,
                                        disk_control, disk_sector, disk_can, NULL, NULL, NULL, NULL, NULL, NULL};
    pthread_mutex_init(&disk.lock, NULL);
    sqlite3_vfs_register(&disk.vfs, 1);
}

// disk_reset: no faults, nothing is watched and nothing known. No file may be open.
static void disk_reset(void) {
    for (struct disk_file *f = disk.files, *next; f; f = next) {
        next = f->next;
        disk_forget(f);
        free(f->durable);
        free(f);
    }
    disk.files = NULL;
    disk.fault = NO_FAULT;
    disk.countdown = 0;
    disk.log_most = 0;
    disk.struck = disk.lies = disk.watched = false;
    disk.after = NULL;
}

#endif
