// What the commands and the prompt of a peer stand on. The node implements both interfaces; a test
// brings its own.
//
// Thread rule: every function blocks its caller until it has the answer, may be called from any
// number of command threads at once (never from the event loop), and gives up with `interrupted`
// soon after its stop token asks for it. Callbacks run on the calling thread or another one, but
// never two at a time, and never after the function has returned.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/command/network_commands.h"
#include "common/command/progress.h"
#include "common/wire/push.h"
#include "common/wire/search.h"
#include "peer/core/search_result.h"

namespace espalier::peer::shell {

// --- searches

struct Wanted {
  std::optional<PatternKind> kind;  // none: as the text looks, Pattern::fromUser()
  std::string text;
};

// --- downloads

struct Destination {
  enum class Form { downloads, file, folder };
  Form form = Form::downloads;
  std::string path;  // of the file, or of the folder that the file's own name goes below
  // What the user asked for: in the downloads folder, components of names that begin with a dot are
  // written only if they are in it.
  std::string typed = {};
};

struct FetchRequest {
  FoundFile file;  // its holders are where to begin; one of them may be this peer itself
  Destination destination;
  bool force = false;  // replace an existing file that differs
  // What else is said of the root of `file`: sizes of which none or one is right. They are tried,
  // too.
  std::vector<FoundFile> others = {};
};

struct Fetched {
  std::string name;
  std::uint64_t sizeBytes = 0;
  FileRoot root;
  std::string path;             // where it lies now, as a user would type it: ./s2/f3.txt
  std::vector<PeerId> sources;  // empty: it lay there already
  double seconds = 0;
};

// "./s2/f3.txt exists and differs: --force overwrites it, -o PATH saves elsewhere", code `failed`:
// what fetch() returns then.
Error existsAndDiffers(const std::string& path);

// --- shares and state

struct SharedFile {
  std::string name;
  std::uint64_t sizeBytes = 0;
  FileRoot root;
};

struct ShareReport {
  PeerId peer;
  std::vector<SharedFile> files;  // by name
  bool indexing = false;          // there may be more
  std::uint64_t more = 0;         // at least so many, for which the answer has no room
  Endpoint endpoint = {};         // of another peer: where it listens
};

// What lies below a path and is not shared.
struct Unshared {
  std::string why;  // "cannot be read", after a name
  std::uint64_t count = 0;
  std::string example;
};

struct ShareChange {
  std::string path;
  std::uint64_t files = 0;     // of `share`: that are shared now; of `unshare`: no longer
  bool indexing = false;       // there may be more
  std::vector<Unshared> left;  // of `share`, by reason
};

// --- pushes

struct PushRequest {
  std::vector<std::string> paths;
  std::vector<std::string> names;  // each as it was typed: one of `list`, where the path is none
  std::vector<PeerId> to;          // empty: everybody
  bool wait = false;               // also for those who are out of reach
};

struct PushedPeer {
  enum class State { waiting, receiving, verified, declined, failed, outOfReach };
  PeerId id;
  State state = State::waiting;
  std::string reason;  // of declined and failed; from the network

  bool operator==(const PushedPeer&) const = default;
};

struct PushReport {
  PushId id;
  PeerId sender;
  std::vector<SharedFile> files;
  std::uint64_t sizeBytes = 0;
  std::vector<PushedPeer> peers;  // that it is meant for, the sender left out
  double seconds = 0;             // of a push that this command made
  bool over = false;              // nobody new is offered it
  bool interrupted = false;
  bool goesOn = false;  // though interrupted: another peer has everything
  // Members beyond `peers` of whom nothing is known yet; none: nobody knows how many there are.
  std::optional<std::uint64_t> others = 0;
};

enum class Role { parent, child };
struct Link {
  PeerId id;
  Role role = Role::child;
};

struct ActiveTransfer {
  enum class State { active, waiting, paused };
  std::uint64_t number = 0;  // of a download; 0: of another transfer
  std::string name;
  std::vector<PeerId> peers;  // who gives
  std::string to;             // the address of who takes
  bool incoming = false;
  State state = State::active;
  std::uint32_t position = 0;  // of one that waits: in the holder's queue, the nearest to its turn
  std::uint64_t doneBytes = 0;
  std::uint64_t totalBytes = 0;
  double bytesPerSecond = 0;
};

enum class TransferControl { pause, resume, cancel };

// Bytes a second; 0: no limit.
struct Rates {
  std::uint64_t upload = 0;
  std::uint64_t download = 0;
};

struct Status {
  PeerId id;
  Endpoint endpoint;
  Endpoint metaserver;
  bool metaserverReachable = false;
  std::uint64_t members = 0;  // of the network, as far as is known
  std::uint64_t links = 0;
  std::uint64_t maxLinks = 0;
  std::string share;      // the folder
  std::string downloads;  // the folder
  std::uint64_t sharedFiles = 0;
  std::uint64_t sharedBytes = 0;
  std::uint64_t filesToIndex = 0;  // 0: it is all there
  std::uint64_t openQueries = 0;
  std::uint64_t sentBytes = 0;
  std::uint64_t receivedBytes = 0;
  Rates rates;
  std::chrono::nanoseconds uptime{};
  std::vector<ActiveTransfer> transfers;
};

class PeerService : public command::NetworkService {
 public:
  // Who this peer is.
  virtual PeerId self() = 0;

