#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/hostile/wire_answer.h"
#include "tests/support/upstream/http_server.h"

namespace weir::sim {

// What a kind of hostility may look at and draw from.
struct Meddling {
  const Request& request;
  std::string_view path_class;
  const std::string& earlier;  // the true body of the target before this one; "" = none
  std::mt19937_64& random;
  std::string origin;  // "http://127.0.0.1:1234", our own

  std::size_t Draw(std::size_t below) { return below == 0 ? 0 : random() % below; }
};

// One way to answer otherwise than asked. Whatever it does, a client that looks can tell that a page is not
// whole, or else the page is whole: no kind drops records in a way that nobody can see.
struct Kind {
  std::string_view name;
  int weight;  // how often, in proportion
  // Changes the true answer. False: it has no use here, and the answer is as it was.
  bool (*apply)(WireAnswer& answer, Meddling& m);
};

const std::vector<Kind>& HttpKinds();    // statuses, cuts, framings
const std::vector<Kind>& HeaderKinds();  // codings, headers, types
const std::vector<Kind>& ApiKinds();     // bodies and records
const std::vector<Kind>& AllKinds();

}  // namespace weir::sim
