#include "common/sources/record_collector.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "common/sources/source.h"

namespace weir {
namespace {

constexpr std::size_t kPadding = RecordMapper::kRecordPadding;
constexpr std::size_t kKeepBytes = 64 << 10;  // a buffer up to this size stays allocated between records

}  // namespace

void RecordCollector::Reserve(std::size_t bytes) {
  if (bytes + kPadding <= capacity_) return;
  // Doubling, but never past the cap: an executor's memory is one record at most (DESIGN §4.6).
  const std::size_t wanted = std::max(bytes, std::min(std::max<std::size_t>(2 * bytes, 4096), max_bytes_));
  char* grown = static_cast<char*>(std::realloc(data_.get(), wanted + kPadding));
  if (grown == nullptr) throw std::bad_alloc();
  static_cast<void>(data_.release());
  data_.reset(grown);
  capacity_ = wanted + kPadding;
}

void RecordCollector::Hold(std::string_view piece) {
  bytes_ += piece.size();
  if (bytes_ > max_bytes_) {
    // Over the cap: only its head is kept, to be shown with the reject.
    if (size_ < kOversizeHead) {
      piece = piece.substr(0, kOversizeHead - size_);
    } else {
      size_ = kOversizeHead;
      piece = {};
    }
  }
  if (piece.empty()) return;
  Reserve(size_ + piece.size());
  std::memcpy(data_.get() + size_, piece.data(), piece.size());
  size_ += piece.size();
}

RecordCollector::Record RecordCollector::Finish(std::string_view piece, std::size_t readable_after) {
  if (bytes_ == 0 && readable_after >= kPadding) {
    if (piece.size() > max_bytes_) return {piece.substr(0, kOversizeHead), true};
    return {piece, false};
  }
  Hold(piece);
  Reserve(size_);
  std::memset(data_.get() + size_, 0, kPadding);
  return {std::string_view(data_.get(), size_), bytes_ > max_bytes_};
}

void RecordCollector::Reset() {
  size_ = 0;
  bytes_ = 0;
  if (capacity_ > kKeepBytes + kPadding) {
    data_.reset();
    capacity_ = 0;
  }
}

}  // namespace weir
