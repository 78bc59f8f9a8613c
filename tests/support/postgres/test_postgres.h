#pragma once

#include <chrono>
#include <string>

#include "common/pg/session.h"

namespace weir::testing {

// A fresh, empty database for one test case, dropped with its connections at the end.
//
// It is made on the server that WEIR_TEST_DATABASE_URL names (whose user may create databases), else on a
// private server of this process, started with the first TestPostgres and stopped at exit. A test without
// either cannot run, and fails: the constructor throws, with the reason.
class TestPostgres {
 public:
  TestPostgres();
  ~TestPostgres();
  TestPostgres(const TestPostgres&) = delete;
  TestPostgres& operator=(const TestPostgres&) = delete;

  // Of the fresh database.
  const std::string& url() const { return url_; }
  const std::string& database() const { return database_; }
  pg::SessionOptions Options() const;
  // Runs it in the fresh database on a connection of its own; throws if it fails. The first column of the
  // first row, "" if there is none.
  std::string Query(const std::string& sql) const;

 private:
  std::string database_;
  std::string url_;
};

}  // namespace weir::testing
