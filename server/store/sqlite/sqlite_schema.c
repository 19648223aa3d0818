// sqlite_schema.c: the tables, and every statement that works on them.
// Each look-up of a claim, a commit or the statistics is an index search, however much waits.
#include "server/store/sqlite/sqlite_verbs.h"

#define PENDING "state = 0"               // JOB_PENDING, as a literal: only so the partial indexes are used
#define FINISHED "state IN (1, 3)"        // JOB_DONE, JOB_IGNORED; the dead are kept
#define FOR_EVER "9223372036854775807"
_Static_assert(JOB_PENDING == 0 && JOB_DONE == 1 && JOB_DEAD == 2 && JOB_IGNORED == 3, "the numbers are in the file");

// job.seq is the accept order. Body, plan and progress have tables of their own, because SQLite writes a whole row when one column changes.
// lane: there is a row as long as a job waits in it. due is when its head may be claimed: ready time, back-off or end of lease;
// held: a back-off that somebody behind may cut short. A lane is a number made of the job that began it (sqlite_verbs.h), so that what
// is accepted together lies together. keyed: what is known under a key until it expires; a key is a hash, so each is on another page:
// what was put lately waits in `late`, in the order it came (sqlite_keys.c). ledger: lines of finished jobs, only ever added; n tells
// those of one millisecond apart.
#define SCHEMA \
    "CREATE TABLE IF NOT EXISTS job(seq INTEGER PRIMARY KEY, id BLOB NOT NULL, shop TEXT NOT NULL, source TEXT NOT NULL," \
    " topic TEXT NOT NULL, lane INTEGER, state INTEGER NOT NULL, received_ms INTEGER NOT NULL, wanted_ms INTEGER NOT NULL," \
    " finished_ms INTEGER, finished_by BLOB, reason TEXT) STRICT;" \
    "CREATE INDEX IF NOT EXISTS job_in_lane ON job(lane) WHERE " PENDING ";" \
    "CREATE INDEX IF NOT EXISTS job_pending ON job(shop, received_ms) WHERE " PENDING ";" \
    "CREATE INDEX IF NOT EXISTS job_finished ON job(finished_ms) WHERE " FINISHED ";" \
    "CREATE TABLE IF NOT EXISTS body(job INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;" \
    "CREATE TABLE IF NOT EXISTS plan(job INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;" \
    "CREATE TABLE IF NOT EXISTS progress(job INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;" \
    "CREATE TABLE IF NOT EXISTS lane(name INTEGER PRIMARY KEY, shop TEXT NOT NULL, head INTEGER NOT NULL, due INTEGER NOT NULL, token BLOB," \
    " claims INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0) STRICT;" \
    "CREATE INDEX IF NOT EXISTS lane_due ON lane(shop, due);" \
    "CREATE TABLE IF NOT EXISTS keyed(key BLOB PRIMARY KEY, value ANY NOT NULL, expires_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;" \
    "CREATE TABLE IF NOT EXISTS late(n INTEGER PRIMARY KEY, key BLOB NOT NULL, value ANY NOT NULL, expires_ms INTEGER NOT NULL) STRICT;" \
    "CREATE TABLE IF NOT EXISTS counter(shop TEXT PRIMARY KEY, accepted INTEGER NOT NULL, pending INTEGER NOT NULL, done INTEGER NOT NULL," \
    " dead INTEGER NOT NULL, ignored INTEGER NOT NULL) STRICT, WITHOUT ROWID;" \
    "CREATE TABLE IF NOT EXISTS ledger(shop TEXT NOT NULL, at_ms INTEGER NOT NULL, n INTEGER NOT NULL, line TEXT NOT NULL," \
    " PRIMARY KEY(shop, at_ms, n)) STRICT, WITHOUT ROWID"

const char sqlite_schema[] = SCHEMA;

