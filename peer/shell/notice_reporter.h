// Turns the core's notices into log lines and events. Warns when the metaserver is out of reach,
// when the announced host is wrong, and when the metaserver cannot connect to this peer's port.
//
// Owned by Runtime. Thread rule: report() on the loop's thread; joined() on any.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "common/base/endpoint.h"
#include "peer/core/effects.h"
#include "peer/shell/events.h"
#include "peer/shell/network.h"

namespace espalier::peer::shell {

class NoticeReporter {
 public:
  // `metaservers`: as the user gave them. `advertise`: the announced host; empty: as the metaserver
  // sees this peer.
  NoticeReporter(Network& network, EventBus& events, std::vector<Endpoint> metaservers,
                 std::string advertise);

  void report(const Notice& notice);
  bool joined() const { return joined_; }

 private:
  void joinFailed(JoinAttempt::End end, Error error, std::string word = {});
  void lost(const std::string& why);
  void compareSource(const std::string& source);

  Network& network_;
  EventBus& events_;
  const std::vector<Endpoint> metaservers_;
  const std::string advertise_;
  std::atomic<bool> joined_{false};
  bool reachable_ = true;  // the metaserver, as logged last
};

}  // namespace espalier::peer::shell
