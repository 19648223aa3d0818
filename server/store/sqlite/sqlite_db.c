#include "server/store/sqlite/sqlite_db.h"

#include "base/crypto.h"
#include "server/store/sqlite/write_window.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WAL_PAGES_MOST = 256,   // 1 MiB
    LOG_WINDOW = 2 << 20,   // and the commit that exceeds it; what is not used is not touched
    FILE_WINDOW = 1 << 16,
    WRITE_MOST = 31 << 12,  // SQLite's own files write at most 131,071 bytes at once, and of 131,072 nothing
};
#define JOINED_FILES "joined"

enum control { BEGIN, COMMIT, ROLLBACK, CONTROL_COUNT };

static const char *const control_sql[CONTROL_COUNT] = {[BEGIN] = "BEGIN IMMEDIATE", [COMMIT] = "COMMIT", [ROLLBACK] = "ROLLBACK"};

// The lock mode stands before everything that reads the file: so the index of the log is kept in this process and no other
// one can open the file, which also keeps SQLite's WAL-reset bug (3.7.0 to 3.51.2: a checkpoint of one connection against a
// write of another) out of reach.
static const char set_up[] =
    "PRAGMA locking_mode = EXCLUSIVE;"
    "PRAGMA mmap_size = 0;"
    "PRAGMA trusted_schema = OFF;"
    "PRAGMA temp_store = MEMORY;"
    "PRAGMA cache_size = -4096;"
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    "PRAGMA wal_autocheckpoint = 0;";

static const struct failure {
    int code;
    enum rc rc;
    bool broken;
    const char *advice;
} failures[] = {
    {SQLITE_FULL, RC_UNAVAILABLE, false, "the disk is full, make room"},
    {SQLITE_NOMEM, RC_UNAVAILABLE, false, "out of memory"},
    {SQLITE_BUSY, RC_UNAVAILABLE, false, "another process has it open; one file serves one process"},
    {SQLITE_IOERR, RC_IO, true, "the disk failed; nothing more is stored before a restart"},
    {SQLITE_CORRUPT, RC_IO, true, "the file is damaged; restore it from a backup"},
    {SQLITE_NOTADB, RC_IO, true, "this is not an SQLite file"},
    {SQLITE_READONLY, RC_IO, false, "it cannot be written to"},
    {SQLITE_CANTOPEN, RC_IO, false, "it cannot be opened; is there such a directory, and may this user write to it?"},
};

struct query {
    struct db *db;
    sqlite3_stmt *stmt;
    struct query *used_before;  // the one used before it since the last db_rest; itself: none
};

struct db {
    sqlite3 *connection;
    char *path;
    struct query *queries;  // those of the configuration, then those of control_sql
    size_t query_count;
    void *memory;
    struct query *used;     // the last one used since the last db_rest
    int wal_pages;
    bool broken;
    struct err failed;  // RC_OK: nothing failed
};

// ---- errors

// note: SQLITE_OK is fine.
static void note(struct db *db, int code) {
    if (code == SQLITE_OK || db->failed.code != RC_OK)
        return;
    const struct failure *f = &(const struct failure){0, RC_IO, false, "SQLite refused"};
    for (size_t i = 0; i < COUNTOF(failures); i++)
        if (failures[i].code == (code & 0xff))
            f = &failures[i];
    db->broken = db->broken || f->broken;
    if (f->code == SQLITE_FULL)  // the log may be what fills the disk: db_tidy makes it begin anew
        db->wal_pages = WAL_PAGES_MOST;
    err_set(&db->failed, f->rc, "%s: %s (%s)", db->path, f->advice, sqlite3_errmsg(db->connection));
}

bool db_ok(const struct db *db) {
    return db->failed.code == RC_OK;
}

bool db_broken(const struct db *db) {
    return db->broken;
}

