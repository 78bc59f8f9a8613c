#include "producer/api/problem.h"

#include <nlohmann/json.hpp>
#include <string>

namespace weir::api {
namespace {

using Json = nlohmann::ordered_json;

const char* TitleOf(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 422:
      return "Unprocessable Content";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

int StatusOf(ErrorClass error_class) {
  switch (error_class) {
    case ErrorClass::kConfig:
      return 422;
    case ErrorClass::kNotFound:
      return 404;
    case ErrorClass::kConflict:
      return 409;
    case ErrorClass::kDatabase:
    case ErrorClass::kSchema:
    case ErrorClass::kBroker:
    case ErrorClass::kStopped:
      return 503;
    default:
      return 500;
  }
}

Json Body(int status, std::string_view detail, std::string_view hint) {
  Json body = {{"type", "about:blank"}, {"title", TitleOf(status)}, {"status", status}, {"detail", detail}};
  if (!hint.empty()) body["hint"] = hint;
  return body;
}

HttpReply Reply(int status, const Json& body) {
  HttpReply reply;
  reply.status = status;
  reply.content_type = "application/problem+json";
  // Details may quote what was sent, which need not be UTF-8.
  reply.body = body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return reply;
}

}  // namespace

HttpReply Problem(int status, std::string_view detail, std::string_view hint) {
  return Reply(status, Body(status, detail, hint));
}

HttpReply ProblemOf(const Error& error) {
  const int status = StatusOf(error.error_class);
  Json body = Body(status, error.message, error.hint);
  body["class"] = ToString(error.error_class);
  HttpReply reply = Reply(status, body);
  if (status == 503) reply.headers.push_back({"Retry-After", "5"});
  return reply;
}

}  // namespace weir::api
