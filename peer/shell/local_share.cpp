#include "peer/shell/local_share.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/text.h"
#include "peer/shell/share_change.h"
#include "peer/transfer/shared_list.h"

namespace espalier::peer::shell {
namespace {

using namespace std::chrono_literals;

constexpr auto kPublishPatience = 10s;  // that `share` waits for its files to be hashed

}  // namespace

Result<ShareReport> LocalShare::list(const std::optional<PeerId>& peer, std::stop_token stop) {
  if (peer && *peer != self_.get()) return filesBelow({*peer, {}, false}, "", std::move(stop));
  ShareReport report;
  report.peer = self_.get();
  report.indexing = !index_.progress().ready;  // first: what it adds is listed then
  const auto snapshot = index_.snapshot();
  for (const auto& entry : snapshot->entries()) {
    report.files.push_back({entry->name, entry->stat.sizeBytes, entry->root});
  }
  return report;
}

Result<Endpoint> LocalShare::endpointOf(const PeerId& peer, std::stop_token stop) {
  const auto now = topology_.current(std::move(stop));
  if (!now) return now.error();
  const auto entry =
      std::find_if(now->entries.begin(), now->entries.end(),
                   [&](const wire::TopologyEntry& each) { return each.member.id == peer; });
  if (entry != now->entries.end()) return entry->member.endpoint;
  return Error{ErrorCode::unavailable,
               fmt::format("{} is not in the network", escaped(peer.text()))};
}

Result<ShareReport> LocalShare::filesBelow(const Holder& holder, const std::string& prefix,
                                           std::stop_token stop) {
  Endpoint endpoint = holder.endpoint;
  if (endpoint.empty()) {
    auto known = endpointOf(holder.id, stop);
    if (!known) return known.error();
    endpoint = std::move(*known);
  }
  net::Interrupter interrupter;
  const std::stop_callback onStop(stop, [&] { interrupter.interrupt(); });
  auto listed = transfer::listShared({holder.id, endpoint}, {}, interrupter, prefix);
  if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
  if (!listed) return listed.error();
  ShareReport report{holder.id, {}, listed->indexing, listed->more, std::move(endpoint)};
  report.files.reserve(listed->files.size());
  for (auto& file : listed->files) {
    report.files.push_back({std::move(file.name), file.size, file.root});
  }
  return report;
}

Result<ShareChange> LocalShare::share(const std::string& path, const std::string& typed,
                                      std::stop_token stop) {
  if (auto added = index_.add(path, typed, stop); !added) return added.error();
  const bool published = index_.awaitPublished(kPublishPatience, stop);
  return shareChange(path, *index_.snapshot(), published, stop);
}

Result<ShareChange> LocalShare::unshare(const std::string& path, const std::string& typed,
                                        std::stop_token stop) {
  const auto before = index_.snapshot();
  if (auto removed = index_.remove(path, typed, stop); !removed) return removed.error();
  const bool published = index_.awaitPublished(kPublishPatience, stop);
  const auto after = index_.snapshot();
  const auto gone =
      std::count_if(before->entries().begin(), before->entries().end(),
                    [&](const auto& entry) { return after->find(entry->name) == nullptr; });
  return ShareChange{path, static_cast<std::uint64_t>(gone), !published, {}};
}

}  // namespace espalier::peer::shell