enum rc db_take_error(struct db *db, struct err *e) {
    enum rc rc = db->failed.code;
    if (rc == RC_OK)
        return RC_OK;
    err_set(e, rc, "%s", db->failed.text);
    if (!db->broken)
        db->failed = (struct err){0};
    return rc;
}

void *db_memory(const struct db *db) {
    return db->memory;
}

void db_no_memory(struct db *db) {
    note(db, SQLITE_NOMEM);
}

// ---- queries

static int bind_hex(sqlite3_stmt *stmt, int at, struct sv s) {
    unsigned char room[PACKED_MOST];
    struct sv kept = packed(s, room);
    return sqlite3_bind_blob64(stmt, at, kept.p, kept.n, SQLITE_TRANSIENT);
}

static void packed_of_text(sqlite3_context *context, int count, sqlite3_value **values) {
    (void)count;
    unsigned char room[PACKED_MOST];
    const char *text = (const char *)sqlite3_value_text(values[0]);
    if (!text)
        return;  // NULL
    struct sv kept = packed((struct sv){text, (size_t)sqlite3_value_bytes(values[0])}, room);
    sqlite3_result_blob64(context, kept.p, kept.n, SQLITE_TRANSIENT);
}

static int bind(sqlite3_stmt *stmt, int at, const struct value *v) {
    if (v->type == VALUE_NUMBER)
        return sqlite3_bind_int64(stmt, at, v->number);
    if (!v->bytes.p)
        return sqlite3_bind_null(stmt, at);
    if (v->type == VALUE_HEX)
        return bind_hex(stmt, at, v->bytes);
    if (v->type == VALUE_TEXT)
        return sqlite3_bind_text64(stmt, at, v->bytes.p, v->bytes.n, SQLITE_STATIC, SQLITE_UTF8);
    return sqlite3_bind_blob64(stmt, at, v->bytes.p, v->bytes.n, SQLITE_STATIC);
}

struct query *db_query(struct db *db, size_t which, const struct value *values, size_t n) {
    struct query *q = &db->queries[which];
    sqlite3_reset(q->stmt);  // repeats the error of the last step, which is known already
    if (!q->used_before) {
        q->used_before = db->used ? db->used : q;
        db->used = q;
    }
    for (size_t i = 0; i < n && db_ok(db); i++)
        note(db, bind(q->stmt, (int)i + 1, &values[i]));
    return q;
}

bool db_step(struct query *q) {
    if (!db_ok(q->db))
        return false;
    int code = sqlite3_step(q->stmt);
    if (code == SQLITE_ROW)
        return true;
    note(q->db, code == SQLITE_DONE ? SQLITE_OK : code);
    sqlite3_reset(q->stmt);
    return false;
}

void db_run(struct db *db, size_t which, const struct value *values, size_t n) {
    db_step(db_query(db, which, values, n));
}

struct sv db_bytes(struct query *q, int column) {
    if (!db_ok(q->db) || sqlite3_column_type(q->stmt, column) == SQLITE_NULL)
        return SV_NONE;
    const char *p = sqlite3_column_blob(q->stmt, column);  // of a text too: its UTF-8 bytes; NULL when there are none
    return (struct sv){p ? p : "", (size_t)sqlite3_column_bytes(q->stmt, column)};
}

int64_t db_number(struct query *q, int column) {
    return db_ok(q->db) ? sqlite3_column_int64(q->stmt, column) : 0;
}

void db_hex(struct query *q, int column, char *out, size_t size) {
    struct sv s = db_bytes(q, column);
    hex_into(out, s.p, s.n < size / 2 ? s.n : (size - 1) / 2);
}

int64_t db_changes(const struct db *db) {
    return sqlite3_changes64(db->connection);
}

int64_t db_inserted(const struct db *db) {
    return sqlite3_last_insert_rowid(db->connection);
}

void db_rest(struct db *db) {
    for (struct query *q = db->used, *before; q; q = before) {
        before = q->used_before != q ? q->used_before : NULL;
        sqlite3_reset(q->stmt);
        q->used_before = NULL;
    }
    db->used = NULL;
}

