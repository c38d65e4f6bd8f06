// The peer as its commands and its prompt see it: one network, one share, its transfers.
//
//   made --join--> prepared (share, control socket, instance key) --> joined --leave--> gone
//      ^                                                       |
//      +---------------- id refused: another one --------------+
//
// Threads: the event loop's (control connections and the core), a worker that matches patterns
// against the share, the share's own, the transfers' own. Commands call from any thread and block
// until their answer is there.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "common/base/guarded.h"
#include "common/command/control.h"
#include "peer/share/match_queue.h"
#include "peer/shell/downloads.h"
#include "peer/shell/join_service.h"
#include "peer/shell/network.h"
#include "peer/shell/options.h"
#include "peer/shell/push_desk.h"
#include "peer/shell/services.h"
#include "peer/shell/share_source.h"
#include "peer/transfer/downloader.h"
#include "peer/transfer/transfer_server.h"

namespace espalier::peer::shell {

// Which names that begin with a dot a fetch may write.
transfer::DotNames dotsOf(const Destination& destination);

class Node final : public SearchService,
                   public DownloadService,
                   public TransferService,
                   public PushService,
                   public ShareService,
                   public TopologyService,
                   public StatusService,
                   public JoinService {
 public:
  // `metaserver` is the address to dial. Starts the loop's thread.
  Node(net::EventLoop& loop, PeerOptions options);
  // Whether the system had the threads that it needs; else nothing of it may be used.
  const Result<void>& started() const { return threads_; }
  // Leaves, if it has not, and joins the threads.
  ~Node() override;

  // What the control socket serves, from when this peer knows its id. Outlives the node's last
  // command.
  void serveCommands(const command::Dispatcher& dispatcher) { dispatcher_ = &dispatcher; }
  // Called (on any thread) once somebody asked this peer to end.
  void onStop(std::function<void()> stop) { onStop_ = std::move(stop); }
  // Leaves the network, and ends the commands of others; blocks until both is done, half a second
  // at most unless a command takes longer to stop.
  void leave();

  // --- JoinService
  Endpoint metaserver() const override { return options_.metaserver; }
  std::string joinWord() override;
  JoinAttempt join(const PeerId& id, const std::string& word, std::stop_token stop) override;

  // --- NetworkService and JoinService
  Result<command::Topology> topology(std::stop_token stop) override;
  Result<std::string> topologyDot(std::stop_token stop) override;
  Result<command::KillPlan> whatIfKilled(const PeerId& id, std::stop_token stop) override;
  // Asks the program to end.
  void stop();
  Services services();

  // --- the services
  Result<SearchResult> find(const SearchRequest& wanted, std::stop_token stop,
                            const OnHits& onHits) override;
  Result<Fetched> fetch(const DownloadRequest& request, std::stop_token stop,
                        const OnProgress& progress) override;
  void fetchMany(const std::vector<DownloadRequest>& requests, std::stop_token stop,
                 const OnProgress& progress, const OnFetched& each) override;
  Result<ShareReport> filesBelow(const Holder& holder, const std::string& prefix,
                                 std::stop_token stop) override;
  PeerId self() override { return options_.id; }
  Result<std::vector<ActiveTransfer>> control(TransferControl what,
                                              const std::vector<std::uint64_t>& numbers) override;
  Rates limit(std::optional<std::uint64_t> upload, std::optional<std::uint64_t> download) override;
  Result<ShareReport> list(const std::optional<PeerId>& peer, std::stop_token stop) override;
  Result<PushReport> push(const PushRequest& request, std::stop_token stop, const OnPush& onChange,
                          const OnHashed& onHashed) override;
  Result<std::vector<PushReport>> pushes(std::stop_token stop) override;
  Result<ShareChange> share(const std::string& path, const std::string& typed,
                            std::stop_token stop) override;
  Result<ShareChange> unshare(const std::string& path, const std::string& typed,
                              std::stop_token stop) override;
  Result<std::vector<LinkedPeer>> links() override;
  Result<PeerStatus> status() override;
  Result<void> awaitMembers(std::uint64_t total, std::stop_token stop,
                            const OnCount& onCount) override;
  std::vector<std::string> knownNames(const std::string& prefix) override;
  std::vector<std::string> knownPeers(const std::string& prefix) override;

 private:
  struct TopologySnapshot {
    std::vector<wire::TopologyEntry> entries;
    std::chrono::system_clock::time_point at;
  };
  // A search that a command waits for.
  struct Search {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::uint64_t hits = 0;
    std::uint64_t searched = 0;
    std::optional<SearchResult> result;
  };
  struct HeardNames {  // of hits, for completion
    std::set<std::string> names;
    std::size_t bytes = 0;
  };
  // An attempt to join that somebody waits for.
  struct Attempt {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::optional<JoinAttempt> ended;
  };

  // A share and who serves it; each uses the one before.
  struct Sharing {
    std::unique_ptr<share::ShareIndex> index;
    std::unique_ptr<ShareSource> source;
    std::unique_ptr<transfer::TransferServer> server;
  };

  Result<void> prepare(const PeerId& id);
  Result<void> makeShare();
  void restoreState(const InstanceKey& key);
  Result<void> exchange(Sharing& other);
  void undoPrepare();
  std::string whyNoMetaserver(const std::string& why) const;
  void compareSource(const std::string& source);
  void tellUnreachable(const std::string& why);
  void noticed(const Notice& notice);
  void endAttempt(JoinAttempt attempt);
  void searched(SearchUpdate& update);
  void match(const MatchJob& job);
  bool matchOn(share::Matching& matching, TimePoint until);
  void addPartial(share::Matching& matching);
  std::vector<transfer::Holder> holdersOf(const FileRoot& root, std::uint64_t size,
                                          std::stop_token stop);
  void workOff(std::stop_token stop);
  Joined joinedNow();
  Result<TopologySnapshot> fetchTopology(std::stop_token stop);
  Result<TopologySnapshot> snapshot(std::stop_token stop);
  void refreshTopology();
  void refreshTopologySoon();
  std::optional<wire::Members> membersNow(std::stop_token stop);
  // Of the network, as the metaserver says: `count` is nothing when it is out of reach, `ids` also
  // when there are too many.
  struct KnownMembers {
    std::optional<std::vector<PeerId>> ids;
    std::optional<std::uint64_t> count;
  };
  KnownMembers membersKnown(std::stop_token stop);
  PushReport reportOf(const Pushes::View& view, const KnownMembers& members) const;
  Result<wire::RegistryReply> askMetaserver(wire::RegistryRequest request, std::stop_token stop);

  net::EventLoop& loop_;
  PeerOptions options_;
  const TimePoint started_ = Clock::now();
  const command::Dispatcher* dispatcher_ = nullptr;
  std::function<void()> onStop_;

  transfer::RateLimit uploadRate_;
  transfer::RateLimit downloadRate_;
  transfer::PartialFiles partialFiles_;  // what is being fetched, for others

  std::unique_ptr<command::ControlServer> control_;  // ends last: the state folder is its claim
  std::unique_ptr<share::ShareIndex> index_;
  std::unique_ptr<ShareSource> source_;
  std::unique_ptr<transfer::TransferServer> server_;
  std::unique_ptr<transfer::Downloader> downloader_;
  std::optional<InstanceKey> key_;
  std::vector<std::string> made_;  // folders, by prepare(), in this order

  Guarded<std::string> announcedWord_;
  Guarded<std::shared_ptr<const TopologySnapshot>> lastTopology_;  // large: copied without the lock
  Guarded<std::shared_ptr<Attempt>> attempt_;
  Guarded<std::map<QueryId, std::shared_ptr<Search>>> searches_;
  Downloads downloads_;
  Guarded<HeardNames> heardNames_;
  std::atomic<std::uint64_t> receivedBytes_{0};
  std::atomic<bool> largeNetwork_{false};
  std::atomic<bool> joined_{false};
  std::atomic<bool> metaserverThere_{true};  // as far as was told

  std::mutex jobsMutex_;
  std::condition_variable_any jobsChanged_;
  share::MatchQueue jobs_;
  TimePoint refreshAt_ = kNever;  // of the last snapshot

  Network network_;
  PushDesk desk_{network_, uploadRate_, downloadRate_};
  Result<void> threads_;
  std::jthread worker_;
  std::jthread loopThread_;
};

}  // namespace espalier::peer::shell
