#pragma once

// The seam between weir and an upstream API. A source is pure: it turns tasks into requests, answers into
// verdicts, bytes into columns, and says what comes next. It does no I/O, keeps no state and is shared by all
// threads (const). Adding an API = adding one folder with one Source and naming it in registry.cc.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/base/selector.h"
#include "common/http/http_message.h"
#include "common/sources/drift_log.h"
#include "common/sources/row_sink.h"
#include "common/sources/table_spec.h"

namespace weir {

// Whether a row that a full job did not meet may be marked stale (DESIGN §8). The seam of the sweep: a source
// says here that its full jobs list everything, and takes it back for one job by a doubt (NewTask, PageEnd).
struct SweepRule {
  // The tasks of a full job without a limit, when all are done, have listed every record that existed from
  // the job's first request to its last and lies within the job's filter, however the upstream's pages
  // shifted meanwhile.
  bool lists_all = false;
  // Rows whose TableSpec::time_column is younger than this when the job began are left alone: the upstream
  // may list new records with such a delay.
  std::chrono::milliseconds settle{0};
};

struct StreamInfo {
  std::string name;         // "games"
  std::string description;  // one line, for `weir sources list`
  TableSpec table;
  SweepRule sweep = {};
};

// What holds for a source unless the configuration says otherwise.
struct SourceInfo {
  std::string name;  // "lichess"
  std::string description;
  std::string base_url;                               // "https://lichess.org"
  int lanes = 1;                                      // of each meter
  std::string quota;                                  // "" = none, else "100/10s, 200000/day"
  std::chrono::milliseconds retry_after_floor{1000};  // a 429 waits at least this long
  std::vector<StreamInfo> streams;
  std::vector<std::string> secret_names;  // that an account may have, e.g. {"token"}
  // Settings of sources.<name>.* and accounts[].params besides the common ones: name → default and what it
  // means.
  struct Param {
    std::string name, default_value, help;
  };
  std::vector<Param> params;
  // An account that the upstream always has: what `weir sources check` asks for when no account is
  // configured.
  std::string check_account;
};

using Params = std::map<std::string, std::string, std::less<>>;

// An account as a task names it.
struct AccountRef {
  std::string name;       // as the user wrote it first; the value of the table's account column
  std::string canonical;  // what the upstream calls it now (a 301 renames), else = name
  Params params;          // the source's params, the account's own over the source's
  bool has_token = false;
  std::string memo{};  // what an AskAgain asked to be remembered of the account; "" = nothing yet
};

// What an archive's last complete read left behind (weir.archives).
struct ArchiveState {
  std::string key;  // "2023/03"
  std::string etag;
  std::string last_modified;
  // Read whole, with no bound cutting it, when nothing more could come. One that was read whole but may still
  // grow has an etag and is not complete; one that was cut has neither.
  bool complete = false;
};

struct TimeRange {
  std::int64_t lo = 0;  // [lo, hi), Unix milliseconds
  std::int64_t hi = 0;
  friend bool operator==(const TimeRange&, const TimeRange&) = default;
};

// What is known of an account's stream before it is planned.
struct AccountState {
  std::vector<TimeRange> read;         // sorted, disjoint, not touching (weir.read_ranges)
  std::vector<ArchiveState> archives;  // sorted by key
  std::vector<std::string>
      watched;  // ids of records that were not final when last read (weir.watched), sorted
  // When the last full sync that was read whole began, by our clock: whatever changed before was seen by it.
  std::optional<std::int64_t> full_sync_began_ms = std::nullopt;
};

// All a source may look at when it builds a request or judges an answer. Lives as long as the call.
struct TaskContext {
  std::string_view stream;
  AccountRef account;
  JobMode mode = JobMode::kFull;
  Filter filter;
  Selector selector;
  std::int64_t page = 0;  // kPages: the page to ask for; kCursor: pages the task has read; else 0
  std::optional<std::int64_t> budget;   // kNewest and limited archives: new records still wanted
  std::optional<ArchiveState> archive;  // kArchive: what is stored of it
  std::int64_t now_ms = 0;  // the job's, so that a plan made twice is the same; for Judge the answer's
};

enum class BodyFormat {
  kNdjson,     // one record a line, empty lines ignored
  kJsonArray,  // records are the elements of the array at PageRequest::record_path
  kDocument,   // one small JSON document (≤ limits.max_document_bytes), given whole to Plan
};

struct PageRequest {
  HttpRequest request;
  BodyFormat format = BodyFormat::kNdjson;
  std::string record_path;  // kJsonArray: a top-level key, e.g. "games"
  // Where its records' times should lie, for a source that wants to know how many do not
  // (TimesSeen::outside).
  std::optional<TimeRange> times = std::nullopt;
};

// What an answer's head means.
struct ReadBody {};  // its body holds the page
// Nothing to do: the page is done with no records.
struct NotModified {
  bool absent = false;  // what was asked for is not there, and that is an answer; else nothing has changed
};
struct FollowTo {  // ask again at `location`; the worker checks that it is the same origin
  std::string location;
  bool permanent = false;
};
// Ask once more at once, with `memo` remembered for the account from now on (AccountRef::memo): the upstream
// takes another form of the request. Twice in a row is an error.
struct AskAgain {
  std::string memo;
};
using Verdict = std::variant<ReadBody, NotModified, FollowTo, AskAgain, Error>;

// The part of a record that is needed to know it again. Cheap: no full parse.
struct RecordHead {
  std::string id;             // the key's second half; never empty, ≤ 512 bytes
  std::int64_t order_ms = 0;  // the time a Filter is about (Lichess createdAt, Chess.com end_time); 0 = none
  std::int64_t changed_ms = 0;  // when it was last changed, for streams read in that order; 0 = not told
};

// What a record asks to be remembered beside it, in the same transaction.
struct RecordNotes {
  enum class Watch { kKeep, kWatch, kUnwatch } watch = Watch::kKeep;
};

// Parses records of one stream. Owns parser buffers; one per executor, not thread-safe. `raw` is one record's
// bytes as received, followed by ≥ kRecordPadding readable bytes (simdjson's padding).
class RecordMapper {
 public:
  static constexpr std::size_t kRecordPadding = 64;