// Until version 2 hashes were text, a lane had the name of the key that began it, and a first key was another hash than its job's id.
// A value that is a lane's name is a number now, and one that is a job's id is its seq; a lane that nobody waits in is known by the key
// that is bound to itself. What is neither (marks, sealed values) stays.
const char sqlite_upgrade[] =
    "DROP INDEX IF EXISTS job_in_lane; DROP INDEX IF EXISTS job_pending; DROP INDEX IF EXISTS job_finished; DROP INDEX IF EXISTS lane_due;"
    "DROP INDEX IF EXISTS keyed_expiry; DROP INDEX IF EXISTS ledger_age;"
    "ALTER TABLE job RENAME TO old_job; ALTER TABLE lane RENAME TO old_lane; ALTER TABLE keyed RENAME TO old_keyed;"
    SCHEMA ";"
    "CREATE TABLE named(name TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO named SELECT lane, 2 * min(seq) + (lane = id) FROM old_job WHERE lane IS NOT NULL GROUP BY lane;"
    "INSERT OR IGNORE INTO named SELECT key, -2 * row_number() OVER () FROM old_keyed WHERE CAST(value AS TEXT) = key;"
    "INSERT INTO job SELECT seq, packed(id), shop, source, topic, (SELECT number FROM named WHERE name = lane), state, received_ms, wanted_ms,"
    " finished_ms, packed(finished_by), reason FROM old_job ORDER BY seq;"
    "INSERT INTO lane SELECT number, shop, head, due, packed(token), claims, held FROM old_lane JOIN named USING(name) ORDER BY number;"
    "INSERT INTO keyed SELECT packed(key), coalesce((SELECT number FROM named WHERE name = CAST(value AS TEXT)),"
    " (SELECT seq FROM old_job WHERE id = CAST(value AS TEXT)), value), expires_ms FROM old_keyed;"
    "INSERT OR IGNORE INTO keyed SELECT packed(id), seq, " FOR_EVER " FROM old_job;"
    "DROP TABLE named; DROP TABLE old_job; DROP TABLE old_lane; DROP TABLE old_keyed";

#define PURGED "(SELECT seq FROM job WHERE " FINISHED " AND finished_ms <= ?1 ORDER BY finished_ms, seq LIMIT ?2)"
#define OLD_JOBS PURGED " AND seq < (SELECT max(seq) FROM job)"  // the last one stays: no seq is given twice

// The heads of a shop that are due.
#define DUE "SELECT lane.name, lane.claims, job.seq, job.id, job.source, job.topic, job.received_ms, body.bytes, plan.bytes, progress.bytes" \
    " FROM lane CROSS JOIN job ON job.seq = lane.head" \
    " LEFT JOIN body ON body.job = job.seq LEFT JOIN plan ON plan.job = job.seq" \
    " LEFT JOIN progress ON progress.job = job.seq" \
    " WHERE lane.shop = ?1 AND lane.due <= ?2"

