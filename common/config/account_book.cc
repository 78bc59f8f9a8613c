#include "common/config/account_book.h"

#include <sys/stat.h>

#include <optional>
#include <utility>

#include "common/config/config_loader.h"

namespace weir {
namespace {

constexpr std::size_t kMostKept = 256;

// What tells that a file is no longer what it was.
struct Stamp {
  std::string path;
  std::int64_t seconds = 0, nanoseconds = 0, size = -1;
  std::uint64_t inode = 0;

  friend bool operator==(const Stamp&, const Stamp&) = default;
};

Stamp StampOf(std::string path) {
  Stamp stamp;
  struct stat found {};
  if (stat(path.c_str(), &found) == 0) {
    stamp.seconds = found.st_mtim.tv_sec;
    stamp.nanoseconds = found.st_mtim.tv_nsec;
    stamp.size = found.st_size;
    stamp.inode = found.st_ino;
  }
  stamp.path = std::move(path);
  return stamp;
}

std::vector<Stamp> StampsOf(const AccountConfig& account) {
  constexpr std::string_view kFile = "file:";
  std::vector<Stamp> stamps;
  for (const auto& [name, reference] : account.secret_refs) {
    if (reference.starts_with(kFile)) stamps.push_back(StampOf(reference.substr(kFile.size())));
  }
  return stamps;
}

AccountConfig Unconfigured(const Source& source, std::string_view name) {
  AccountConfig account;
  account.name = name;
  account.source = source.Info().name;
  return account;
}

}  // namespace

struct AccountBook::SourceIndex {
  struct Said {
    std::optional<int> lanes;
    std::optional<std::string> quota;
  };
  // By the source's own idea of which spellings are one account, not only by ASCII case.
  std::unordered_map<std::string, const AccountConfig*> by_key;
  std::unordered_map<std::string, Said> by_meter;  // ComparableMeter; only those of which something is said
};

struct AccountBook::Kept {
  AccountSettings settings;
  std::vector<Stamp> stamps;  // of the files, before they were read
};

AccountBook::AccountBook(const Config& config) : config_(config) {}

AccountBook::~AccountBook() = default;

const AccountBook::SourceIndex& AccountBook::IndexOf(const Source& source) const {
  const std::lock_guard lock(mutex_);
  auto& slot = indexes_[&source];
  if (slot) return *slot;
  auto index = std::make_unique<SourceIndex>();
  for (const AccountConfig& account : config_.accounts) {
    if (account.source != source.Info().name) continue;
    if (auto key = source.AccountKey(account.name)) index->by_key.emplace(std::move(*key), &account);
    if (!account.lanes && !account.quota) continue;
    SourceIndex::Said& said = index->by_meter[ComparableMeter(config_, source, account)];
    if (!said.lanes) said.lanes = account.lanes;
    if (!said.quota) said.quota = account.quota;
  }
  slot = std::move(index);
  return *slot;
}

MeterWords AccountBook::Words(const Source& source, const AccountConfig& account) const {
  const MeterWords of_source = WordsOfSource(config_, source.Info());
  const SourceIndex& index = IndexOf(source);
  SourceIndex::Said said;
  if (!index.by_meter.empty() && !(account.lanes && account.quota)) {
    const auto found = index.by_meter.find(ComparableMeter(config_, source, account));
    if (found != index.by_meter.end()) said = found->second;
  }
  if (account.lanes) said.lanes = account.lanes;
  if (account.quota) said.quota = account.quota;
  return {said.lanes.value_or(of_source.lanes), said.quota.value_or(of_source.quota)};
}

const AccountConfig* AccountBook::Configured(const Source& source, const std::string& key) const {
  const SourceIndex& index = IndexOf(source);
  const auto found = index.by_key.find(key);
  return found == index.by_key.end() ? nullptr : found->second;
}

Result<AccountSettings> AccountBook::Resolve(const Source& source, std::string_view name) const {
  auto key = source.AccountKey(name);
  if (!key) return tl::unexpected(key.error());
  const AccountConfig* configured = Configured(source, *key);
  const AccountConfig account = configured != nullptr ? *configured : Unconfigured(source, name);
  auto stamps = StampsOf(account);
  const std::string slot = source.Info().name + "/" + *key;
  {
    const std::lock_guard lock(mutex_);
    const auto kept = kept_.find(slot);
    if (kept != kept_.end() && kept->second->stamps == stamps) {
      AccountSettings settings = kept->second->settings;
      settings.account.name = settings.account.canonical = name;
      return settings;
    }
  }
  auto settings = SettingsOf(config_, source, name, account);
  if (!settings) return settings;
  const MeterWords words = Words(source, account);
  settings->key = std::move(*key);
  settings->lanes = words.LanesWithinQuota();
  settings->quota = words.quota;
  settings->configured = configured != nullptr;
  if (configured == nullptr) return settings;
  const std::lock_guard lock(mutex_);
  if (kept_.size() >= kMostKept) kept_.clear();
  kept_[slot] = std::make_shared<const Kept>(Kept{*settings, std::move(stamps)});
  return settings;
}

Result<AccountBook::Place> AccountBook::Find(const Source& source, std::string_view name) const {
  auto settings = Resolve(source, name);
  if (settings) return Place{settings->key, settings->account.name, settings->meter, settings->lanes};
  auto key = source.AccountKey(name);
  if (!key) return tl::unexpected(key.error());
  const AccountConfig* configured = Configured(source, *key);
  // What is wrong is not the secrets, or they are here and unfit.
  if (configured == nullptr || ResolveSecrets(*configured)) return tl::unexpected(settings.error());
  return Place{*key, std::string(name), ComparableMeter(config_, source, *configured),
               Words(source, *configured).LanesWithinQuota()};
}

}  // namespace weir