  virtual ~RecordMapper() = default;
  // Errors: kBadRecord (no id, not an object, …); kTransient when it is no record at all but an error that
  // the upstream put in the place of one: then the page is not whole.
  virtual Result<RecordHead> Head(std::string_view raw) = 0;
  // Checks the whole record (well-formed to its last byte, storable by PostgreSQL: no U+0000, no lone
  // surrogate, valid UTF-8, bounded depth and numbers) and fills one column per TableSpec::columns. Errors:
  // kBadRecord; the sink may then hold part of a row, which the caller drops.
  virtual Result<RecordNotes> Map(std::string_view raw, RowSink& row) = 0;
  // What Map met that the table does not expect (RecordCheck::Watch), since the caller cleared it last;
  // nullptr = the stream has no such log.
  virtual DriftLog* Drift() { return nullptr; }
};

struct NewTask {
  Selector selector;
  std::optional<std::int64_t> budget;
  // Why the job may miss records although all of its tasks are done (a total of 0 for an account that had
  // records, a list cut short); "" = no such doubt. A job with a doubt sweeps nothing. ≤ 200 bytes are kept.
  std::string doubt = {};
};

// About what a plan will take; for `weir plan`.
struct PlanEstimate {
  std::int64_t requests = 0;
  std::optional<std::int64_t> records;  // nothing = the upstream does not tell beforehand
  std::chrono::milliseconds time{0};    // on one lane
};

// Receives a plan task by task, so that a plan of any size is never held. An error ends the planning.
using TaskSink = std::function<Result<void>(NewTask)>;

// The times of a page's records in the order in which they came: whether they are those that were asked for.
// A record without a time is passed over, but for `last`.
struct TimesSeen {
  std::int64_t told = 0;  // records that have a time
  std::int64_t least = 0, most = 0;
  std::int64_t last = 0;               // the page's last record's; 0 = it has none
  std::int64_t last_but_one = 0;       // that of the record before it; 0 = there is none, or it has none
  bool rising = true, falling = true;  // never the other way

