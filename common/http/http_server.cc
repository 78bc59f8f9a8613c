#include "common/http/http_server.h"

#include <pthread.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <list>
#include <mutex>
#include <optional>
#include <utility>

namespace weir {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using Code = boost::system::error_code;

constexpr std::size_t kStackBytes = 256 << 10;
constexpr std::size_t kReadBytes = 16 << 10;  // of a connection's buffer, beyond its limits
constexpr std::size_t kMostDrained = 16 << 20;
constexpr std::chrono::milliseconds kAcceptRetry{100};

template <typename Text>
std::string ToString(const Text& text) {
  return std::string(text.data(), text.size());
}

HttpServerRequest FromBeast(http::request<http::string_body>& request) {
  HttpServerRequest out;
  out.method = ToString(request.method_string());
  const std::string target = ToString(request.target());
  const std::size_t mark = target.find('?');
  out.path = target.substr(0, mark);
  if (mark != std::string::npos) out.query = target.substr(mark + 1);
  for (const auto& field : request) {
    out.headers.push_back({ToString(field.name_string()), ToString(field.value())});
  }
  out.body = std::move(request.body());
  return out;
}

HttpReply Answer(const HttpHandler& handler, const HttpServerOptions& options,
                 const HttpServerRequest& request) {
  try {
    return handler(request);
  } catch (const std::exception&) {
    // What it says may hold anything; the handler logs what it wants known.
    return options.refusal(500, "internal error");
  }
}

HttpReply Refusal(const HttpServerOptions& options, const Code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return options.refusal(431, "headers too large");
  }
  if (error == http::error::body_limit) return options.refusal(413, "body too large");
  return options.refusal(400, "bad request");
}

class Session;
// Open connections, oldest wait for a request first. Only the server's thread touches it.
using Sessions = std::list<Session*>;

// One connection: read a request, answer, again. Lives in its own pending operations.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, const HttpServerOptions& options, const HttpHandler& handler,
          Sessions& sessions, asio::io_context& slow)
      : stream_(std::move(socket)), options_(options), handler_(handler), sessions_(sessions), slow_(slow) {
    place_ = sessions_.insert(sessions_.end(), this);
  }
  ~Session() { sessions_.erase(place_); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void Read() {
    sessions_.splice(sessions_.end(), sessions_, place_);
    parser_.emplace();
    parser_->header_limit(options_.max_header_bytes);
    parser_->body_limit(options_.max_body_bytes);
    // Bounds the whole request, not each byte of it.
    stream_.expires_after(options_.timeout);
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](const Code& error, std::size_t) { self->OnRead(error); });
  }
  void Close() { stream_.close(); }

 private:
  void OnRead(const Code& error) {
    if (!error) {
      http::request<http::string_body> request = parser_->release();
      const bool head = request.method() == http::verb::head;
      const bool keep = request.keep_alive();
      const unsigned version = request.version();
      HttpServerRequest asked = FromBeast(request);
      if (options_.slow && options_.slow(asked)) return AnswerSlowly(std::move(asked), version, keep, head);
      return Write(Answer(handler_, options_, asked), version, keep, head);
    }
    const bool ours = error.category() == make_error_code(http::error::bad_method).category();
    if (ours && error != http::error::end_of_stream && error != http::error::partial_message) {
      return Write(Refusal(options_, error), 11, false, false);
    }
    Shut();  // gone, too slow, or closed by us
  }

  // The session itself stays with the server's thread: the other one has only the request, and hands it back.
  void AnswerSlowly(HttpServerRequest asked, unsigned version, bool keep, bool head) {
    stream_.expires_never();
    asio::post(slow_, [self = shared_from_this(), asked = std::move(asked), version, keep, head]() mutable {
      HttpReply reply = Answer(self->handler_, self->options_, asked);
      const auto home = self->stream_.get_executor();
      asio::post(home, [self = std::move(self), reply = std::move(reply), version, keep, head]() mutable {
        self->Write(std::move(reply), version, keep, head);
      });
    });
  }

  void Write(HttpReply reply, unsigned version, bool keep, bool head) {
    response_ = {};
    response_.version(version);
    response_.result(static_cast<unsigned>(reply.status));
    response_.set(http::field::content_type, reply.content_type);
    for (const HttpHeader& header : reply.headers) response_.set(header.name, header.value);
    response_.keep_alive(keep);
    response_.content_length(reply.body.size());
    if (!head) response_.body() = std::move(reply.body);
    stream_.expires_after(options_.timeout);
    http::async_write(stream_, response_, [self = shared_from_this(), keep](const Code& error, std::size_t) {
      if (error) return self->Shut();
      if (keep) return self->Read();
      self->Shut();
      self->Drain();
    });
  }

  // What a peer still sends is read and dropped for a while: closed over unread bytes, a connection is reset,
  // and the answer that was sent lost with it.
  void Drain() {
    if (drained_ > kMostDrained) return;
    if (drained_ == 0) stream_.expires_after(options_.timeout);
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(kReadBytes),
                            [self = shared_from_this()](const Code& error, std::size_t read) {
                              if (error) return;
                              self->drained_ += read;
                              self->Drain();
                            });
  }

  void Shut() {
    Code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
  }

  beast::tcp_stream stream_;
  const HttpServerOptions& options_;
  const HttpHandler& handler_;
  Sessions& sessions_;
  asio::io_context& slow_;
  Sessions::iterator place_;
  beast::flat_buffer buffer_{kReadBytes};
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
  std::size_t drained_ = 0;
};

}  // namespace