  // `onHits` gets the number of hits so far and of peers that answered; it may be empty.
  using OnHits = std::function<void(std::uint64_t hits, std::uint64_t searched)>;
  virtual Result<SearchResult> find(const Wanted& wanted, std::stop_token stop,
                                    const OnHits& onHits) = 0;

  // Fetches, verifies and saves one file. A file that lies there already with that root is a
  // success without sources. `progress` may be empty.
  using OnProgress = std::function<void(const command::Progress&)>;
  virtual Result<Fetched> fetch(const FetchRequest& request, std::stop_token stop,
                                const OnProgress& progress) = 0;

  // Fetches many files, small ones over few connections. All requests have the same destination,
  // which is no file. `each` is called once a request, in any order.
  using OnFetched = std::function<void(std::size_t request, Result<Fetched> fetched)>;
  virtual void fetchMany(const std::vector<FetchRequest>& requests, std::stop_token stop,
                         const OnProgress& progress, const OnFetched& each) {
    for (std::size_t i = 0; i < requests.size(); ++i) each(i, fetch(requests[i], stop, progress));
  }
  // What the holder shares under names that begin with `prefix`. Without an endpoint it is looked
  // up in the network.
  virtual Result<ShareReport> filesBelow(const Holder& holder, const std::string& prefix,
                                         std::stop_token stop) {
    auto all = list(holder.id, stop);
    if (!all) return all.error();
    std::erase_if(all->files, [&](const auto& file) { return !file.name.starts_with(prefix); });
    return all;
  }

  // Holds up downloads, or lets them go on: those of these numbers, or all; as they are then.
  virtual Result<std::vector<ActiveTransfer>> control(
      TransferControl what, const std::vector<std::uint64_t>& numbers) = 0;
  // Sets what is given, for all transfers together; what holds then.
  virtual Rates limit(std::optional<std::uint64_t> upload,
                      std::optional<std::uint64_t> download) = 0;

  // What this peer shares, or that one (`unavailable` when it is not in the network).
  virtual Result<ShareReport> list(const std::optional<PeerId>& peer, std::stop_token stop) = 0;

  // Sends files to everybody, or to some, and returns when all have them, declined, failed or are
  // out of reach. Interrupted, it is cancelled, unless another peer has everything by then.
  using OnPush = std::function<void(const PushReport&)>;
  virtual Result<PushReport> push(const PushRequest& request, std::stop_token stop,
                                  const OnPush& onChange, const OnProgress& onHashed) = 0;
  // Those that this peer knows of, its own or not.
  virtual Result<std::vector<PushReport>> pushes(std::stop_token stop) = 0;

  // `path` is one of the file system; `typed` what the user said, perhaps a name as `list` shows
  // it.
  virtual Result<ShareChange> share(const std::string& path, const std::string& typed,
                                    std::stop_token stop) = 0;
  virtual Result<ShareChange> unshare(const std::string& path, const std::string& typed,
                                      std::stop_token stop) = 0;
  virtual Result<std::vector<Link>> links() = 0;
  virtual Result<Status> status() = 0;

  // Returns once the network has had `total` members; `onCount` is told how many it has now, and
  // again when that changes.
  using OnCount = std::function<void(std::uint64_t members)>;
  virtual Result<void> awaitMembers(std::uint64_t total, std::stop_token stop,
                                    const OnCount& onCount) = 0;

  // For completion, from what is at hand: never waits for the network.
  virtual std::vector<std::string> knownNames(const std::string& prefix) = 0;
  virtual std::vector<std::string> knownPeers(const std::string& prefix) = 0;
};

// --- joining

struct Joined {
  PeerId id;
  Endpoint endpoint;
  PeerId linkedTo;  // empty: the first of the network
  std::string share;
  std::uint64_t sharedFiles = 0;
  std::uint64_t sharedBytes = 0;
  bool indexing = false;  // the figures will grow
};

// How an attempt to join ended.
struct JoinAttempt {
  enum class End {
    joined,
    wordRefused,  // ask for the word again
    idRefused,    // in use, or no id: ask for another one
    unavailable,  // no metaserver: try again
    failed        // anything else: `error` says what, and there is no point in trying again
  };
  End end = End::failed;
  Joined joined;  // with End::joined
  Error error;    // else
};

class JoinService {
 public:
  virtual ~JoinService() = default;
  virtual Endpoint metaserver() const = 0;
  // The network before this peer is in it; `unavailable` without a metaserver and without a
  // snapshot from before.
  virtual Result<command::Topology> topology(std::stop_token stop) = 0;
  // The word that the metaserver announced, or --join-word.
  virtual std::string joinWord() = 0;
  virtual JoinAttempt join(const PeerId& id, const std::string& word, std::stop_token stop) = 0;
};

// `s2 joined on 127.0.0.1:5002, linked to s1; sharing 4 files (3.1 MB) from ./s2`
std::string joinedLine(const Joined& joined);
// `no metaserver at 127.0.0.1:5000: start "metaserver"`; `why`: empty, or what there is to say of a
// host name.
std::string noMetaserverLine(const Endpoint& metaserver, const std::string& why = {});

}  // namespace espalier::peer::shell
