// Answers the requests of the page's server (page_server.h): which handler, which bounds.
//
// Made by PageServer, which outlives it and owns what Served refers to. Its handlers run on POCO's
// threads, one each.
#pragma once

#include <Poco/Net/HTTPRequestHandlerFactory.h>

#include <atomic>
#include <semaphore>
#include <span>
#include <stop_token>
#include <string>

#include "common/base/guarded.h"
#include "common/base/limits.h"
#include "common/command/dispatcher.h"
#include "common/web/admissions.h"
#include "common/web/feed.h"
#include "common/web/loop_probe.h"
#include "common/web/page_server.h"
#include "common/web/source.h"

namespace espalier::web {

// What all handlers use.
struct Served {
  const std::string& name;  // of --web-host
  std::span<const Asset> assets;
  const command::Dispatcher& dispatcher;
  Source& source;
  Guarded<Admissions>& admissions;
  Feed& feed;
  LoopProbe& loop;
  std::stop_token stop;  // the server ends
  std::atomic<unsigned> streams = 0;
  std::counting_semaphore<> others{limits::kWebOthers};
};

class RequestFactory final : public Poco::Net::HTTPRequestHandlerFactory {
 public:
  explicit RequestFactory(Served& served) : served_(served) {}
  Poco::Net::HTTPRequestHandler* createRequestHandler(
      const Poco::Net::HTTPServerRequest& request) override;

 private:
  Served& served_;
};

}  // namespace espalier::web