  // The times that the request asked for (PageRequest::times); nothing = not told, and nothing counts as
  // outside.
  std::optional<TimeRange> asked = std::nullopt;
  std::int64_t outside = 0;  // of `told`

  // Of the next record; 0 = it has no time.
  void Add(std::int64_t ms);
  // Every time lies in [range.lo, range.hi).
  bool Within(TimeRange range) const;

 private:
  std::int64_t before_ = 0;
};

// What a page's answer amounted to, given to FinishPage before its last batch is committed.
struct PageResult {
  const HttpResponseHead* head = nullptr;
  bool not_modified = false;
  bool budget_spent = false;        // reading stopped because `budget` new records were stored
  std::int64_t records = 0;         // records seen in the page, committed by an earlier attempt or now
  std::int64_t inserted = 0;        // of them new
  std::int64_t first_order_ms = 0;  // order_ms of the first and last record seen; 0 if none
  std::int64_t last_order_ms = 0;
  std::int64_t last_changed_ms = 0;     // changed_ms of the last record seen
  TimesSeen order_times, change_times;  // order_ms and changed_ms of its records
  std::string first_id, last_id;        // of its first and last record; "" = it has no readable one
  std::int64_t distinct = 0;  // kCursor, kNewest, kPages: `records` without those whose id came twice
  std::string envelope;       // kJsonArray: the document with the array's elements left out, ≤ 64 KiB
  // kIds: the ids seen in the page, committed by an earlier attempt or now, if the caller kept them. Without
  // them a source must find out which ids are missing by asking for fewer.
  std::optional<std::vector<std::string>> seen_ids;
};

// What is written in the transaction that ends the page.
struct PageEnd {
  std::vector<TimeRange> read;          // ranges that are now read whole
  std::optional<ArchiveState> archive;  // what to remember of this archive
  std::vector<NewTask> successors;      // cursor chains: tasks that follow this one
  // kCursor: the task goes on in place with its next page, whose Selector::key this is.
  std::optional<std::string> next_key;
  std::vector<std::string> unwatch;  // ids that the upstream answered for good, or no longer has
  // As NewTask::doubt, found on this page: a total that does not fit what was read, records that moved. Not
  // needed for what the worker sees itself: a record without an id, a page that was not modified.
  std::string doubt = {};
  // Why what was asked for was not read whole, and reading it again is of no use: the account ends `partial`
  // with this reason, and nothing counts as read by its full sync. ≤ 200 bytes are kept.
  std::string incomplete = {};
};

// What a renewal was answered (OAuth 2, RFC 6749 §5.1).
struct TokenGrant {
  Secret access_token, refresh_token;  // neither empty, without control characters
  std::chrono::milliseconds lives{0};
};

class Source {
 public:
  virtual ~Source() = default;

  virtual const SourceInfo& Info() const = 0;

  // The name under which two spellings of an account are one ("DrNykterstein" → "drnykterstein"). Errors:
  // kConfig, with a hint, if the upstream could have no such account.
  virtual Result<std::string> AccountKey(std::string_view name) const = 0;

  // Whoever the upstream counts the account's requests against; ≤ 100 bytes of [A-Za-z0-9:._-]. `token` is
  // only hashed.
  virtual std::string Meter(const AccountRef& account, const Secret& token) const = 0;

  // Headers that carry secrets; the fetcher sends them to the configured origin only.
  virtual std::vector<std::pair<std::string, Secret>> SecretHeaders(
      const std::map<std::string, Secret>& secrets) const = 0;

  // Secrets by which the account's access token is renewed: with "refresh_token" among them, RenewRequest
  // spends one refresh token for the next access and refresh token, and SecretHeaders gets the access token
  // as "token". Errors: kConfig when others are missing; kInvalid for an answer that grants nothing.
  virtual Result<HttpRequest> RenewRequest(const std::map<std::string, Secret>& secrets,
                                           const Secret& refresh_token) const;
  virtual Result<TokenGrant> ReadGrant(const HttpResponseHead& head, std::string_view document) const;

  // The request of the page the task stands at; for kDiscover the one whose document Plan reads.
  virtual Result<PageRequest> Request(const TaskContext& task) const = 0;

