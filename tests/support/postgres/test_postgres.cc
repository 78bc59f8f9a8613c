#include "tests/support/postgres/test_postgres.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>

#include "common/pg/embedded_postgres.h"

namespace weir::testing {
namespace {

// The process's own server, in a temporary folder.
class OwnServer {
 public:
  OwnServer() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-pg-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("cannot make a temporary folder");
    home_ = pattern;
    // For root the server runs as another user, who must get in.
    if (geteuid() == 0) {
      std::filesystem::permissions(home_, std::filesystem::perms(0755));
    }
    pg::EmbeddedPostgresOptions options;
    options.home = home_;
    options.durable = false;
    options.dies_with_parent = true;
    server_ = std::make_unique<pg::EmbeddedPostgres>(options);
    const auto url = server_->Start();
    if (!url) throw std::runtime_error("no PostgreSQL to test with: " + url.error().message);
  }
  ~OwnServer() {
    (void)server_->Stop();
    std::error_code ignored;
    std::filesystem::remove_all(home_, ignored);
  }
  std::string Url(const std::string& database) const { return server_->Url(database); }

 private:
  std::string home_;
  std::unique_ptr<pg::EmbeddedPostgres> server_;
};

// Each connection string with the database replaced: libpq lets the last word count, in both of its forms.
std::string UrlOf(const std::string& database) {
  const char* given = std::getenv("WEIR_TEST_DATABASE_URL");
  if (!given || !*given) {
    static OwnServer server;
    return server.Url(database.empty() ? "postgres" : database);
  }
  std::string url = given;
  if (database.empty()) return url;
  if (url.find("://") == std::string::npos) return url + " dbname=" + database;
  return url + (url.find('?') == std::string::npos ? "?" : "&") + "dbname=" + database;
}

std::string Run(const std::string& url, const std::string& sql) {
  pg::SessionOptions options;
  options.url = url;
  options.application_name = "weir-test";
  pg::Session session(options);
  const auto rows = session.Script(sql);
  if (!rows) throw std::runtime_error(sql + ": " + rows.error().message);
  return rows->Empty() ? std::string() : std::string(rows->Text(0, 0));
}

}  // namespace

TestPostgres::TestPostgres() {
  static std::atomic<int> count{0};
  database_ = "weir_test_" + std::to_string(getpid()) + "_" + std::to_string(count.fetch_add(1));
  Run(UrlOf(""), "drop database if exists " + database_ + " with (force)");
  Run(UrlOf(""), "create database " + database_ + " template template0");
  url_ = UrlOf(database_);
}

TestPostgres::~TestPostgres() {
  try {
    Run(UrlOf(""), "drop database if exists " + database_ + " with (force)");
  } catch (const std::exception&) {
    // The test may have stopped its server; what stays behind goes with it.
  }
}

pg::SessionOptions TestPostgres::Options() const {
  pg::SessionOptions options;
  options.url = url_;
  options.application_name = "weir-test";
  return options;
}

std::string TestPostgres::Query(const std::string& sql) const { return Run(url_, sql); }

}  // namespace weir::testing
