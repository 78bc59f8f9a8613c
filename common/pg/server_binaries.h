#pragma once

#include <string>

#include "common/base/result.h"

namespace weir::pg {

// An installed PostgreSQL server.
struct ServerBinaries {
  std::string bin_dir;  // holds initdb and postgres
  int major = 0;        // 15, 17, …

  // The newest one, of `major` only if that is not 0: a data folder belongs to one major version. Looks in
  // Debian's /usr/lib/postgresql, then PATH, then where pg_config points. Errors: kConfig, with the package
  // to install.
  static Result<ServerBinaries> Find(int major = 0);
};

}  // namespace weir::pg
