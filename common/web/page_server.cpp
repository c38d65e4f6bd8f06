#include "common/web/page_server.h"

#include <Poco/Exception.h>
#include <Poco/Net/HTTPServer.h>
#include <Poco/Net/HTTPServerParams.h>
#include <Poco/ThreadPool.h>
#include <Poco/Timespan.h>
#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/log_history.h"
#include "common/web/bounded_socket.h"
#include "common/web/feed.h"
#include "common/web/loop_probe.h"
#include "common/web/requests.h"

namespace espalier::web {
namespace {

using command::Arguments;
using command::Context;
using command::Json;
using command::Outcome;

// Beside those that are served: for the answer 503.
constexpr int kRefusers = 4;  // tuning
constexpr int kThreads = limits::kWebStreams + limits::kWebOthers + kRefusers;

Poco::Timespan timespanOf(Duration duration) {
  return Poco::Timespan(std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
}

Poco::Net::HTTPServerParams* paramsOf() {
  auto* const params = new Poco::Net::HTTPServerParams;
  params->setKeepAlive(false);
  params->setTimeout(timespanOf(limits::kWebRequestTime));
  params->setMaxThreads(kThreads);
  params->setMaxQueued(kThreads);
  params->setThreadIdleTime(timespanOf(std::chrono::seconds(2)));
  return params;
}

// The outcome of `web`.
struct LinkOutcome {
  std::string url;
};

void addMembers(Json& data, const LinkOutcome& outcome) {
  data["url"] = outcome.url;
}

std::string textOf(const LinkOutcome& outcome) {
  return outcome.url + "\nopens the page in one browser, once, within ten minutes\n";
}

}  // namespace

class PageServer::Running {
 public:
  Running(PageServer& owner, const command::Dispatcher& dispatcher, Source& source,
          LoopProbe::Post post, const BoundedServerSocket& socket)
      : feed_(source),
        loop_(std::move(post)),
        served_{owner.options_.name, owner.assets_, dispatcher, source,
                owner.admissions_,   feed_,         loop_,      stop_.get_token()},
        pool_("page", 1, kThreads),
        server_(new RequestFactory(served_), pool_, socket, paramsOf()) {}

  Result<void> start() {
    if (auto started = feed_.start(); !started) return started;
    try {
      server_.start();
    } catch (const Poco::Exception& exception) {
      return Error{ErrorCode::io, "cannot start the page: " + exception.displayText()};
    }
    return {};
  }

  ~Running() {
    stop_.request_stop();
    feed_.stop();
    server_.stop();
    server_.stopAll(true);
    pool_.joinAll();
  }

 private:
  std::stop_source stop_;
  Feed feed_;
  LoopProbe loop_;
  Served served_;
  Poco::ThreadPool pool_;
  Poco::Net::HTTPServer server_;
};

PageServer::PageServer(PageOptions options, std::span<const Asset> assets)
    : options_(std::move(options)), assets_(assets) {}

PageServer::~PageServer() {
  stop();
}

void PageServer::stop() {
  running_.reset();
}

Result<void> PageServer::start(const command::Dispatcher& dispatcher, Source& source,
                               std::function<void(std::function<void()>)> post) {
  if (!options_.at) return {};
  auto socket = BoundedServerSocket::listen(*options_.at);
  if (!socket) return socket.error();
  const Endpoint bound{options_.at->host, socket->address().port()};
  try {
    running_ = std::make_unique<Running>(*this, dispatcher, source, std::move(post), *socket);
  } catch (const Poco::Exception& exception) {  // no thread for POCO's pool
    return Error{ErrorCode::io, "cannot start the page: " + exception.displayText()};
  }
  if (auto started = running_->start(); !started) return started;
  address_.with([&](auto& address) { address = bound; });
  log::info("page: {}", *newLink());
  log::keepHistory();  // after that line: the page need not show a way in
  return {};
}

std::optional<Endpoint> PageServer::address() const {
  return address_.with([](const auto& address) { return address; });
}

Result<std::string> PageServer::newLink() {
  const auto at = address();
  if (!at) {
    return Error{ErrorCode::unavailable, "there is no page: start the program with --web"};
  }
  const auto secret = admissions_.with([](auto& all) { return all.newSecret(Clock::now()); });
  const bool isV6 = at->host.find(':') != std::string::npos;
  return fmt::format("http://{}:{}/#{}", isV6 ? "[" + at->host + "]" : at->host, at->port, secret);
}

command::Command PageServer::command() {
  command::Command command{.name = "web",
                           .usage = "web",
                           .summary = "print a link that opens the page in a browser, once"};
  command.handler = [this](const Arguments&, Context&) {
    auto link = newLink();
    if (!link) return Outcome::failed("web", link.error());
    return Outcome::done("web", LinkOutcome{*std::move(link)});
  };
  return command;
}

}  // namespace espalier::web
