#include "common/sources/bracket_scanner.h"

#include <bit>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace weir {
namespace {

constexpr std::size_t kBlock = 64;

struct Masks {
  std::uint64_t quote = 0, backslash = 0, open = 0, close = 0;
};

#if defined(__SSE2__)
std::uint64_t EqualMask(const __m128i (&in)[4], char c) {
  const __m128i wanted = _mm_set1_epi8(c);
  std::uint64_t mask = 0;
  for (int i = 0; i < 4; ++i) {
    const auto bits = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(in[i], wanted)));
    mask |= static_cast<std::uint64_t>(bits) << (16 * i);
  }
  return mask;
}

Masks Classify(const char* block, char open, char close) {
  __m128i in[4];
  for (int i = 0; i < 4; ++i) in[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block) + i);
  return {EqualMask(in, '"'), EqualMask(in, '\\'), EqualMask(in, open), EqualMask(in, close)};
}
#else
Masks Classify(const char* block, char open, char close) {
  Masks m;
  for (std::size_t i = 0; i < kBlock; ++i) {
    const std::uint64_t bit = std::uint64_t{1} << i;
    const char c = block[i];
    m.quote |= c == '"' ? bit : 0;
    m.backslash |= c == '\\' ? bit : 0;
    m.open |= c == open ? bit : 0;
    m.close |= c == close ? bit : 0;
  }
  return m;
}
#endif

// Bit i = parity of the bits 0…i: turns quotes into "inside a string".
std::uint64_t PrefixXor(std::uint64_t bits) {
  for (int shift = 1; shift < 64; shift *= 2) bits ^= bits << shift;
  return bits;
}

// The characters after an odd run of backslashes (Langdale and Lemire, "Parsing gigabytes of JSON per
// second", §3.1.1). `carry`: whether the block's first byte is escaped; set to the same of the next block's.
std::uint64_t EscapedMask(std::uint64_t backslash, std::uint64_t& carry) {
  constexpr std::uint64_t kEvenBits = 0x5555555555555555ULL;
  backslash &= ~carry;
  const std::uint64_t follows = backslash << 1 | carry;
  const std::uint64_t odd_starts = backslash & ~kEvenBits & ~follows;
  const std::uint64_t sequences = odd_starts + backslash;
  carry = sequences < backslash ? 1 : 0;
  return (kEvenBits ^ (sequences << 1)) & follows;
}

}  // namespace

void BracketScanner::Start(char open, char close) {
  open_ = open;
  close_ = close;
  depth_ = 0;
  in_string_ = 0;
  escaped_ = 0;
}

const char* BracketScanner::ScanBlock(const char* block, const char* p, std::size_t size) {
  Masks m = Classify(block, open_, close_);
  std::uint64_t carry = escaped_;
  std::uint64_t escaped = 0;
  if ((m.backslash | carry) != 0) {
    escaped = EscapedMask(m.backslash, carry);
    if (size < kBlock) carry = (escaped >> size) & 1;  // the next chunk's first byte, not our padding
  }
  escaped_ = carry;
  m.quote &= ~escaped;
  const std::uint64_t strings = PrefixXor(m.quote) ^ in_string_;
  in_string_ = static_cast<std::uint64_t>(static_cast<std::int64_t>(strings) >> 63);
  std::uint64_t opens = m.open & ~strings;
  std::uint64_t closes = m.close & ~strings;
  if ((opens | closes) == 0) return nullptr;  // most blocks: no bracket, nothing to count
  const auto closed = static_cast<std::uint64_t>(std::popcount(closes));
  if (depth_ > closed) {  // cannot end in this block
    depth_ += static_cast<std::uint64_t>(std::popcount(opens)) - closed;
    return nullptr;
  }
  while (closes != 0) {
    const std::uint64_t before = (closes & (~closes + 1)) - 1;  // the bits below the lowest one
    depth_ += static_cast<std::uint64_t>(std::popcount(opens & before));
    opens &= ~before;
    if (--depth_ == 0) return p + std::countr_zero(closes) + 1;
    closes &= closes - 1;
  }
  depth_ += static_cast<std::uint64_t>(std::popcount(opens));
  return nullptr;
}

const char* BracketScanner::Scan(const char* p, const char* end) {
  for (; end - p >= static_cast<std::ptrdiff_t>(kBlock); p += kBlock) {
    if (const char* stop = ScanBlock(p, p, kBlock)) return stop;
  }
  if (p == end) return nullptr;
  char tail[kBlock];
  std::memset(tail, ' ', sizeof tail);
  std::memcpy(tail, p, static_cast<std::size_t>(end - p));
  return ScanBlock(tail, p, static_cast<std::size_t>(end - p));
}

}  // namespace weir
