// What a peer shows on its page, and its metrics: the network as its metaserver last told it, the
// transfers and pushes, with whom private messages were exchanged, its rooms and what was said in
// them last, and itself.
//
//   the network's snapshot  asked for again every two seconds while a page follows, every ten where
//                           there are more than 256 peers: nobody may keep a metaserver busy
//
// Thread rule: see web::Source; picture() by one thread at a time. What it is built on outlives it.
// A picture costs O(members + transfers + entries of ledgers).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/web/source.h"
#include "peer/shell/events.h"
#include "peer/shell/page_events.h"
#include "peer/shell/services.h"
#include "peer/shell/topology_store.h"

namespace espalier::peer::shell {

class PageSource final : public web::Source {
 public:
  PageSource(const Services& services, TopologyStore& store, EventBus& events)
      : services_(services), store_(store), events_(events) {}

  web::Picture picture() override;
  std::vector<web::Metric> metrics() override;
  std::optional<std::string> whyNotReady() override;

 private:
  web::Group peers(const PeerStatus& status);
  web::Group pushes();
  web::Group people();
  web::Group rooms();
  std::string program(const PeerStatus& status);

  const Services services_;
  TopologyStore& store_;
  PageEvents events_;
  TimePoint askAt_{};
};

}  // namespace espalier::peer::shell
