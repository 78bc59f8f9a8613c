#include "common/http/fetcher.h"

#include <curl/curl.h>
#include <signal.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "common/http/origin.h"
#include "common/http/transfer.h"

namespace weir {
namespace {

// How long a wait may be before the abort check is asked again (AbortCheck's contract).
constexpr int kPollMillis = 200;
constexpr long kBufferBytes = 16 << 10;
// Kept connections: an executor seldom serves more origins than this in turn.
constexpr long kKeptConnections = 4;

struct EasyFree {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct MultiFree {
  void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
};

void InitCurlOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    // OpenSSL writes to closed sockets without MSG_NOSIGNAL, and CURLOPT_NOSIGNAL, which threads need, keeps
    // curl from guarding it. A program that handles the signal keeps its handler.
    struct sigaction now {};
    if (sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
  });
}

bool IsToken(std::string_view text) {
  constexpr std::string_view kSymbols = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           kSymbols.find(c) != std::string_view::npos;
  });
}

bool IsFieldValue(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7F;
  });
}

// A list of header lines for curl.
class HeaderList {
 public:
  HeaderList() = default;
  ~HeaderList() { curl_slist_free_all(list_); }
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;

  // False when they cannot be sent: a line break would let a value add headers.
  bool Add(std::string_view name, std::string_view value) {
    if (!IsToken(name) || !IsFieldValue(value)) return false;
    // "Name:" would take the header away; "Name;" sends it empty.
    return Append(std::string(name) + (value.empty() ? ";" : ": ") + std::string(value));
  }
  // Keeps curl from adding this header by itself.
  bool Suppress(std::string_view name) { return Append(std::string(name) + ":"); }
  curl_slist* Get() const { return list_; }

 private:
  bool Append(const std::string& line) {
    curl_slist* longer = curl_slist_append(list_, line.c_str());
    if (longer == nullptr) return false;
    list_ = longer;
    return true;
  }

  curl_slist* list_ = nullptr;
};

Result<void> FillHeaders(const HttpRequest& request,
                         const std::vector<std::pair<std::string, Secret>>& secret_headers,
                         HeaderList& list) {
  bool has_type = false;
  for (const HttpHeader& header : request.headers) {
    has_type = has_type || EqualsIgnoreCase(header.name, "Content-Type");
    if (!list.Add(header.name, header.value)) {
      return Fail(ErrorClass::kConfig,
                  "a request header cannot be sent: it has characters that are not allowed");
    }
  }
  for (const auto& [name, secret] : secret_headers) {
    if (!list.Add(name, secret.Reveal())) {
      return Fail(ErrorClass::kConfig, "a secret cannot be sent: it has characters that are not allowed",
                  "Look for a line break in the middle of the token's file or variable.");
    }
  }
  // curl would wait a second for "100 Continue", and call every body a form.
  list.Suppress("Expect");
  if (!has_type) list.Suppress("Content-Type");
  return {};
}

void SetConnection(CURL* easy, const FetchOptions& options) {
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kBufferBytes);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  // An aborted fetch does not wait for the name look-up's thread.
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  if (!options.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, options.ca_file.c_str());
  // A proxy's CONNECT is neither sent our headers nor heard as an answer.
  curl_easy_setopt(easy, CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

void SetRequest(CURL* easy, const HttpRequest& request) {
  if (request.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (request.method == "POST" || !request.body.empty()) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
  } else {
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
  }
  if (request.method != "HEAD" && request.method != "POST" && request.method != "GET") {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  } else if (request.method == "GET" && !request.body.empty()) {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "GET");
  }
  if (request.fresh_connection) curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
}

// The handle's stay in a multi handle.
class Attached {
 public:
  Attached(CURLM* multi, CURL* easy) : multi_(multi), easy_(easy) { curl_multi_add_handle(multi_, easy_); }
  ~Attached() { curl_multi_remove_handle(multi_, easy_); }
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;

 private:
  CURLM* const multi_;
  CURL* const easy_;
};

}  // namespace

struct Fetcher::Impl {
  Impl(FetchOptions options_in, const Clock& clock_in) : options(std::move(options_in)), clock(clock_in) {}

  FetchOptions options;
  const Clock& clock;
  // The multi handle holds the kept connections, so it is destroyed last.
  std::unique_ptr<CURLM, MultiFree> multi;
  std::unique_ptr<CURL, EasyFree> easy;
  FetchStats stats;