struct HttpServer::Impl {
  Impl(HttpServerOptions options_in, HttpHandler handler_in)
      : options(std::move(options_in)), handler(std::move(handler_in)) {}

  const HttpServerOptions options;
  const HttpHandler handler;
  Sessions sessions;            // outlives the io_context, whose pending operations own the sessions
  asio::io_context context{1};  // 1: a single thread runs it
  tcp::acceptor acceptor{context};
  asio::steady_timer retry{context};
  asio::io_context slow{
      1};  // another single thread, if there are slow requests; its end is before that of `context`
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> slow_work;
  std::mutex stop_mutex;
  std::optional<pthread_t> thread, slow_thread;  // stop_mutex

  Result<void> Listen();
  Result<void> Launch();
  void Join();
  void Accept();
  void OnAccept(const Code& error, tcp::socket socket);
};

Result<void> HttpServer::Impl::Listen() {
  Code error;
  const asio::ip::address address = asio::ip::make_address(options.address, error);
  const bool in_range = options.port >= 0 && options.port <= 65535;
  if (!error && in_range) {
    const tcp::endpoint endpoint(address, static_cast<std::uint16_t>(options.port));
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  }
  if (!error && in_range) return {};
  const std::string where = options.address + ":" + std::to_string(options.port);
  return Fail(ErrorClass::kConfig,
              "cannot listen on " + where + ": " + (in_range ? error.message() : "no such port"),
              "Choose a numeric address of this machine and a free port, or port 0 for any free one.");
}

// Null = the thread could not be started.
static std::optional<pthread_t> RunOnThread(asio::io_context& context) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_t id{};
  const auto body = [](void* runs) -> void* {
    static_cast<asio::io_context*>(runs)->run();
    return nullptr;
  };
  const int error = pthread_create(&id, &attributes, body, &context);
  pthread_attr_destroy(&attributes);
  if (error != 0) return std::nullopt;
  return id;
}

Result<void> HttpServer::Impl::Launch() {
  Accept();
  if (options.slow) {
    slow_work.emplace(slow.get_executor());
    slow_thread = RunOnThread(slow);
  }
  if (!options.slow || slow_thread) thread = RunOnThread(context);
  if (thread) return {};
  Join();
  return Fail(ErrorClass::kInternal, "cannot start the HTTP server's thread");
}

void HttpServer::Impl::Join() {
  context.stop();
  slow.stop();
  for (std::optional<pthread_t>* running : {&thread, &slow_thread}) {
    if (*running) pthread_join(**running, nullptr);
    running->reset();
  }
}

void HttpServer::Impl::Accept() {
  acceptor.async_accept(
      [this](const Code& error, tcp::socket socket) { OnAccept(error, std::move(socket)); });
}

void HttpServer::Impl::OnAccept(const Code& error, tcp::socket socket) {
  if (error) {
    // Out of file descriptors, as a rule: trying at once again would spin.
    retry.expires_after(kAcceptRetry);
    retry.async_wait([this](const Code& cancelled) {
      if (!cancelled) Accept();
    });
    return;
  }
  if (sessions.size() >= options.max_connections) {
    // A closed one leaves the list when its operation has ended; it must not be chosen twice.
    Session* const longest = sessions.front();
    sessions.splice(sessions.end(), sessions, sessions.begin());
    longest->Close();
  }
  std::make_shared<Session>(std::move(socket), options, handler, sessions, slow)->Read();
  Accept();
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() { Stop(); }

Result<std::unique_ptr<HttpServer>> HttpServer::Start(HttpServerOptions options, HttpHandler handler) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(handler));
  Result<void> done = impl->Listen();
  if (done) done = impl->Launch();
  if (!done) return tl::unexpected<Error>(std::move(done.error()));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

int HttpServer::Port() const {
  Code error;
  return impl_->acceptor.local_endpoint(error).port();
}

void HttpServer::Stop() {
  const std::lock_guard lock(impl_->stop_mutex);
  if (!impl_->thread) return;
  impl_->Join();
  Code ignored;
  impl_->acceptor.close(ignored);
}

HttpReply PlainRefusal(int status, std::string_view why) {
  return {status, "text/plain; charset=utf-8", std::string(why) + "\n", {}};
}

HttpHandler RouteByPath(std::map<std::string, HttpHandler, std::less<>> routes) {
  return [routes = std::move(routes)](const HttpServerRequest& request) -> HttpReply {
    const auto route = routes.find(request.path);
    if (route == routes.end()) return PlainRefusal(404, "not found");
    if (request.method != "GET" && request.method != "HEAD") {
      return {405, "text/plain; charset=utf-8", "method not allowed\n", {{"Allow", "GET, HEAD"}}};
    }
    return route->second(request);
  };
}

}  // namespace weir
