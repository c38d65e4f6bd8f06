#include "common/web/requests.h"

#include <Poco/Exception.h>
#include <Poco/Net/HTTPRequestHandler.h>
#include <Poco/Net/HTTPServerRequestImpl.h>
#include <Poco/Net/HTTPServerResponse.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <istream>
#include <optional>
#include <ostream>
#include <utility>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/payer.h"
#include "common/web/bounded_socket.h"
#include "common/web/command_run.h"
#include "common/web/guard.h"

namespace espalier::web {
namespace {

using command::Json;
using Poco::Net::HTTPServerRequest;
using Poco::Net::HTTPServerRequestImpl;
using Poco::Net::HTTPServerResponse;
using Status = Poco::Net::HTTPResponse::HTTPStatus;

constexpr const char* kPolicy =
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "object-src 'none'";
constexpr const char* kJsonType = "application/json; charset=utf-8";
constexpr const char* kTokenField = "X-Espalier-Token";

// How long a request waits for its turn: a browser asks for many files of the page at once.
constexpr auto kTurn = std::chrono::seconds(1);

// One of the streams.
class Stream {
 public:
  explicit Stream(std::atomic<unsigned>& used)
      : used_(used), isFree_(used.fetch_add(1) < limits::kWebStreams) {}
  ~Stream() { --used_; }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  bool isFree() const { return isFree_; }

 private:
  std::atomic<unsigned>& used_;
  const bool isFree_;
};

// One of the other requests.
class Turn {
 public:
  explicit Turn(std::counting_semaphore<>& others)
      : others_(others), isFree_(others.try_acquire_for(kTurn)) {}
  ~Turn() {
    if (isFree_) others_.release();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  bool isFree() const { return isFree_; }

 private:
  std::counting_semaphore<>& others_;
  const bool isFree_;
};

void addGuards(HTTPServerResponse& response) {
  response.set("Content-Security-Policy", kPolicy);
  response.set("X-Content-Type-Options", "nosniff");
  response.set("X-Frame-Options", "DENY");
  response.set("Referrer-Policy", "no-referrer");
  response.set("Cross-Origin-Opener-Policy", "same-origin");
  response.set("Cross-Origin-Resource-Policy", "same-origin");
  response.set("Cache-Control", "no-store");
}

void answer(HTTPServerResponse& response, int status, const std::string& type,
            std::string_view text) {
  addGuards(response);
  response.setStatusAndReason(static_cast<Status>(status));
  response.setContentType(type);
  response.sendBuffer(text.data(), text.size());
}

void refuse(HTTPServerResponse& response, const Refusal& refusal) {
  answer(response, refusal.status, "text/plain; charset=utf-8", refusal.why + "\n");
}

BoundedSocketImpl* socketOf(HTTPServerRequest& request) {
  auto* const own = dynamic_cast<HTTPServerRequestImpl*>(&request);
  return own == nullptr ? nullptr : dynamic_cast<BoundedSocketImpl*>(own->socket().impl());
}

// The body as an object of JSON; nothing: it is something else, or too long.
std::optional<Json> bodyOf(HTTPServerRequest& request) {
  std::string text(limits::kWebBodyBytes + 1, '\0');
  request.stream().read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(request.stream().gcount()));
  if (text.size() > limits::kWebBodyBytes) return std::nullopt;
  auto json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  return json;
}

std::string textIn(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found == json.end() || !found->is_string() ? "" : found->get<std::string>();
}

class Handler final : public Poco::Net::HTTPRequestHandler {
 public:
  explicit Handler(Served& served) : served_(served) {}

  void handleRequest(HTTPServerRequest& request, HTTPServerResponse& response) override {
    response.setKeepAlive(false);
    // Without what stands behind it: no path here takes a query.
    const std::string path = request.getURI().substr(0, request.getURI().find_first_of("?#"));
    const Place place = placeOf(path);
    if (const auto refusal = check(place, askedOf(request), served_.name)) {
      return refuse(response, *refusal);
    }
    if (path == "/api/events") {
      const Stream stream(served_.streams);
      if (!stream.isFree()) {
        return refuse(response, {503, "too many pages are open: close one"});
      }
      return dispatch(place, path, request, response);
    }
    const Turn turn(served_.others);
    if (!turn.isFree()) return refuse(response, {503, "busy: try again"});
    dispatch(place, path, request, response);
  }

 private:
  static Place placeOf(const std::string& path) {
    if (path == "/metrics" || path == "/healthz" || path == "/readyz") return Place::probe;
    if (path == "/api/token") return Place::exchange;
    return path.starts_with("/api/") || path == "/api" ? Place::api : Place::page;
  }

  static Asked askedOf(const HTTPServerRequest& request) {
    return {request.getMethod(),
            request.get("Host", ""),
            request.get("Origin", ""),
            request.get("Sec-Fetch-Site", ""),
            request.get("Sec-Fetch-Mode", ""),
            request.get("Content-Type", "")};
  }

