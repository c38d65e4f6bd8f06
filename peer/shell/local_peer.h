// This peer under its id: everything that exists only once the id is known. Its state folder is
// claimed, its share indexed, its transfers served; its services and commands are built here, each
// with references to what it needs.
//
//   create() --> attached to the network, commands served --destructor--> ended
//
// After discard(), because the id was refused, the destructor also removes the folders that were
// made for this peer. Joiner is the only creator.
//
// It begins to exist before the metaserver has admitted the peer, because the instance key and the
// share must be there then, and -e may ask for the status of a peer that waits to be admitted.
//
// The order of the members is the order of construction; destruction is the reverse. First the
// commands end (the destructor's body), then the network calls this handler no more, then services,
// servers and share are destroyed. The share is saved before its folders are removed. The claim of
// the state folder is given up last.
//
// Thread rule: created and destroyed by one thread, not the loop's. The services may be used by any
// number of command threads; the PeerHandler's functions run on the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/command/control_server.h"
#include "common/command/dispatcher.h"
#include "common/web/page_server.h"
#include "peer/shell/active_downloads.h"
#include "peer/shell/commands.h"
#include "peer/shell/file_downloads.h"
#include "peer/shell/local_share.h"
#include "peer/shell/metaserver_feedback.h"
#include "peer/shell/network_search.h"
#include "peer/shell/network_topology.h"
#include "peer/shell/own_id.h"
#include "peer/shell/page_source.h"
#include "peer/shell/private_desk.h"
#include "peer/shell/push_desk.h"
#include "peer/shell/push_sender.h"
#include "peer/shell/room_desk.h"
#include "peer/shell/runtime.h"
#include "peer/shell/services.h"
#include "peer/shell/share_matcher.h"
#include "peer/shell/share_source.h"
#include "peer/shell/status_report.h"
#include "peer/shell/topology_store.h"
#include "peer/shell/transfer_monitor.h"
#include "peer/transfer/chunk_counts.h"
#include "peer/transfer/downloader.h"
#include "peer/transfer/transfer_server.h"

namespace espalier::peer::shell {

// Folders that were made for a peer. Removed again when its id was refused.
class MadeFolders {
 public:
  MadeFolders() = default;
  ~MadeFolders();
  MadeFolders(MadeFolders&&) = default;
  MadeFolders& operator=(MadeFolders&&) = delete;

  void add(const std::string& folder) { folders_.push_back(folder); }
  // At the end, removes the folders that are empty, and `stateFolder` with all that is in it.
  void discard(const std::string& stateFolder);

 private:
  std::vector<std::string> folders_;  // in the order in which they were made
  std::string stateFolder_;
  bool discarded_ = false;
};

class LocalPeer final : private PeerHandler {
 public:
  // What outlives it.
  struct Environment {
    Runtime& runtime;
    TopologyStore& topologyStore;
    NetworkTopology& topology;
    std::function<void()> stop;  // asks the program to end
  };
  // `options`: with the id. Makes the folders, claims the state folder, reads the key, starts the
  // share and serves the control socket. Blocks on the disk.
  static Result<std::unique_ptr<LocalPeer>> create(const Environment& environment,
                                                   PeerOptions options);
  ~LocalPeer() override;

  // As its user chose it.
  const PeerId& id() const { return options_.id; }
  const InstanceKey& key() const { return key_; }
  Joined joined() { return status_.joined(); }
  Services services();
  const command::Dispatcher& dispatcher() const { return dispatcher_; }

  // Ends the commands of other processes: interrupts those that run, and waits for them.
  void endCommands() {
    page_.stop();
    control_->stop();
  }
  // The id was refused: the destructor removes what was made for it.
  void discard() { made_.discard(options_.state); }

 private:
  LocalPeer(const Environment& environment, PeerOptions options,
            std::unique_ptr<command::ControlServer> control, MadeFolders made,
            const InstanceKey& key, storage::PrivateTables privates, storage::RoomTables rooms);
  Result<void> start(PrivateState privates, RoomViews::Saved rooms);
  void restoreState();
  transfer::VerifiedCallback verified();
  share::ShareOptions shareOptions() const;
  std::vector<command::Command> commands();

  // --- PeerHandler
  void renamed(const PeerId& id) override { id_.set(id); }
  void match(const MatchJob& job) override { matcher_.match(job); }
  void searched(SearchUpdate& update) override { search_.searched(update); }
  void serve(std::unique_ptr<net::ByteStream> stream, const wire::Hello& hello) override;
  void carryOut(PushJob& job) override { pushDesk_.carryOut(job); }
  void keep(PrivateWrite& write) override { privates_.keep(write); }
  void told(PrivateUpdate& update) override { privates_.told(update); }
  void roomsChanged(RoomViewsEffects& fx) override { rooms_.changed(fx); }

  const Environment environment_;
  const PeerOptions options_;
  const std::unique_ptr<command::ControlServer> control_;  // holds the claim of the state folder
  MadeFolders made_;
  OwnId id_;
  const InstanceKey key_;

  // --- the share and the transfers
  RateLimits rates_;
  transfer::PartialFiles partialFiles_;  // downloads in progress, for others
  share::ShareIndex index_;
  ShareSource source_;
  ShareMatcher matcher_;
  transfer::TransferServer server_;
  transfer::ChunkCounts chunks_;
  transfer::Downloader downloader_;
  PushDesk pushDesk_;
  ActiveDownloads active_;

  // --- the services
  NetworkSearch search_;
  FileDownloads downloads_;
  TransferMonitor transfers_;
  PushSender pushes_;
  LocalShare share_;
  StatusReport status_;
  PrivateDesk privates_;
  RoomDesk rooms_;
  MetaserverFeedback feedback_;

  PageSource pageSource_;
  web::PageServer page_;
  command::Dispatcher dispatcher_;
  std::optional<Network::Attachment> attachment_;  // last: the loop's thread calls the rest
};

}  // namespace espalier::peer::shell
