// The part of Server that reads and writes its state folder: the state file, the secret, what it
// has promised, and the database of the directory.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/base/text.h"
#include "metaserver/shell/server.h"

namespace espalier::metaserver::shell {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kLostWritten = 4096;  // copied at once under the coordinator's mutex
constexpr auto kKeepAgain = 1s;

}  // namespace

Result<State> Server::readState() const {
  auto state = loadState(statePath());
  if (!state) return state.error();
  if (*state) return **std::move(state);
  State fresh;
  fresh.network = randomFromKernel<wire::NetworkId>();
  return fresh;
}

// Whatever is wrong with the file, the configuration is to be changed.
Result<std::string> Server::readSecret() const {
  const std::string& path = options_.clusterSecretFile;
  if (path.empty()) return std::string();
  const auto wrong = [](const std::string& why) {
    return Error{ErrorCode::configuration, "--cluster-secret-file: " + why};
  };
  struct stat found {};
  if (::stat(path.c_str(), &found) == 0 && S_ISREG(found.st_mode) && (found.st_mode & 077) != 0) {
    return wrong(fmt::format("{0} can be read by others: chmod 600 {0}", escaped(path)));
  }
  auto text = readFile(path, limits::kClusterSecretBytes);
  if (!text) return wrong(text.error().message);
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  if (text->size() >= limits::kClusterSecretLeastBytes) return text;
  return wrong(fmt::format("the secret in {} is too short: at least {} bytes", escaped(path),
                           limits::kClusterSecretLeastBytes));
}

void Server::restoreState() {
  keeper_->wake();
  // Until then the writer has nothing to write.
  const bool unchanged =
      coordinator_.with([](auto& coordinator) { return coordinator->moment().awaiting; });
  if (!unchanged) return writer_->writeAgain();
  if (const auto written = writeOpened(); !written) log::error("{}", written.error().message);
}

std::optional<FilesSnapshot> Server::snapshot(std::uint64_t newerThan) {
  return follower_.with([&](RegistryFollower& follower) -> std::optional<FilesSnapshot> {
    const auto now = follower.catchUp(coordinator_);
    if (now.awaiting || now.version <= newerThan) return std::nullopt;
    auto lost =
        coordinator_.with([](auto& coordinator) { return coordinator->lostLately(kLostWritten); });
    return FilesSnapshot{now.version,
                         follower.copy().lines(),
                         {now.network, now.nextOrder, follower.copy().remembered(std::move(lost))}};
  });
}

Result<void> Server::writeOpened() {
  return replaceFile(statePath(), formatState(opened_), Durability::durable, kPrivate);
}

// A single metaserver has promised nothing until another one links.
Result<void> Server::openPromises() {
  const std::string path = options_.state + "/promises.db";
  promises_ = std::make_unique<storage::PromisesDatabase>(path);
  const bool isOfCluster = links_->hasAddresses() || options_.hasFilesByPort() || options_.entry ||
                           !options_.coordination.isBuiltIn();
  if (!isOfCluster && ::access(path.c_str(), F_OK) != 0) {
    kept_.number = storage::drawServerNumber();
    promises_.reset();
    return {};
  }
  auto kept = promises_->load();
  if (!kept) return kept.error();
  kept_ = *kept;
  return {};
}

// A full disk must not stop a network: this metaserver goes on, but as soon as another one can
// decide, it does.
void Server::keep(const cluster::Durable& durable) {
  kept_.epoch = durable.epoch;
  kept_.reserved = durable.ordersUpTo;
  kept_.network = durable.network;
  keepAgain();
}

void Server::keepAgain() {
  Result<void> kept;
  if (!promises_) {  // it was a single one until now
    promises_ = std::make_unique<storage::PromisesDatabase>(options_.state + "/promises.db");
    if (auto made = promises_->load(); !made) kept = made.error();
    if (kept) openDatabase();
  }
  if (kept) kept = promises_->save(kept_);
  keepAgainAt_ = kept ? kNever : Clock::now() + kKeepAgain;
  if (kept.ok() == std::exchange(isKeeping_, kept.ok())) return;
  if (kept) {
    log::info("what this metaserver promises is durable again");
  } else {
    log::error("{}: another metaserver is to decide", kept.error().message);
  }
  tellUnfit();
}

void Server::openDatabase() {
  database_ = std::make_unique<storage::DirectoryDatabase>(
      options_.state + "/directory.db", [this](bool all) { return directoryBatch(all); });
  if (auto started = database_->start(); !started) log::error("{}", started.error().message);
}

std::optional<storage::DirectoryBatch> Server::directoryBatch(bool all) {
  storage::DirectoryBatch batch;
  const auto rows = coordinator_.with([](auto& coordinator) { return coordinator->servers(); });
  for (const auto& row : rows) {
    storage::DirectoryServer server;
    server.name = row.state.name;
    server.number = row.state.number;
    server.address = row.state.address;
    server.serverPort = row.state.serverPort != 0 ? row.state.serverPort : row.state.address.port;
    server.isMaster = row.isMaster;
    server.started = row.state.started;
    batch.servers.push_back(std::move(server));
  }
  batch.members = follower_.with([&](RegistryFollower& follower) {
    follower.catchUp(coordinator_);
    return follower.takeForDatabase(all);
  });
  const bool isEmpty = !batch.members.fromScratch && batch.members.gone.empty() &&
                       batch.members.rows.empty() && batch.servers == written_;
  if (isEmpty) return std::nullopt;
  written_ = batch.servers;
  return batch;
}

}  // namespace espalier::metaserver::shell