// ---- transactions

static void control(struct db *db, enum control which) {
    db_run(db, db->query_count - CONTROL_COUNT + which, NULL, 0);
}

void db_begin(struct db *db) {
    control(db, BEGIN);
}

void db_commit(struct db *db) {
    db_rest(db);
    control(db, COMMIT);
}

// It takes back what a failure left behind, so it runs whatever failed before; the first failure stays the one reported.
void db_rollback(struct db *db) {
    if (!db_in_transaction(db))
        return;
    struct err failed = db->failed;
    db->failed = (struct err){0};
    db_rest(db);
    control(db, ROLLBACK);
    if (failed.code != RC_OK)
        db->failed = failed;
}

bool db_in_transaction(const struct db *db) {
    return !sqlite3_get_autocommit(db->connection);
}

bool db_untidy(const struct db *db) {
    return db->wal_pages >= WAL_PAGES_MOST && db_ok(db);
}

void db_tidy(struct db *db) {
    if (!db_untidy(db))
        return;
    db->wal_pages = 0;  // not done (disk full): the next commit tells the size of the log again
    note(db, sqlite3_wal_checkpoint_v2(db->connection, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
    if (!db->broken)  // what was committed stays in the log, so nobody has to hear of it
        db->failed = (struct err){0};
}

// ---- files

// The database and its log, each behind a window. SQLite writes a page of the log as 24 bytes and 4,096, and reads it again to move it
// into the database: here a commit is one write, a move reads nothing, and neighbours in the database are written together.
// It all is in the file before a sync. Nobody counts on anything else, not SQLite either: a commit ends with a sync, if only into the file,
// and as the only connection moves the whole log or none of it, so does each move. So a close writes nothing. No xShmMap: the lock is exclusive.
struct joined_file {
    sqlite3_file base;
    struct window window;
    bool written;        // since the last sync, or before it was opened
    bool headed;         // ... at its beginning too: SQLite counts on a log's head to be there before what follows
    bool unsynced;       // for now a sync only puts all into the file
    sqlite3_file *real;  // behind this struct
};

#define JOINED(f) ((struct joined_file *)(f))
#define REAL(f) (JOINED(f)->real)

static int real_read(void *ctx, void *out, size_t n, int64_t at) {
    return REAL(ctx)->pMethods->xRead(REAL(ctx), out, (int)n, at);
}
static int real_write(void *ctx, const void *bytes, size_t n, int64_t at) {
    JOINED(ctx)->written = true;
    int code = SQLITE_OK;
    for (size_t done = 0, piece; done < n && code == SQLITE_OK; done += piece) {
        piece = n - done < WRITE_MOST ? n - done : WRITE_MOST;
        code = REAL(ctx)->pMethods->xWrite(REAL(ctx), (const char *)bytes + done, (int)piece, at + (int64_t)done);
    }
    return code;
}

static int joined_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at) {
    return window_read(&JOINED(f)->window, out, (size_t)n, at);
}
static int joined_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at) {
    JOINED(f)->headed |= at == 0;
    return window_write(&JOINED(f)->window, bytes, (size_t)n, at);
}

static int joined_close(sqlite3_file *f) {
    window_end(&JOINED(f)->window);
    return REAL(f)->pMethods->xClose(REAL(f));
}

static int joined_truncate(sqlite3_file *f, sqlite3_int64 size) {
    int code = window_settle(&JOINED(f)->window);
    window_forget(&JOINED(f)->window);
    JOINED(f)->written = true;
    return code == SQLITE_OK ? REAL(f)->pMethods->xTruncate(REAL(f), size) : code;
}

