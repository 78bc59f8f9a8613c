#include "producer/probe/prober.h"

#include <algorithm>
#include <utility>

#include "common/access/access_token.h"
#include "common/fetch/page_fetch.h"
#include "common/ledger/lanes.h"

namespace weir::probe {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLongestWait = std::chrono::hours(1);

// How long the lane must be left alone after this answer.
std::optional<milliseconds> WaitAfter(const Result<void>& answered, const AccountSettings& account) {
  if (answered || answered.error().error_class != ErrorClass::kThrottled) return std::nullopt;
  const milliseconds asked = answered.error().retry_after.value_or(milliseconds(0));
  return std::clamp(asked, std::min(account.retry_after_floor, kLongestWait), kLongestWait);
}

}  // namespace

Prober::Prober(const Config& config, pg::Session* session, LaneTurnOptions options,
               LaneTurn::Callbacks callbacks, const Clock& clock)
    : config_(config),
      session_(session),
      clock_(clock),
      fetcher_(FetchOptions{}, clock),
      turn_(session, std::move(options), clock, std::move(callbacks)) {}

// The account with an access token, if its source renews them.
Result<AccountSettings> Prober::WithToken(const Source& source, const AccountSettings& account) {
  if (!account.secrets.contains("refresh_token")) return account;
  if (session_ == nullptr) {
    return Fail(ErrorClass::kConfig, "the account's access token is kept in the database, which does not run",
                "start it (weir up) or set WEIR_DATABASE_URL");
  }
  auto token =
      HaveAccessToken({&config_, &clock_, &fetcher_, [this](const auto& use) { return use(*session_); }},
                      source, account, std::nullopt);
  if (!token) {
    Error error = token.error();
    // kStopped is the user's word here, and would end the whole command.
    if (error.error_class == ErrorClass::kStopped) error.error_class = ErrorClass::kThrottled;
    return Fail(std::move(error));
  }
  AccountSettings settings = account;
  settings.secrets["token"] = std::move(token->token);
  return settings;
}

Result<void> Prober::Ask(const Source& source, const AccountSettings& account, const PageRequest& page,
                         PageAnswer& answer) {
  auto settings = WithToken(source, account);
  if (!settings) return Fail(settings.error());
  if (auto begun = turn_.Begin(account.meter, account.lanes); !begun) return begun;
  auto answered = FetchPage(fetcher_, config_, source, *settings, page.request, answer,
                            [this] { return turn_.Check(); }, {});
  if (answered) {
    if (const auto* error = std::get_if<Error>(&answer.Judged())) answered = Fail(*error);
  }
  auto ended = turn_.End(WaitAfter(answered, account));
  return answered ? ended : answered;
}

Result<std::int64_t> Prober::Now() {
  return session_ != nullptr ? ledger::DatabaseMillis(*session_) : Result<std::int64_t>(clock_.UnixMillis());
}

Result<Prober::Discovered> Prober::Discover(const Source& source, const AccountSettings& account,
                                            const TaskContext& context) {
  auto now = Now();
  if (!now) return Fail(now.error());
  TaskContext asked = context;
  asked.now_ms = *now;
  bool other_time = session_ != nullptr;
  for (bool again = false;;) {
    auto page = source.Request(asked);
    if (!page) return Fail(page.error());
    DocumentAnswer answer(config_, source, asked, *page);
    if (auto sent = Ask(source, account, *page, answer); !sent) return Fail(sent.error());
    if (const auto* other_form = std::get_if<AskAgain>(&answer.Judged())) {
      if (std::exchange(again, true))
        return Fail(ErrorClass::kInvalid, "the upstream refuses every form of the request");
      asked.account.memo = other_form->memo;
      continue;
    }
    if (session_ == nullptr) asked.now_ms = AnsweredAt(answer.Head(), asked.now_ms);
    // A request that names the time may have named the wrong one.
    if (!std::exchange(other_time, true)) {
      const auto right = source.Request(asked);
      if (right &&
          (right->request.target != page->request.target || right->request.body != page->request.body))
        continue;
    }
    return Discovered{std::string(answer.Document()), asked.now_ms};
  }
}

TaskContext DiscoverContext(const AccountSettings& account, const std::string& stream) {
  TaskContext context;
  context.stream = stream;
  context.account = account.account;
  return context;
}

}  // namespace weir::probe