const char *const sqlite_queries[SQL_COUNT_] = {
    [FIND_KEY] = "SELECT value, expires_ms FROM keyed WHERE key = ?1",
    [FIND_LATE] = "SELECT value, expires_ms FROM late WHERE n = ?1 AND key = ?2",
    [ADD_LATE] = "INSERT INTO late(key, value, expires_ms) VALUES(?1, ?2, ?3)",
    [DROP_LATE] = "DELETE FROM late WHERE n = ?1",
    [ALL_LATE] = "SELECT n, key FROM late",
    [SOME_LATE] = "SELECT n, key FROM late WHERE n <= ?1 ORDER BY n LIMIT ?2",
    [COPY_LATES] = "INSERT INTO keyed SELECT late.key, late.value, late.expires_ms FROM json_each(?1) moved CROSS JOIN late ON late.n = moved.value"
                  " WHERE true ON CONFLICT(key) DO UPDATE SET value = excluded.value, expires_ms = excluded.expires_ms",
    [DROP_LATES] = "DELETE FROM late WHERE n <= ?1",
    [NTH_KEY] = "SELECT key FROM keyed WHERE key > ?1 ORDER BY key LIMIT 1 OFFSET ?2",
    [PURGE_KEYS] = "DELETE FROM keyed WHERE key > ?1 AND key <= ifnull(?2, (SELECT max(key) FROM keyed)) AND expires_ms <= ?3",

    [LAST_SEQ] = "SELECT max(seq) FROM job",
    [ADD_JOB] = "INSERT INTO job(seq, id, shop, source, topic, lane, state, received_ms, wanted_ms, finished_ms, reason)"
                " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [ADD_BODY] = "INSERT INTO body(job, bytes) VALUES(?1, ?2)",
    [ADD_PLAN] = "INSERT INTO plan(job, bytes) VALUES(?1, ?2) ON CONFLICT(job) DO NOTHING",
    [CHANGE_PLAN] = "UPDATE plan SET bytes = ?2 WHERE job = ?1",
    [PUT_PROGRESS] = "INSERT INTO progress(job, bytes) VALUES(?1, ?2) ON CONFLICT(job) DO UPDATE SET bytes = ?2",
    [DROP_PROGRESS] = "DELETE FROM progress WHERE job = ?1",
    [FINISH_JOB] = "UPDATE job SET state = ?2, reason = ?3, finished_ms = ?4, finished_by = ?5 WHERE seq = ?1",
    [FINISHED_BY] = "SELECT 1 FROM job WHERE seq = ?1 AND finished_by = ?2",
    [MOVE_JOB] = "UPDATE job SET lane = ?2 WHERE seq = ?1",
    [FIRST_OF_LANE] = "SELECT seq, received_ms FROM job WHERE lane = ?1 AND " PENDING " ORDER BY seq LIMIT 1",
    [HURRY] = "SELECT min(wanted_ms) FROM"
              " (SELECT wanted_ms FROM job WHERE lane = ?1 AND " PENDING " AND seq > ?2 ORDER BY seq LIMIT 32)",
    [OLDEST_PENDING] = "SELECT received_ms FROM job WHERE shop = ?1 AND " PENDING " ORDER BY received_ms LIMIT 1",
    [PURGE_BODIES] = "DELETE FROM body WHERE job IN " PURGED,
    [PURGE_PLANS] = "DELETE FROM plan WHERE job IN " PURGED,
    [PURGE_PROGRESS] = "DELETE FROM progress WHERE job IN " PURGED,
    [PURGED_IDS] = "SELECT id FROM job WHERE seq IN " OLD_JOBS,
    [PURGE_JOBS] = "DELETE FROM job WHERE seq IN " OLD_JOBS,

    // A newcomer shortens a hold, and nothing else: neither a back-off nor a lease.
    [JOIN_LANE] = "INSERT INTO lane(name, shop, head, due) VALUES(?1, ?2, ?3, ?4)"
                  " ON CONFLICT(name) DO UPDATE SET due = min(due, ?5) WHERE held",
    [DUE_LANES] = DUE " ORDER BY lane.due LIMIT ?3",
    [LATELY_DUE_LANES] = DUE " AND lane.due > ?4 ORDER BY lane.due DESC LIMIT ?3",
    [NEXT_DUE] = "SELECT due FROM lane WHERE shop = ?1 AND (due <> ?2 OR token IS NULL) ORDER BY due LIMIT 1",
    [LEASE_LANE] = "UPDATE lane SET due = ?2, token = ?3, claims = claims + 1, held = 0 WHERE name = ?1",
    [FIND_LEASED_HEAD] = "SELECT head, due, claims FROM lane WHERE name = ?1 AND token = ?2",
    [EXTEND_LEASE] = "UPDATE lane SET due = ?2, claims = 0 WHERE name = ?1",
    [DELAY_LANE] = "UPDATE lane SET due = ?2, held = ?3, token = NULL, claims = 0 WHERE name = ?1",
    [RELEASE_LANE] = "UPDATE lane SET due = ?2, token = NULL, claims = max(claims - 1, 0) WHERE name = ?1",
    [ADVANCE_LANE] = "UPDATE lane SET due = ?2, head = ?3, token = NULL, claims = 0 WHERE name = ?1",
    [DROP_LANE] = "DELETE FROM lane WHERE name = ?1",
    [WAKE_LANES] = "UPDATE lane SET due = ?4 WHERE name IN"
                   " (SELECT name FROM lane WHERE shop = ?1 AND due > ?2 AND token IS NULL LIMIT ?3)",
    [END_LEASES] = "UPDATE lane SET due = min(due, ?1), token = NULL WHERE token IS NOT NULL OR due > ?2",

    [LIST_JOBS] = "SELECT job.seq, job.id, job.shop, job.state, job.source, job.topic, job.received_ms, job.reason, plan.bytes, progress.bytes"
                  " FROM job LEFT JOIN plan ON plan.job = job.seq LEFT JOIN progress ON progress.job = job.seq"
                  " WHERE job.seq > ?1 ORDER BY job.seq LIMIT ?2",
    [FIND_JOB] = "SELECT job.seq, job.id, job.shop, job.state, job.source, job.topic, job.received_ms, job.reason, plan.bytes, progress.bytes,"
                 " job.lane"
                 " FROM job LEFT JOIN plan ON plan.job = job.seq LEFT JOIN progress ON progress.job = job.seq"
                 " WHERE job.seq = ?1 AND job.id = ?2 AND job.shop = ?3",
    [REOPEN_JOB] = "UPDATE job SET state = 0, lane = ?2, reason = NULL, finished_ms = NULL, finished_by = NULL WHERE seq = ?1",
    [ADD_LINE] = "INSERT INTO ledger(shop, at_ms, n, line) VALUES(?1, ?2, ?3, ?4)",
    [LINES_AFTER] = "SELECT at_ms, n, line FROM ledger WHERE shop = ?1 AND (at_ms, n) > (?2, ?3) ORDER BY at_ms, n LIMIT ?4",
    // Each shop that ever had a webhook has a counter.
    [PURGE_LINES] = "DELETE FROM ledger WHERE (shop, at_ms, n) IN"
                    " (SELECT ledger.shop, at_ms, n FROM counter CROSS JOIN ledger ON ledger.shop = counter.shop WHERE at_ms <= ?1 LIMIT ?2)",

    [COUNT_JOBS] = "INSERT INTO counter(shop, accepted, pending, done, dead, ignored) VALUES(?1, ?2, ?3, ?4, ?5, ?6)"
                   " ON CONFLICT(shop) DO UPDATE SET accepted = accepted + ?2, pending = pending + ?3, done = done + ?4,"
                   " dead = dead + ?5, ignored = ignored + ?6",
    [JOB_BODIES] = "SELECT job.seq, body.bytes, job.id, job.shop, job.state, job.received_ms, job.source, job.topic FROM job CROSS JOIN body ON body.job = job.seq"
                   " WHERE job.seq > ?1 ORDER BY job.seq LIMIT ?2",
    [VALUES_AFTER] = "SELECT key, value FROM keyed WHERE key > ?1 ORDER BY key LIMIT ?2",
    [LATE_VALUES_AFTER] = "SELECT n, value, key FROM late WHERE n > ?1 ORDER BY n LIMIT ?2",
    [ERASE_BODY] = "UPDATE body SET bytes = ?2 WHERE job = ?1",
    [ERASE_PLAN] = "DELETE FROM plan WHERE job = ?1",
    [ERASE_VALUE] = "DELETE FROM keyed WHERE key = ?1",
    [NTH_LATE] = "SELECT max(n) FROM (SELECT n FROM late WHERE n > ?1 ORDER BY n LIMIT ?2)",
    [EMPTY_LATES] = "UPDATE late SET value = x'' WHERE n > ?1 AND n <= ?2 AND expires_ms <= ?3 AND length(value) > 0",
    [ERASE_LATE] = "UPDATE late SET value = x'', expires_ms = 0 WHERE n = ?1",
    [END_LEASE_OF] = "UPDATE lane SET due = ?3, token = NULL WHERE name = ?1 AND head = ?2 AND token IS NOT NULL",
    [COUNTS] = "SELECT accepted, pending, done, dead, ignored FROM counter WHERE shop = ?1",
};
