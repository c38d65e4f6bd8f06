#include "peer/shell/local_peer.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/fs.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "peer/shell/instance_key.h"
#include "peer/shell/peer_state.h"
#include "web/page.h"

namespace espalier::peer::shell {

// --- MadeFolders

void MadeFolders::discard(const std::string& stateFolder) {
  stateFolder_ = stateFolder;
  discarded_ = true;
}

MadeFolders::~MadeFolders() {
  if (!discarded_) return;
  boost::system::error_code ignored;
  for (auto folder = folders_.rbegin(); folder != folders_.rend(); ++folder) {
    if (*folder == stateFolder_) {
      fs::remove_all(*folder, ignored);
    } else {
      fs::remove(*folder, ignored);  // fails unless it is empty
    }
  }
}

// --- construction

Result<std::unique_ptr<LocalPeer>> LocalPeer::create(const Environment& environment,
                                                     PeerOptions options) {
  MadeFolders made;
  for (const auto& folder : {options.share, options.downloads}) {
    boost::system::error_code failed;
    if (makeFolders(folder, failed)) {
      made.add(folder);
      log::info("made the folder {}", escaped(folder));
    }
    if (failed) return systemError("cannot make the folder " + escaped(folder), failed.value());
  }
  if (auto fit = checkShareFolder(options.share, options.state); !fit) return fit.error();
  boost::system::error_code ignored;
  if (!fs::exists(options.state, ignored)) made.add(options.state);
  // Before anything in the folder is touched: another process may run on it.
  auto control = command::ControlServer::claim(options.state);
  if (!control) {
    Error error = control.error();
    if (error.code == ErrorCode::io) {
      error.message += "; --state DIR keeps a peer's state elsewhere";
    }
    return error;
  }
  tidyIncoming(options.state, options.downloads);
  if (auto known = checkShareState(options.state); !known) return known.error();
  const auto key = loadInstanceKey(options.state);
  if (!key) return key.error();
  if (auto known = share::ShareIndex::checkState(options.state); !known) return known.error();
  auto privates = storage::PrivateTables::open(options.state + "/private.db");
  if (!privates) return privates.error();
  auto state = privates->load();
  if (!state) return state.error();
  auto rooms = storage::RoomTables::open(options.state + "/rooms.db");
  if (!rooms) return rooms.error();
  auto savedRooms = rooms->load();
  if (!savedRooms) return savedRooms.error();
  std::unique_ptr<LocalPeer> peer(new LocalPeer(environment, std::move(options),
                                                std::move(*control), std::move(made), *key,
                                                *std::move(privates), *std::move(rooms)));
  if (auto started = peer->start(*std::move(state), *std::move(savedRooms)); !started) {
    return started.error();
  }
  return peer;
}

LocalPeer::LocalPeer(const Environment& environment, PeerOptions options,
                     std::unique_ptr<command::ControlServer> control, MadeFolders made,
                     const InstanceKey& key, storage::PrivateTables privates,
                     storage::RoomTables rooms)
    : environment_(environment),
      options_(std::move(options)),
      control_(std::move(control)),
      made_(std::move(made)),
      id_(options_.id),
      key_(key),
      index_(shareOptions()),
      source_(index_, partialFiles_),
      matcher_(environment_.runtime.network(), index_, partialFiles_),
      server_(source_, {.budget = environment_.runtime.network().budget()}, &rates_.upload),
      downloader_({.stateFolder = options_.state,
                   .timeouts = {},
                   .rate = &rates_.download,
                   .verified = verified(),
                   .chunks = &chunks_}),
      pushDesk_(environment_.runtime.network(), rates_.upload,
                {.work = {options_.downloads, options_.state, verified(), &chunks_},
                 .rate = &rates_.download}),
      active_(environment_.runtime.events()),
      search_(id_, environment_.runtime.network(), environment_.runtime.events(), index_),
      downloads_({options_.downloads, options_.share}, search_, index_, downloader_, partialFiles_,
                 active_),
      transfers_(rates_, active_, server_, pushDesk_),
      pushes_(pushDesk_, index_, environment_.runtime.metaserver(), environment_.topologyStore,
              environment_.runtime.events()),
      share_(id_, index_, environment_.topologyStore),
      status_(options_, environment_.runtime, index_, transfers_, rates_, search_, chunks_),
      privates_(environment_.runtime.network(), environment_.runtime.events(), std::move(privates)),
      rooms_(id_, environment_.runtime, std::move(rooms)),
      feedback_(environment_.runtime),
      pageSource_(services(), environment_.topologyStore, environment_.runtime.events()),
      page_({options_.web, options_.webHost}, web::pageAssets()),
      dispatcher_(commands(), peerNames(services())) {
  rates_.set(options_.rates.upload, options_.rates.download);
}

Result<void> LocalPeer::start(PrivateState privates, RoomViews::Saved rooms) {
  if (auto started = index_.started(); !started) return started;
  if (auto started = pushDesk_.started(); !started) return started;
  if (auto started = matcher_.start(); !started) return started;
  PeerHandler& handler = *this;
  attachment_.emplace(environment_.runtime.network(), handler);
  environment_.runtime.network().post(
      [policy = options_.acceptPush](Peer& peer, TimePoint, Effects&) {
        peer.acceptPushes(policy);
      });
  if (auto started = privates_.start(std::move(privates)); !started) return started;
  if (auto started = rooms_.start(std::move(rooms)); !started) return started;
  control_->onRestored([this] { restoreState(); });
  const auto post = [this](std::function<void()> function) {
    environment_.runtime.network().post(
        [function = std::move(function)](Peer&, TimePoint, Effects&) { function(); });
  };
  if (auto started = page_.start(dispatcher_, pageSource_, post); !started) return started;
  return control_->serve(dispatcher_);
}

LocalPeer::~LocalPeer() {
  endCommands();
}

std::vector<command::Command> LocalPeer::commands() {
  auto commands = peerCommands(services(), {options_.total});
  commands.insert(commands.end() - 1, page_.command());  // `stop` stands last
  return commands;
}

Services LocalPeer::services() {
  return {search_, downloads_, transfers_, pushes_,   share_,           environment_.topology,
          status_, privates_,  rooms_,     feedback_, environment_.stop};
}

share::ShareOptions LocalPeer::shareOptions() const {
  share::ShareOptions share;
  share.root = options_.share;
  share.stateFolder = options_.state;
  share.shareHidden = options_.shareHidden;
  share.onNotice = [](const share::ShareNotice& notice) { log::write(notice.level, notice.text); };
  return share;
}

transfer::VerifiedCallback LocalPeer::verified() {
  return
      [this](const auto& path, const auto& root, auto chunks) { index_.learn(path, root, chunks); };
}

// On the control socket's thread, which ends before the share does.
void LocalPeer::restoreState() {
  if (const auto kept = restoreInstanceKey(options_.state, key_); !kept) {
    log::error("{}", kept.error().message);
  }
  index_.saveAgain();
  privates_.restore();
  rooms_.restore();
}

void LocalPeer::serve(std::unique_ptr<net::ByteStream> stream, const wire::Hello& hello) {
  if (hello.purpose == wire::Purpose::push) {
    pushDesk_.serve(std::move(stream), hello);
  } else {
    server_.serve(std::move(stream), hello);
  }
}

}  // namespace espalier::peer::shell
