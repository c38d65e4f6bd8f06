// What a metaserver shows on its page, and its metrics: the members with their places in the tree,
// the metaservers, and itself.
//
// Thread rule: see web::Source. `server` outlives it. A picture costs O(members).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/web/source.h"
#include "metaserver/shell/server.h"

namespace espalier::metaserver::shell {

class PageSource final : public web::Source {
 public:
  explicit PageSource(Server& server) : server_(server) {}

  web::Picture picture() override;
  std::vector<web::Metric> metrics() override;
  std::optional<std::string> whyNotReady() override;

 private:
  web::Group peers();
  web::Group servers();
  std::string program();

  Server& server_;
};

}  // namespace espalier::metaserver::shell