// A checkpoint begins with a sync of the log, which the last commit mostly did already.
static int joined_sync(sqlite3_file *f, int flags) {
    struct joined_file *j = JOINED(f);
    int code = window_settle(&j->window);
    if (code != SQLITE_OK || !j->written || (j->unsynced && !j->headed))
        return code;
    code = REAL(f)->pMethods->xSync(REAL(f), flags);
    j->written = j->headed = code != SQLITE_OK;
    return code;
}

static int joined_size(sqlite3_file *f, sqlite3_int64 *ret) {
    int code = window_settle(&JOINED(f)->window);
    return code == SQLITE_OK ? REAL(f)->pMethods->xFileSize(REAL(f), ret) : code;
}

// ---- the rest goes to the real file

static int joined_lock(sqlite3_file *f, int level) {
    return REAL(f)->pMethods->xLock(REAL(f), level);
}
static int joined_unlock(sqlite3_file *f, int level) {
    return REAL(f)->pMethods->xUnlock(REAL(f), level);
}
static int joined_reserved(sqlite3_file *f, int *ret) {
    return REAL(f)->pMethods->xCheckReservedLock(REAL(f), ret);
}
static int joined_control(sqlite3_file *f, int op, void *arg) {
    return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}
static int joined_sector(sqlite3_file *f) {
    return REAL(f)->pMethods->xSectorSize(REAL(f));
}
static int joined_can(sqlite3_file *f) {
    return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}

static const sqlite3_io_methods joined_methods = {
    1, joined_close, joined_read, joined_write, joined_truncate, joined_sync, joined_size, joined_lock, joined_unlock, joined_reserved,
    joined_control, joined_sector, joined_can, NULL, NULL, NULL, NULL, NULL, NULL,
};

void db_commit_unsynced(struct db *db) {
    sqlite3_file *log = NULL;
    sqlite3_file_control(db->connection, NULL, SQLITE_FCNTL_JOURNAL_POINTER, &log);
    JOINED(log)->unsynced = true;
    db_commit(db);
    JOINED(log)->unsynced = false;
}