  Result<void> Prepare(const HttpRequest& request, const std::string& url, const HeaderList& headers);
  Result<HttpResponseHead> Run(Transfer& transfer);
  // One turn: moves bytes, watches, waits a little. Nothing = go on.
  std::optional<Result<HttpResponseHead>> RunOnce(Transfer& transfer);
  std::optional<CURLcode> Ended() const;
};

Result<void> Fetcher::Impl::Prepare(const HttpRequest& request, const std::string& url,
                                    const HeaderList& headers) {
  if (!multi || !easy) return Fail(ErrorClass::kInternal, "libcurl could not be set up: out of memory");
  if (!IsToken(request.method)) return Fail(ErrorClass::kConfig, "the request's method is not one");
  if (!IsFieldValue(options.user_agent)) {
    return Fail(ErrorClass::kConfig, "user_agent has characters that are not allowed");
  }
  curl_easy_reset(easy.get());  // keeps connections and caches
  SetConnection(easy.get(), options);
  SetRequest(easy.get(), request);
  curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, headers.Get());
  curl_easy_setopt(easy.get(), CURLOPT_USERAGENT, options.user_agent.c_str());
  curl_easy_setopt(easy.get(), CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
  curl_easy_setopt(easy.get(), CURLOPT_HTTP_CONTENT_DECODING, 0L);  // BodyDecoder does it
  if (curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str()) != CURLE_OK) {
    return Fail(ErrorClass::kInternal, "libcurl could not take the URL");
  }
  return {};
}

std::optional<CURLcode> Fetcher::Impl::Ended() const {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
    if (message->msg == CURLMSG_DONE) return message->data.result;
  }
  return std::nullopt;
}

std::optional<Result<HttpResponseHead>> Fetcher::Impl::RunOnce(Transfer& transfer) {
  // Asked before the first byte is sent too: a lane may be lost by now.
  if (std::optional<Error> error = transfer.Watch()) return Fail(transfer.WithStatus(std::move(*error)));
  int running = 0;
  const CURLMcode moved = curl_multi_perform(multi.get(), &running);
  if (moved != CURLM_OK)
    return Fail(ErrorClass::kInternal, std::string("libcurl: ") + curl_multi_strerror(moved));
  if (const std::optional<CURLcode> code = Ended()) return transfer.Finish(*code);
  if (running == 0) return Fail(ErrorClass::kInternal, "libcurl did not take the request");
  curl_multi_poll(multi.get(), nullptr, 0, kPollMillis, nullptr);
  return std::nullopt;
}

Result<HttpResponseHead> Fetcher::Impl::Run(Transfer& transfer) {
  const Attached attached(multi.get(), easy.get());
  while (true) {
    if (std::optional<Result<HttpResponseHead>> result = RunOnce(transfer)) {
      stats = transfer.Stats();
      return std::move(*result);
    }
  }
}

Fetcher::Fetcher(FetchOptions options, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), clock)) {
  InitCurlOnce();
  impl_->multi.reset(curl_multi_init());
  impl_->easy.reset(curl_easy_init());
  if (impl_->multi) curl_multi_setopt(impl_->multi.get(), CURLMOPT_MAXCONNECTS, kKeptConnections);
}

Fetcher::~Fetcher() = default;

void Fetcher::SetOptions(FetchOptions options) { impl_->options = std::move(options); }
const FetchOptions& Fetcher::Options() const { return impl_->options; }
const FetchStats& Fetcher::LastStats() const { return impl_->stats; }

Result<HttpResponseHead> Fetcher::Fetch(const HttpRequest& request,
                                        const std::vector<std::pair<std::string, Secret>>& secret_headers,
                                        BodySink& sink, const AbortCheck& abort) {
  impl_->stats = {};
  const Result<std::string> url = JoinUrl(impl_->options.base_url, request.target);
  if (!url) return tl::unexpected<Error>(url.error());
  HeaderList headers;
  if (Result<void> filled = FillHeaders(request, secret_headers, headers); !filled) {
    return tl::unexpected<Error>(std::move(filled.error()));
  }
  if (Result<void> prepared = impl_->Prepare(request, *url, headers); !prepared) {
    return tl::unexpected<Error>(std::move(prepared.error()));
  }
  Transfer transfer(impl_->easy.get(), impl_->options, impl_->clock, sink, abort);
  return impl_->Run(transfer);
}

void Fetcher::Wake() {
  if (impl_->multi) curl_multi_wakeup(impl_->multi.get());
}

}  // namespace weir