  // Judges an answer by its head and, when it is not a plain success, the first bytes of its body (≤ 4 KiB).
  virtual Verdict Judge(const TaskContext& task, const HttpResponseHead& head,
                        std::string_view body_start) const = 0;

  // A permanent redirect's target tells the account's new name, if the API is one that renames.
  virtual std::optional<std::string> RenamedTo(std::string_view location) const = 0;

  // The job's tasks for one account, in the order they should run, from the answer to kDiscover's request. A
  // plan that needs more than one request sends another kDiscover task, which tells by its selector how far
  // the plan has come (the first one's selector is empty): at most one a call, so that the plan is whole when
  // a call sends none.
  virtual Result<void> Plan(const TaskContext& task, const AccountState& state, std::string_view document,
                            const TaskSink& sink) const = 0;

  // How many records there are of what the job asks for, by a kDiscover's document; nothing = it does not
  // tell. The first one told and the last one stand in the job's summary: they show how much moved meanwhile.
  virtual std::optional<std::int64_t> TotalIn(const TaskContext& task, std::string_view document) const;

  // About how many records the job should find, by a kDiscover's document: a number that the upstream does
  // not vouch for. A job that finds far fewer says so; nothing else rests on it. Nothing = it does not tell,
  // or not of what the job asks for.
  virtual std::optional<std::int64_t> EstimateIn(const TaskContext& task, std::string_view document) const;

  // About what `tasks`, as Plan made them from the same document, will take. Unless a source knows better:
  // one request a task, a second each.
  virtual PlanEstimate EstimatePlan(const TaskContext& task, std::string_view document,
                                    const std::vector<NewTask>& tasks) const;

  // Called once a page, before its last batch is committed. Errors (kInvalid, kTransient) discard that last
  // batch.
  virtual Result<PageEnd> FinishPage(const TaskContext& task, const PageResult& result) const = 0;

  virtual std::unique_ptr<RecordMapper> NewMapper(std::string_view stream) const = 0;
};

// What an answer may be besides a plain success. What it may not be is not known to be whole, and is no
// success.
struct JudgeOptions {
  bool asked_conditionally =
      false;                      // by If-None-Match or If-Modified-Since: 304 means that nothing has changed
  bool created_is_whole = false;  // the API answers this request with 201 in place of 200
};

// Judges what is alike everywhere: 200 = ReadBody (HTML = kTransient: often an outage's), other 2xx =
// kTransient (202, 204, 206 … are not all that was asked for), 304 = NotModified if it was asked for, else
// kTransient, 301/302/307/308 = FollowTo, 401/403 = kAuth (HTML 403/404 = kBlocked with a hint on
// User-Agent), 404/410 = kGone, 429 = kThrottled with Retry-After, 408/425/5xx = kTransient, other 4xx =
// kInvalid. A message ends with the upstream's own sentence. Sources build on it.
Verdict JudgeHttp(const HttpResponseHead& head, std::string_view body_start, std::int64_t now_ms,
                  JudgeOptions options = {});

// A document without the byte order mark that some servers put before it.
std::string_view WithoutByteOrderMark(std::string_view text);

// A 304 to a request that did not ask what changed: nothing was read. kTransient.
Error NotAskedForChanges();

// When the content was made, as far as the answer tells: its Date less its Age, never later than `our_ms`. A
// cache may answer long after that.
std::int64_t MadeAt(const HttpResponseHead& head, std::int64_t our_ms);

// Retry-After (RFC 9110 §10.2.3): seconds or an HTTP date. ≤ 0, garbage or absent = nothing.
std::optional<std::chrono::milliseconds> ParseRetryAfter(std::string_view value, std::int64_t now_ms);

// When it was answered, by its Date: dates and times in its other headers are by that clock. `our_ms` where
// it has none, and where the two are alike: ours is finer.
std::int64_t AnsweredAt(const HttpResponseHead& head, std::int64_t our_ms);

// The sources weir knows, listed by hand in registry.cc: a static library drops self-registering objects.
const std::vector<const Source*>& AllSources();
const Source* FindSource(std::string_view name);
const StreamInfo* FindStream(const Source& source, std::string_view stream);

}  // namespace weir
