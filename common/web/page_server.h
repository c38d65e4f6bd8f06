// The HTTP server of the page in the browser.
//
//   GET  /, /page.js, …     the page's files (web/), embedded in the program
//   POST /api/token         {"secret":"…"} of a link, once: {"token":"…"}
//   POST /api/command       {"line":"find *.pdf"}: the JSON that --json prints. With "stream":true
//                           lines of JSON as on the control socket: progress, event, say; at last
//                           {"outcome":{…},"exit":0}
//   GET  /api/state         all that a page shows
//   GET  /api/events        what changes from then on: Server-Sent Events, read by fetch()
//   GET  /metrics, /healthz, /readyz
//
//   constructed --start()--> serving --stop(), destructor--> stopped
//
// What others may cost: limits::kWebStreams streams and kWebOthers other requests at a time, one
// more gets 503; the bounds of BoundedSocketImpl. guard.h says who may ask, admissions.h how a page
// is let in. A command of a page whose connection ends is interrupted. The event loop never waits
// for any of it.
//
// Threads: POCO's, one a connection while it lasts; the feed's; one a command, which watches its
// connection. All end in stop(), which interrupts commands and cuts connections. Thread-safe:
// newLink() and command() are for any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/guarded.h"
#include "common/base/result.h"
#include "common/command/dispatcher.h"
#include "common/web/admissions.h"
#include "common/web/source.h"

namespace espalier::web {

// A file of the page.
struct Asset {
  std::string_view path;  // "/page.js"
  std::string_view type;  // "text/javascript; charset=utf-8"
  std::string_view content;
};

struct PageOptions {
  std::optional<Endpoint> at;  // none: there is no page
  std::string name;            // of --web-host; empty: none
};

class PageServer {
 public:
  explicit PageServer(PageOptions options, std::span<const Asset> assets);
  ~PageServer();
  PageServer(const PageServer&) = delete;
  PageServer& operator=(const PageServer&) = delete;

  // Does nothing without an address. `post` runs a function on the event loop, or later than
  // limits::kLoopTurnLate, or never. All outlive the server.
  Result<void> start(const command::Dispatcher& dispatcher, Source& source,
                     std::function<void(std::function<void()>)> post);
  void stop();

  // Where it listens; none: there is no page.
  std::optional<Endpoint> address() const;
  // An address with a new secret, for one browser. Fails without a page.
  Result<std::string> newLink();
  // `web`, which prints newLink(). Refers to this server.
  command::Command command();

 private:
  class Running;

  const PageOptions options_;
  const std::span<const Asset> assets_;
  Guarded<std::optional<Endpoint>> address_{};
  Guarded<Admissions> admissions_{};
  std::unique_ptr<Running> running_;
};

}  // namespace espalier::web
