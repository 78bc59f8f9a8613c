#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/upstream/faults.h"
#include "tests/support/upstream/players.h"

namespace weir::sim {

// Every kind a poison fault's "records" may name ("all" = all of these).
const std::vector<std::string>& PoisonKinds();
// The id of a poison record ("" for no_id and for copies of real records): nothing of the generated data has
// it.
std::string PoisonId(Api api, std::string_view kind);
bool IsPoisonId(std::string_view id);
// A record gone wrong in that way, made from a good one.
std::string MakePoison(Api api, std::string_view kind, const std::string& good);

// Writes the records of one page, with the poison its fault orders among them.
class RecordWriter {
 public:
  using Sink = std::function<bool(std::string_view)>;
  // NDJSON: each record ends in `end`; an array: they are parted by `between`.
  RecordWriter(Api api, const std::optional<Fault>& fault, Sink sink, std::string_view between,
               std::string_view end);

  bool Add(const std::string& record);
  bool Finish();

 private:
  bool Put(std::string_view record);
  bool Poison(const std::string& good);

  const Api api_;
  std::vector<std::string> poison_;
  const std::int64_t at_;
  const Sink sink_;
  const std::string between_, end_;
  std::int64_t count_ = 0;
  bool first_ = true;
  std::string last_;  // kept only while poison is still to come
};

}  // namespace weir::sim
