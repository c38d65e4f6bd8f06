// What a metaserver shows on its page, and its metrics: the members with their places in the tree,
// the metaservers, the rooms, and itself. What is said in a room a page asks for by `history`, when
// `last` of that room has changed.
//
// Thread rule: see web::Source; picture() by one thread at a time. `server` outlives it, and has no
// other reader of readMembers(). A picture costs a line of JSON for each member that has changed,
// and a copy of the lines of all. The rooms are listed again when members or what may be shown has
// changed, or after kRoomsEvery.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
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
  static constexpr auto kRoomsEvery = std::chrono::seconds(2);

  void takeMembers(const RegistryCopy& copy, const MemberChanges& changes, const HomeNames& homes);
  void takeRooms();
  web::Group servers();
  std::string program();

  // As it is shown.
  struct Shown {
    PeerId id;
    std::optional<PeerId> parent;
  };

  Server& server_;
  std::map<JoinOrder, Shown> shown_;
  web::Group peers_;
  web::Group rooms_;
  bool areRoomsDue_ = true;
  TimePoint roomsUntil_{};
  std::uint64_t shownOfRooms_ = 0;
};

}  // namespace espalier::metaserver::shell
