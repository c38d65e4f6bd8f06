// The service of rooms: between the commands, RoomViews on the loop, and the database's thread.
//
//   say(), history(), join() --RoomViews--> the home --> changed() --> who waits
//   changed(): what is to be shown --database--> EventBus: RoomHappened --> the prompt, `watch`
//
// Thread rule: changed() on the loop's thread; the service's functions on any other. The database
// publishes events on its own thread. Owned by LocalPeer.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "peer/shell/events.h"
#include "peer/shell/own_id.h"
#include "peer/shell/room_service.h"
#include "peer/shell/runtime.h"
#include "peer/storage/room_database.h"

namespace espalier::peer::shell {

class RoomDesk final : public RoomService {
 public:
  // What is borrowed outlives it.
  RoomDesk(const OwnId& id, Runtime& runtime, storage::RoomTables tables)
      : id_(id), runtime_(runtime), database_(std::move(tables)) {}

  // Hands the state to the core: before this peer joins.
  Result<void> start(RoomViews::Saved saved);

  // The state folder was removed, and is there again.
  void restore() { database_.writeAgain(); }

  // --- of PeerHandler
  void changed(RoomViewsEffects& fx);

  // --- RoomService
  PeerId self() override { return id_.get(); }
  Result<RoomInfo> join(const RoomName& room, std::uint32_t opensAt, std::stop_token stop) override;
  Result<void> part(const RoomName& room) override;
  Result<SaidInRoom> say(const RoomName& room, const std::string& text,
                         std::stop_token stop) override;
  Result<RoomHistory> history(const RoomName& room, std::size_t most,
                              std::stop_token stop) override;
  void read(const RoomName& room) override;
  Result<RoomListing> rooms(std::stop_token stop) override;
  Result<std::vector<RoomInfo>> own() override;
  Result<RoomMembers> who(const std::optional<RoomName>& room, std::stop_token stop) override;
  Result<void> watch(const std::vector<RoomName>& rooms, const std::function<void()>& onBegin,
                     const OnEvent& onEvent, std::stop_token stop) override;
  std::vector<std::string> names(const std::string& prefix) override;

 private:
  struct Joining {
    RoomName room;
    std::optional<wire::RoomState> state;
    bool hasEntered = false;
  };

  template <typename Function>
  auto withRooms(Function function)
      -> Result<std::invoke_result_t<Function, RoomViews&, TimePoint, RoomViewsEffects&>>;
  template <typename Map>
  auto awaitIn(Map& pending, const typename Map::key_type& key, const std::stop_token& stop) ->
      typename Map::mapped_type;
  Result<RoomInfo> awaitJoined(std::uint64_t number, const RoomName& room,
                               const std::stop_token& stop);
  Error notSaid(const wire::RoomEntryId& id, const std::stop_token& stop);
  void forgetIgnored(std::vector<wire::RoomEntry>& entries);
  void publish(const RoomViewsEffects& fx);
  void publishStored(std::vector<storage::RoomTelling>& tellings);

  const OwnId& id_;
  Runtime& runtime_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<wire::RoomEntryId, std::optional<wire::RoomSaidReply>> says_;
  std::map<std::uint64_t, std::optional<RoomViewsEffects::History>> histories_;
  std::map<std::uint64_t, Joining> joins_;
  std::uint64_t joinings_ = 0;

  // --- the loop's thread only
  // What was told last of rooms that are closed.
  std::map<RoomName, std::uint64_t> waits_;
  // ---

  storage::RoomDatabase database_;  // last: its thread ends first
};

}  // namespace espalier::peer::shell
