#include "metaserver/etcd/http_connection.h"

#include <Poco/Exception.h>
#include <Poco/Net/HTTPClientSession.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/HTTPResponse.h>
#include <Poco/Net/NetException.h>
#include <Poco/Net/SecureStreamSocket.h>
#include <Poco/Net/StreamSocketImpl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <istream>
#include <ostream>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/net/blocking_stream.h"

namespace espalier::metaserver::etcd {
namespace {

using Poco::Net::HTTPClientSession;
using Poco::Net::HTTPRequest;
using Poco::Net::HTTPResponse;

// A connection that was idle for longer may be closed by the other end at any moment.
constexpr Duration kIdleMost = std::chrono::seconds(5);
constexpr std::size_t kBlockBytes = 16 * 1024;

Poco::Timespan timespan(Duration duration) {
  using std::chrono::duration_cast;
  return {0, duration_cast<std::chrono::microseconds>(duration).count()};
}

// What is there, at least a byte; empty at the end. Never more than one wait for bytes.
std::string_view readSome(std::istream& in, std::array<char, kBlockBytes>& block) {
  if (in.peek() == std::char_traits<char>::eof()) return {};
  const auto bytes = in.readsome(block.data(), static_cast<std::streamsize>(block.size()));
  return {block.data(), static_cast<std::size_t>(bytes)};
}

Error tooLong() {
  return {ErrorCode::protocol,
          fmt::format("its answer has more than {}", formatSize(limits::kEtcdAnswerBytes))};
}

// Error pages are HTML, of proxies and of servers that are no etcd.
Result<HttpReply> readBody(std::istream& in, const HTTPResponse& response, Duration timeout) {
  HttpReply reply{static_cast<int>(response.getStatus()), {}};
  std::array<char, kBlockBytes> block;
  const TimePoint end = Clock::now() + timeout;
  while (true) {
    const auto some = readSome(in, block);
    if (some.empty()) break;
    if (reply.body.size() + some.size() > limits::kEtcdAnswerBytes) return tooLong();
    reply.body += some;
    if (Clock::now() >= end) return Error{ErrorCode::timeout, "its answer takes too long"};
  }
  if (in.bad()) return Error{ErrorCode::io, "the connection broke"};
  const std::string type = response.getContentType();
  if (!type.starts_with("application/json")) {
    return Error{
        ErrorCode::protocol,
        fmt::format("it answers with {} and HTTP status {}, not with JSON: is it etcd?",
                    type == HTTPResponse::UNKNOWN_CONTENT_TYPE ? "no type of content"
                                                               : escaped(cutUtf8(type, 60)),
                    reply.status)};
  }
  return reply;
}

Result<HttpReply> readLines(std::istream& in, const HttpConnection::Line& line,
                            const std::function<void()>& afterFirst) {
  std::string waiting;
  std::array<char, kBlockBytes> block;
  bool isFirst = true;
  while (true) {
    const auto some = readSome(in, block);
    if (some.empty()) break;
    waiting += some;
    std::size_t begin = 0;
    for (auto end = waiting.find('\n'); end != std::string::npos; end = waiting.find('\n', begin)) {
      if (!line(std::string_view(waiting).substr(begin, end - begin))) return HttpReply{200, {}};
      begin = end + 1;
      if (std::exchange(isFirst, false)) afterFirst();
    }
    waiting.erase(0, begin);
    if (waiting.size() > limits::kEtcdAnswerBytes) return tooLong();
  }
  return Error{ErrorCode::io, "the connection broke"};
}

}  // namespace

Result<TlsContext> makeTlsContext(const std::string& caFile) {
  using Poco::Net::Context;
  // A folder would be taken for one of hashed certificates, and trust nobody.
  struct stat found {};
  if (!caFile.empty() && ::stat(caFile.c_str(), &found) == 0 && !S_ISREG(found.st_mode)) {
    return Error{ErrorCode::configuration,
                 fmt::format("cannot read the certificates for etcd in {}: it is no regular file",
                             escaped(caFile))};
  }
  try {
    TlsContext context(
        new Context(Context::TLS_CLIENT_USE, caFile, Context::VERIFY_STRICT, 9, caFile.empty()));
    context->requireMinimumProtocol(Context::PROTO_TLSV1_2);
    return context;
  } catch (const Poco::Exception& error) {
    return Error{
        ErrorCode::configuration,
        fmt::format("cannot read the certificates for etcd{}: {}",
                    caFile.empty() ? "" : " in " + escaped(caFile), escaped(error.displayText()))};
  }
}

HttpConnection::HttpConnection(Url url, TlsContext tls, const net::Interrupter& interrupter)
    : url_(std::move(url)), tls_(std::move(tls)), interrupter_(interrupter) {}

HttpConnection::~HttpConnection() {
  close();
}

void HttpConnection::cut() {
  raw_.with([](auto& raw) {
    if (raw) raw->cut();
  });
}

void HttpConnection::close() {
  session_.reset();
  raw_.with([](auto& raw) { raw.reset(); });
}

Error HttpConnection::failure(std::string_view what, ErrorCode code) const {
  if (interrupter_.interrupted()) return {ErrorCode::interrupted, "interrupted"};
  return {code, fmt::format("{}: {}", url_.text(), what)};
}

Result<void> HttpConnection::open(Duration timeout) {
  if (session_ && Clock::now() - usedAt_ < kIdleMost) return {};
  close();
  auto raw = net::dialBlocking(url_.at, timeout, interrupter_);
  if (!raw) return failure(raw.error().message, raw.error().code);
  const int copy = ::fcntl((*raw)->descriptor(), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return failure("no descriptor is left", ErrorCode::io);
  Poco::Net::StreamSocket socket(new Poco::Net::StreamSocketImpl(copy));
  socket.setBlocking(true);
  socket.setNoDelay(true);
  socket.setSendTimeout(timespan(timeout));
  socket.setReceiveTimeout(timespan(timeout));
  raw_.with([&](auto& kept) { kept = *std::move(raw); });
  if (interrupter_.interrupted()) cut();  // it came before there was something to cut
  // A session of plain HTTP over a secure socket: POCO's for HTTPS takes no connected one.
  if (url_.isSecure) {
    socket = Poco::Net::SecureStreamSocket::attach(socket, url_.at.host, tls_);
  }
  session_ = std::make_unique<HTTPClientSession>(socket);
  session_->setKeepAlive(true);
  session_->setKeepAliveTimeout(timespan(2 * kIdleMost));  // it never connects by itself
  return {};
}

void HttpConnection::send(const Post& post) {
  HTTPRequest request(HTTPRequest::HTTP_POST, post.path, HTTPRequest::HTTP_1_1);
  request.setHost(url_.at.text());
  request.setKeepAlive(true);
  request.setContentType("application/json");
  request.setContentLength(static_cast<std::streamsize>(post.body.size()));
  if (!post.token.empty()) request.set("Authorization", post.token);
  session_->sendRequest(request) << post.body << std::flush;
}

// POCO throws whatever goes wrong.
Result<HttpReply> HttpConnection::attempt(const Post& post, const Exchange& exchange) {
  try {
    if (const auto opened = open(post.timeout); !opened) return opened.error();
    session_->socket().setReceiveTimeout(timespan(post.timeout));
    send(post);
    auto reply = exchange(*session_);
    usedAt_ = Clock::now();
    if (reply) return reply;
    close();
    return failure(reply.error().message, reply.error().code);
  } catch (const Poco::TimeoutException&) {
    close();
    return failure(fmt::format("no answer within {}", formatDuration(post.timeout)),
                   ErrorCode::timeout);
  } catch (const Poco::Net::NoMessageException&) {
    close();
    return failure("it ends the connection without an answer, as no etcd does", ErrorCode::io);
  } catch (const Poco::Exception& error) {
    close();
    return failure(escaped(cutUtf8(error.displayText(), limits::kMessageBytes)), ErrorCode::io);
  } catch (const std::exception& error) {
    close();
    return failure(escaped(error.what()), ErrorCode::io);
  }
}

Result<HttpReply> HttpConnection::post(const Post& post) {
  bool isReusable = false;
  auto reply = attempt(post, [&](HTTPClientSession& session) {
    HTTPResponse response;
    std::istream& in = session.receiveResponse(response);
    // etcd's gateway sends trailers behind a chunked answer, which POCO does not read.
    isReusable = response.getKeepAlive() && !response.getChunkedTransferEncoding();
    return readBody(in, response, post.timeout);
  });
  if (!isReusable) close();
  return reply;
}

Result<HttpReply> HttpConnection::stream(const Post& post, const Line& line) {
  close();
  auto reply = attempt(post, [&](HTTPClientSession& session) -> Result<HttpReply> {
    HTTPResponse response;
    std::istream& in = session.receiveResponse(response);
    const bool isStream = response.getStatus() == HTTPResponse::HTTP_OK &&
                          response.getContentType().starts_with("application/json");
    if (!isStream) return readBody(in, response, post.timeout);
    return readLines(in, line, [&] { session.socket().setReceiveTimeout(timespan(Duration(0))); });
  });
  close();
  return reply;
}

}  // namespace espalier::metaserver::etcd