  void dispatch(Place place, const std::string& path, HTTPServerRequest& request,
                HTTPServerResponse& response) {
    const bool isPost = request.getMethod() == "POST";
    const bool isGet =
        request.getMethod() == "GET" || (request.getMethod() == "HEAD" && place != Place::api);
    const bool wantsPost = path == "/api/token" || path == "/api/command";
    if (place == Place::api) {
      const std::string token = request.get(kTokenField, "");
      if (!served_.admissions.with([&](const auto& all) { return all.mayUse(token); })) {
        return refuse(response, {401, "this page was not let in: the command `web` prints a link"});
      }
    }
    if (wantsPost ? !isPost : !isGet) {
      response.set("Allow", wantsPost ? "POST" : "GET");
      return refuse(response, {405, "this method is not for that path"});
    }
    if (isPost) return post(path, request, response);
    if (place == Place::page) return file(path, response);
    if (place == Place::probe) return probe(path, response);
    if (path == "/api/state") return answer(response, 200, kJsonType, served_.feed.state());
    if (path == "/api/events") return events(request, response);
    refuse(response, {404, "there is nothing of that name"});
  }

  void file(const std::string& path, HTTPServerResponse& response) const {
    const auto wanted = path == "/" ? "/index.html" : path;
    for (const auto& asset : served_.assets) {
      if (asset.path != wanted) continue;
      return answer(response, 200, std::string(asset.type), asset.content);
    }
    refuse(response, {404, "there is nothing of that name"});
  }

  void probe(const std::string& path, HTTPServerResponse& response) {
    constexpr const char* kText = "text/plain; version=0.0.4; charset=utf-8";
    const auto turned = served_.loop.ask(limits::kLoopTurnLate);
    if (path == "/metrics") {
      auto metrics = served_.source.metrics();
      const Duration delay = turned.value_or(limits::kLoopTurnLate);
      metrics.push_back(gauge("event_loop_delay_seconds",
                              "How long the event loop takes to get to something new.",
                              std::chrono::duration<double>(delay).count()));
      metrics.push_back(gauge("page_streams", "Pages that follow the events.",
                              static_cast<double>(served_.streams)));
      return answer(response, 200, kText, metricsText(metrics));
    }
    if (!turned) return answer(response, 503, kText, "the event loop does not turn\n");
    if (path == "/healthz") return answer(response, 200, kText, "ok\n");
    const auto why = served_.source.whyNotReady();
    answer(response, why ? 503 : 200, kText, why ? *why + "\n" : "ready\n");
  }

  void post(const std::string& path, HTTPServerRequest& request, HTTPServerResponse& response) {
    auto* const socket = socketOf(request);
    if (socket == nullptr) return refuse(response, {500, "no socket"});
    const bool isKnown = request.hasContentLength();
    if (isKnown && request.getContentLength64() > static_cast<Poco::Int64>(limits::kWebBodyBytes)) {
      return refuse(response, {413, "the body is too long"});
    }
    socket->allowBody();
    const auto body = bodyOf(request);
    if (!body) return refuse(response, {400, "the body is no object of JSON, or too long"});
    if (path == "/api/token") return exchange(*body, response);
    addGuards(response);
    runCommand(served_, *socket, textIn(*body, "line"), body->value("stream", Json(false)) == true,
               response);
  }

  void exchange(const Json& body, HTTPServerResponse& response) {
    const auto token = served_.admissions.with(
        [&](auto& all) { return all.exchange(textIn(body, "secret"), Clock::now()); });
    if (!token) {
      // Anybody on this machine can cause this line.
      log::warning(Payer::host("127.0.0.1"), "{}",
                   "a page showed a link that was used, is too old, or was never given");
      return refuse(response, {403, "this link was used, or is too old: `web` prints another one"});
    }
    answer(response, 200, kJsonType, Json({{"token", *token}}).dump());
  }

  // Batches of what is new, four a second at most. Without news a comment, so that an end is found.
  void events(HTTPServerRequest& request, HTTPServerResponse& response) {
    constexpr auto kIdle = std::chrono::seconds(10);
    auto* const socket = socketOf(request);
    if (socket == nullptr) return refuse(response, {500, "no socket"});
    auto from = Position::parse(request.get("Last-Event-ID", ""));
    if (!from) return refuse(response, {400, "Last-Event-ID says what is known: EPOCH.NUMBER"});
    socket->answerForever();
    addGuards(response);
    response.setContentType("text/event-stream; charset=utf-8");
    response.setChunkedTransferEncoding(true);
    std::ostream& out = response.send();
    out << ": here\n\n" << std::flush;
    Feed::Follower follower(served_.feed);
    TimePoint told = Clock::now();
    while (out && !socket->hasClosed() && !served_.feed.hasStopped()) {
      const auto text = follower.next(*from, Clock::now() + limits::kWebBatchInterval);
      if (!text) {
        out << "event: reset\ndata: {}\n\n" << std::flush;
        return;
      }
      const TimePoint now = Clock::now();
      if (text->empty() && now - told < kIdle) continue;
      out << (text->empty() ? ": quiet\n\n" : *text) << std::flush;
      const auto rest = limits::kWebBatchInterval - (now - told);
      told = now;
      if (rest > Duration()) follower.pause(now + rest);
    }
  }

  Served& served_;
};

}  // namespace

Poco::Net::HTTPRequestHandler* RequestFactory::createRequestHandler(
    const Poco::Net::HTTPServerRequest&) {
  return new Handler(served_);
}

}  // namespace espalier::web
