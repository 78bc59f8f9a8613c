#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/sources/source.h"
#include "producer/cli/output.h"
#include "producer/probe/prober.h"

namespace weir::probe {

struct PreviewRecord {
  std::string raw;                   // as received
  std::string id;                    // "" when it has none
  std::vector<std::string> columns;  // as TableSpec::columns
  std::string bad;                   // why it would be rejected; then there are no columns
};

// The first records of the account's newest page that has any, mapped as a worker would; written nowhere. At
// most `wanted`; fewer when a few pages hold no more. Errors: as Prober, the source's own.
Result<std::vector<PreviewRecord>> Preview(Prober& prober, const Config& config, const Source& source,
                                           const std::string& stream, const AccountSettings& account,
                                           int wanted);

// A line a column, a record beside the other, as many as `width` has room for.
void PrintPreview(const cli::Io& io, const TableSpec& table, const std::vector<PreviewRecord>& records,
                  int width);
// An array of the records byte for byte as received; what is not JSON that a table could hold is left out.
void PrintPreviewJson(std::ostream& out, const std::vector<PreviewRecord>& records);

}  // namespace weir::probe