static int joined_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *ret_flags) {
    sqlite3_vfs *real = vfs->pAppData;
    if (!(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
        return real->xOpen(real, path, f, flags, ret_flags);
    struct joined_file *j = JOINED(f);
    *j = (struct joined_file){.written = true, .real = (sqlite3_file *)(j + 1)};
    int code = real->xOpen(real, path, j->real, flags, ret_flags);
    if (j->real->pMethods)  // to be closed, even when it failed
        j->base.pMethods = &joined_methods;
    window_begin(&j->window, (struct window_file){real_read, real_write, j}, flags & SQLITE_OPEN_WAL ? LOG_WINDOW : FILE_WINDOW);
    return code;
}

// ---- opening

static int note_wal_pages(void *ctx, sqlite3 *connection, const char *name, int pages) {
    (void)connection, (void)name;
    ((struct db *)ctx)->wal_pages = pages;
    return SQLITE_OK;
}

// SQLite would make the file readable by everybody. An existing one is not touched: closing it would drop a lock on it.
static void make_private(const char *path) {
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
}

// SQLite would count its memory, under a lock that each allocation takes. Without effect, and harmless, when it is in use already.
// Its files are beneath ours: those of a test too, when they are the default by then.
static void set_up_sqlite(void) {
    static sqlite3_vfs joined;
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    if (!real)
        return;
    joined = *real;
    joined.zName = JOINED_FILES;
    joined.pAppData = real;
    joined.szOsFile = (int)sizeof(struct joined_file) + real->szOsFile;
    joined.xOpen = joined_open;
    sqlite3_vfs_register(&joined, 0);
}

static int connect_file(struct db *db) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up_sqlite);
    make_private(db->path);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(db->path, &db->connection, flags, JOINED_FILES);
    if (code == SQLITE_OK)
        code = sqlite3_db_config(db->connection, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(db->connection, set_up, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        sqlite3_wal_hook(db->connection, note_wal_pages, db);
    return code;
}

// one_text runs a pragma that answers with one value; the value's first bytes are copied.
static int one_text(struct db *db, const char *sql, char *out, size_t out_size) {
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(db->connection, sql, -1, &stmt, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(stmt);
    if (code == SQLITE_ROW)
        sqlite3_snprintf((int)out_size, out, "%s", (const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

static enum rc bring_up_to_date(struct db *db, const struct db_config *config, int64_t found, struct err *e) {
    const char *changes = found > 0 && config->upgrade ? config->upgrade : config->schema;
    char *sql = sqlite3_mprintf("BEGIN IMMEDIATE; %s; PRAGMA user_version = %lld; COMMIT", changes, (long long)config->schema_version);
    note(db, sqlite3_create_function(db->connection, "packed", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, packed_of_text, NULL, NULL));
    note(db, sql ? sqlite3_exec(db->connection, sql, NULL, NULL, NULL) : SQLITE_NOMEM);
    sqlite3_free(sql);
    return db_take_error(db, e);
}

static enum rc check_version(struct db *db, const struct db_config *config, struct err *e) {
    char mode[16] = "", version[24] = "";
    int code = one_text(db, "PRAGMA journal_mode", mode, sizeof mode);
    if (code == SQLITE_OK)
        code = one_text(db, "PRAGMA user_version", version, sizeof version);
    int64_t found = 0;
    if (code != SQLITE_OK || !sv_i64(sv_of(version), &found)) {
        note(db, code != SQLITE_OK ? code : SQLITE_CORRUPT);
        return db_take_error(db, e);
    }
    if (!sv_is(sv_of(mode), "wal"))
        return err_set(e, RC_IO, "%s: no write-ahead log is possible there (journal mode %s); put the file on a local disk", db->path, mode);
    if (found > config->schema_version)
        return err_set(e, RC_INVALID, "%s: made by a newer version of this program; use that one", db->path);
    if (found == config->schema_version)
        return RC_OK;
    return bring_up_to_date(db, config, found, e);
}

static void prepare(struct db *db, struct query *q, const char *sql) {
    q->db = db;
    note(db, sqlite3_prepare_v3(db->connection, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->stmt, NULL));
}

static enum rc prepare_all(struct db *db, const struct db_config *config, struct err *e) {
    db->query_count = config->query_count + CONTROL_COUNT;
    db->queries = calloc(db->query_count, sizeof *db->queries);
    if (!db->queries)
        return err_set(e, RC_UNAVAILABLE, "out of memory");
    for (size_t i = 0; i < config->query_count; i++)
        prepare(db, &db->queries[i], config->queries[i]);
    for (size_t i = 0; i < CONTROL_COUNT; i++)
        prepare(db, &db->queries[config->query_count + i], control_sql[i]);
    return db_take_error(db, e);
}

enum rc db_open(const struct db_config *config, struct db **ret, struct err *e) {
    struct db *db = calloc(1, sizeof *db);
    char *path = strdup(config->path);
    if (!db || !path) {
        free(db);
        free(path);
        return err_set(e, RC_UNAVAILABLE, "out of memory");
    }
    db->path = path;
    db->memory = config->memory;
    note(db, connect_file(db));
    enum rc rc = db_take_error(db, e);
    if (rc == RC_OK)
        rc = check_version(db, config, e);
    if (rc == RC_OK)
        rc = prepare_all(db, config, e);
    if (rc != RC_OK) {
        db_close(db);
        return rc;
    }
    *ret = db;
    return RC_OK;
}

void db_close(struct db *db) {
    if (!db)
        return;
    for (size_t i = 0; db->queries && i < db->query_count; i++)
        sqlite3_finalize(db->queries[i].stmt);
    free(db->queries);
    if (db->broken)  // the log as it is on the disk is the best that is left: the next start reads it
        sqlite3_db_config(db->connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(db->connection);
    free(db->path);
    free(db);
}
