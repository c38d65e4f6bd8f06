// What a metaserver shows on its page, and its metrics: the members with their places in the tree,
// the metaservers, and itself.
//
// Thread rule: see web::Source; picture() by one thread at a time. `server` outlives it, and has no
// other reader of memberChanges(). A picture costs O(members that have changed), a copy of the
// texts of all, and O(members) if one is gone.
#pragma once

#include <map>
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
  void takeChanges();
  web::Group servers();
  std::string program();

  // As it is shown.
  struct Shown {
    std::string id;
    Endpoint endpoint;
    std::string parent;  // empty: none
    std::string home;
  };
  void show(JoinOrder order, const Shown& shown);

  Server& server_;
  std::map<JoinOrder, Shown> shown_;
  web::Group peers_;
};

}  // namespace espalier::metaserver::shell
