#include "tests/fuzz/mutate.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace weir::fuzz {
namespace {

constexpr std::array<std::string_view, 40> kTokens{"{",
                                                   "}",
                                                   "[",
                                                   "]",
                                                   "\"",
                                                   "\\",
                                                   ",",
                                                   ":",
                                                   "\n",
                                                   "\r\n",
                                                   "\\u0000",
                                                   "\\ud800",
                                                   "\\udc00",
                                                   "\\ud83d\\ude00",
                                                   "\\u00e9",
                                                   "\xC3\xA9",
                                                   "\xED\xA0\x80",
                                                   "\xEF\xBB\xBF",
                                                   "\xFF",
                                                   "null",
                                                   "true",
                                                   "false",
                                                   "-",
                                                   "0",
                                                   "00",
                                                   "1e999",
                                                   "1E-400",
                                                   "-0.0",
                                                   "18446744073709551616",
                                                   "9223372036854775808",
                                                   "\"id\"",
                                                   "\"a\"",
                                                   "\"games\"",
                                                   "1e400",
                                                   "\x7F",
                                                   "\"\\u0061\"",
                                                   "[[[[[[[[",
                                                   "]]]]]]]]",
                                                   " ",
                                                   "0.000000000000000000001"};

std::size_t Draw(std::mt19937_64& random, std::size_t below) { return below == 0 ? 0 : random() % below; }

}  // namespace

std::vector<std::pair<std::string, std::string>> SeedsOf(std::string_view target) {
  namespace fs = std::filesystem;
  std::vector<std::pair<std::string, std::string>> seeds;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(fs::path(WEIR_FUZZ_SEEDS) / target, ec)) {
    std::ifstream in(entry.path(), std::ios::binary);
    seeds.emplace_back(entry.path().filename().string(),
                       std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()));
  }
  std::sort(seeds.begin(), seeds.end());
  return seeds;
}

std::string Mutate(std::string text, std::string_view other, std::mt19937_64& random) {
  for (std::size_t n = 1 + Draw(random, 4); n > 0; --n) {
    const std::size_t at = Draw(random, text.size() + 1);
    const std::size_t length = std::min(1 + Draw(random, 12), text.size() - at);
    switch (Draw(random, 6)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(random());
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(at, length));
        break;
      case 3:
        if (const std::size_t from = Draw(random, other.size()); from < other.size()) {
          text.insert(at, other.substr(from, 1 + Draw(random, 40)));
        }
        break;
      case 4:
        text.replace(at, length, kTokens[Draw(random, kTokens.size())]);
        break;
      default:
        text.insert(at, kTokens[Draw(random, kTokens.size())]);
    }
  }
  return text;
}

}  // namespace weir::fuzz
