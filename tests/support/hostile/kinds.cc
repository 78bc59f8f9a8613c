#include "tests/support/hostile/kinds.h"

namespace weir::sim {

const std::vector<Kind>& AllKinds() {
  static const std::vector<Kind> kAll = [] {
    std::vector<Kind> all = HttpKinds();
    all.insert(all.end(), HeaderKinds().begin(), HeaderKinds().end());
    all.insert(all.end(), ApiKinds().begin(), ApiKinds().end());
    return all;
  }();
  return kAll;
}

}  // namespace weir::sim
