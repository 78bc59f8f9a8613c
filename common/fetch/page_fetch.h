#pragma once

#include <functional>
#include <string>

#include "common/base/result.h"
#include "common/config/account_settings.h"
#include "common/config/config.h"
#include "common/fetch/page_answer.h"
#include "common/http/fetcher.h"
#include "common/sources/source.h"

namespace weir {

// What a page's fetch tells on its way.
struct PageFetchHooks {
  std::function<void(const HttpRequest&)> sends;  // before every request; may be empty
  // A permanent redirect told the account's new name; may be empty. An error ends the fetch.
  std::function<Result<void>(const std::string& name)> renamed;
};

// One page's request, with the redirects an upstream may answer: each is followed within the configured
// origin only (DESIGN §4.8), at most three. Leaves in `answer` what came; a verdict that is an error is the
// caller's to look at (Judged). `account` gives origin, User-Agent and secrets. Errors: the fetcher's, the
// answer's and the hooks' own; kTransient for a redirect to another origin, kInvalid for one out of the path
// or in circles.
Result<void> FetchPage(Fetcher& fetcher, const Config& config, const Source& source,
                       const AccountSettings& account, HttpRequest request, PageAnswer& answer,
                       const AbortCheck& abort, const PageFetchHooks& hooks);

}  // namespace weir
