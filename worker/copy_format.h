#pragma once

#include "common/sources/row_sink.h"

namespace weir::worker {

// One of PostgreSQL's formats of COPY's rows. Not thread-safe.
class CopyFormat : public RowSink {
 public:
  virtual void Begin() = 0;  // before the first row
  virtual void BeginRow() = 0;
  virtual void EndRow() = 0;
  virtual void End() = 0;  // after the last
};

}  // namespace weir::worker
