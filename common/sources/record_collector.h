#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace weir {

// Puts together a record whose bytes arrive in pieces, holding at most `max_bytes` of it and giving memory
// back after a big one. A record that lies whole in one chunk is not copied. Not thread-safe.
class RecordCollector {
 public:
  static constexpr std::size_t kOversizeHead = 1024;  // what is kept of a record that is over the cap

  struct Record {
    std::string_view raw;  // followed by ≥ RecordMapper::kRecordPadding readable bytes
    bool oversize = false;
  };

  explicit RecordCollector(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // A piece of a record that goes on in the next chunk.
  void Hold(std::string_view piece);
  bool Holding() const { return bytes_ > 0; }
  std::size_t Bytes() const { return bytes_; }  // of the record so far, held or not
  // What is held of it: all, or its head once it is over the cap.
  std::string_view Held() const { return {data_.get(), size_}; }
  // The record's last piece, after which `readable_after` bytes of its chunk follow. Valid until Reset and
  // while the chunk lives.
  Record Finish(std::string_view piece, std::size_t readable_after);
  // Forgets the record; to be called after each Finish.
  void Reset();

 private:
  struct Free {
    void operator()(char* p) const { std::free(p); }
  };

  void Reserve(std::size_t bytes);

  std::size_t max_bytes_;
  std::unique_ptr<char, Free> data_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;   // held in data_
  std::size_t bytes_ = 0;  // of the record so far, held or not
};

}  // namespace weir
