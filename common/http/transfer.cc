#include "common/http/transfer.h"

#include <utility>

#include "common/http/origin.h"

namespace weir {
namespace {

std::string UntrustedHint(const std::string& ca_file) {
  if (ca_file.empty()) {
    return "The server's certificate is not trusted: check ca-certificates, the clock and base_url; an "
           "authority "
           "of your own goes into http.ca_file (or SSL_CERT_FILE).";
  }
  return "The server's certificate is signed neither by an authority in " + ca_file +
         " (http.ca_file, SSL_CERT_FILE) nor by one of the system's: check both, the clock and base_url.";
}

}  // namespace

Transfer::Transfer(CURL* easy, const FetchOptions& options, const Clock& clock, BodySink& sink,
                   const AbortCheck& abort)
    : easy_(easy),
      options_(options),
      clock_(clock),
      sink_(sink),
      abort_(abort),
      start_(clock.Boot()),
      head_(options.max_header_bytes),
      idle_(options.idle_timeout, options.slow_window, options.slow_rate, start_) {
  curl_easy_setopt(easy_, CURLOPT_HEADERFUNCTION, &Transfer::HeaderCallback);
  curl_easy_setopt(easy_, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, &Transfer::BodyCallback);
  curl_easy_setopt(easy_, CURLOPT_WRITEDATA, this);
}

std::size_t Transfer::HeaderCallback(char* data, std::size_t size, std::size_t count, void* self) {
  const std::size_t bytes = size * count;
  // Anything but the full count ends the transfer; 0 would not when an empty line were handed over.
  return static_cast<Transfer*>(self)->OnHeader({data, bytes}) ? bytes : bytes + 1;
}

std::size_t Transfer::BodyCallback(char* data, std::size_t size, std::size_t count, void* self) {
  const std::size_t bytes = size * count;
  return static_cast<Transfer*>(self)->OnBody({data, bytes}) ? bytes : bytes + 1;
}

template <typename Call>
bool Transfer::InSink(Call call) {
  const auto before = clock_.Boot();
  Result<bool> more = call();
  const auto taken = clock_.Boot() - before;
  stats_.in_sink += taken;
  idle_.Exclude(taken);
  if (!more) {
    error_ = std::move(more.error());
    return false;
  }
  enough_ = !*more;
  return *more;
}

bool Transfer::OnHeader(std::string_view line) {
  if (!stats_.first_byte) stats_.first_byte = clock_.Boot() - start_;
  Result<bool> ended = head_.Line(line);
  if (!ended) {
    error_ = std::move(ended.error());
    return false;
  }
  return !*ended || OnHeadEnd();
}

bool Transfer::OnHeadEnd() {
  std::string codings;
  for (const HttpHeader& header : head_.Head().headers) {
    if (EqualsIgnoreCase(header.name, "Content-Encoding"))
      codings += (codings.empty() ? "" : ",") + header.value;
  }
  auto decoder = BodyDecoder::For(codings);
  if (decoder) {
    decoder_ = std::move(*decoder);
  } else {
    unreadable_ = std::move(decoder.error());
  }
  return InSink([&] { return sink_.OnHead(head_.Head()); });
}

// What comes is counted too: bytes that decode to nothing would otherwise never end.
bool Transfer::OverCap(std::int64_t bytes) {
  if (bytes <= options_.max_response_bytes) return false;
  error_ = MakeError(ErrorClass::kInvalid,
                     "the answer is over " + std::to_string(options_.max_response_bytes) + " bytes",
                     "Raise limits.max_response_bytes if that is right.");
  return true;
}

bool Transfer::OnBody(std::string_view bytes) {
  coded_bytes_ += static_cast<std::int64_t>(bytes.size());
  if (OverCap(coded_bytes_)) return false;
  if (unreadable_) {
    // What an error's body says is worth less than its status.
    enough_ = head_.Head().status >= 400;
    if (!enough_) error_ = std::move(*unreadable_);
    return false;
  }
  if (!decoder_) return OnDecoded(bytes);
  const auto go = decoder_->Feed(bytes, [this](std::string_view piece) { return OnDecoded(piece); });
  if (go) return *go;
  if (!error_) error_ = go.error();
  return false;
}

bool Transfer::OnDecoded(std::string_view bytes) {
  if (bytes.empty()) return true;
  // curl empties its buffers before it returns to the loop; a slow sink must not keep an abort waiting.
  if (abort_) {
    error_ = abort_();
    if (error_) return false;
  }
  stats_.body_bytes += static_cast<std::int64_t>(bytes.size());
  if (OverCap(stats_.body_bytes)) return false;
  return InSink([&] { return sink_.OnBody(bytes); });
}

std::int64_t Transfer::WireBytes() const {
  curl_off_t body = 0;
  curl_easy_getinfo(easy_, CURLINFO_SIZE_DOWNLOAD_T, &body);
  return static_cast<std::int64_t>(body) + static_cast<std::int64_t>(head_.Bytes());
}

std::optional<Error> Transfer::Watch() {
  if (abort_) {
    if (std::optional<Error> aborted = abort_()) return aborted;
  }
  const std::string host = HostOf(options_.base_url);
  // One that is just fast enough not to be slow would hold its lane for as long as it likes.
  if (clock_.Boot() - start_ - stats_.in_sink >= options_.total_timeout) {
    return MakeError(ErrorClass::kTransient, host + " has not ended its answer within " +
                                                 std::to_string(options_.total_timeout.count()) + " ms");
  }
  curl_off_t sent = 0;
  curl_easy_getinfo(easy_, CURLINFO_SIZE_UPLOAD_T, &sent);
  switch (idle_.Update(WireBytes() + static_cast<std::int64_t>(sent), clock_.Boot())) {
    case IdleWatch::State::kAlive:
      return std::nullopt;
    case IdleWatch::State::kSilent:
      return MakeError(ErrorClass::kTransient,
                       host + " sent nothing for " + std::to_string(options_.idle_timeout.count()) + " ms");
    case IdleWatch::State::kSlow:
      return MakeError(ErrorClass::kTransient,
                       host + " sends fewer than " + std::to_string(options_.slow_rate) + " bytes a second");
  }
  return std::nullopt;
}

Error Transfer::WithStatus(Error error) {
  if (error.http_status == 0 && head_.Done()) error.http_status = head_.Head().status;
  return error;
}

Result<HttpResponseHead> Transfer::Finish(CURLcode code) {
  if (error_) return Fail(WithStatus(std::move(*error_)));
  if (code != CURLE_OK && !enough_) return Fail(WithStatus(FromCurl(code)));
  if (!head_.Done()) {
    return Fail(ErrorClass::kTransient,
                HostOf(options_.base_url) + " ended its answer before the head was whole");
  }
  if (decoder_ && !enough_) {
    if (auto whole = decoder_->End(); !whole) return Fail(WithStatus(std::move(whole.error())));
  }
  return std::move(head_.Head());
}

// Only curl's fixed text for the code is shown: its error buffer may quote the URL or what the server said.
Error Transfer::FromCurl(CURLcode code) const {
  const std::string text = HostOf(options_.base_url) + ": " + curl_easy_strerror(code);
  // CURLE_TOO_LARGE, which curl 7.88 does not have yet: its own caps on headers.
  constexpr int kTooLarge = 100;
  if (static_cast<int>(code) == kTooLarge) return MakeError(ErrorClass::kInvalid, text);
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:  // an answer without a status line
    case CURLE_WEIRD_SERVER_REPLY:
      return MakeError(ErrorClass::kInvalid, text, "The server does not speak HTTP.");
    case CURLE_BAD_CONTENT_ENCODING:
      return MakeError(ErrorClass::kInvalid, text);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
      return MakeError(ErrorClass::kTransient, text, "Check the source's base_url and the network.");
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
      // Certificates expire and are renewed, and clocks are set: not for good.
      return MakeError(ErrorClass::kTransient, text, UntrustedHint(options_.ca_file));
    case CURLE_SSL_CACERT_BADFILE:
      return MakeError(ErrorClass::kTransient, text,
                       "The certificates of " + (options_.ca_file.empty() ? "the system" : options_.ca_file) +
                           " cannot be read (http.ca_file, SSL_CERT_FILE).");
    case CURLE_OUT_OF_MEMORY:  // what curl 7.88 says of one header line over 100 KiB; later ones say
                               // kTooLarge
      return MakeError(ErrorClass::kInvalid, HostOf(options_.base_url) + ": a header is too long");
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_FAILED_INIT:
      return MakeError(ErrorClass::kInternal, text);
    default:
      return MakeError(ErrorClass::kTransient, text);
  }
}

FetchStats Transfer::Stats() const {
  FetchStats stats = stats_;
  stats.wire_bytes = WireBytes();
  stats.total = clock_.Boot() - start_;
  long connects = 0;
  curl_easy_getinfo(easy_, CURLINFO_NUM_CONNECTS, &connects);
  stats.reused_connection = stats.first_byte.has_value() && connects == 0;
  long request_bytes = 0;
  curl_easy_getinfo(easy_, CURLINFO_REQUEST_SIZE, &request_bytes);
  stats.sent = request_bytes > 0;
  return stats;
}

}  // namespace weir
