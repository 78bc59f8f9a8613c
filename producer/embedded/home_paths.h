#pragma once

#include <string>

#include "common/base/result.h"

namespace weir {

// Where the embedded parts keep their things below WEIR_HOME.
struct HomePaths {
  std::string home;  // absolute

  std::string Run() const { return home + "/run"; }
  std::string Log() const { return home + "/log"; }
  std::string UsersLock() const { return Run() + "/users.lock"; }
  std::string SupervisorLock() const { return Run() + "/supervisor.lock"; }
  std::string Endpoints() const { return Run() + "/endpoints.json"; }
  std::string BrokerAddress() const { return Run() + "/broker.address"; }
  std::string SupervisorLog() const { return Log() + "/supervisor.log"; }
  std::string BrokerLog() const { return Log() + "/broker.log"; }
  // Marks: files that are there or not.
  std::string Keep() const { return Run() + "/keep"; }                   // `weir up`: stay without users
  std::string WantPostgres() const { return Run() + "/want-postgres"; }  // a user needs this part
  std::string WantBroker() const { return Run() + "/want-broker"; }

  // Makes home, run and log. Errors: kConfig.
  Result<void> Make() const;
};

// Makes an empty file, or removes it. Errors: kConfig.
Result<void> SetMark(const std::string& path, bool present);
bool HasMark(const std::string& path);

}  // namespace weir
