// The part of Node that pushes.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "peer/shell/node.h"
#include "peer/shell/push_paths.h"
#include "peer/shell/push_report.h"

namespace espalier::peer::shell {
namespace {

using namespace std::chrono_literals;

constexpr auto kLook = 250ms;               // at the ledger: as often as it changes
constexpr auto kMembersAge = 1s;            // how old the snapshot of the network may be
constexpr std::size_t kMembersKept = 4096;  // beyond so many the ledger alone must do
// Before somebody counts as out of reach for good: a peer whose link heals elsewhere says so.
constexpr auto kSure = 2s;

}  // namespace

Node::KnownMembers Node::membersKnown(std::stop_token stop) {
  KnownMembers known;
  const auto members = membersNow(stop);
  if (!members) return known;
  known.count = members->count;
  if (members->count > kMembersKept) return known;
  const auto now = fetchTopology(stop);
  if (!now) return {};
  known.ids.emplace();
  for (const auto& entry : now->entries) known.ids->push_back(entry.member.id);
  return known;
}

PushReport Node::reportOf(const Pushes::View& view, const KnownMembers& members) const {
  auto report = pushReport(view, members.ids);
  if (!view.offer.to.empty() || members.ids) return report;
  const std::uint64_t told = report.peers.size() + 1;  // and the sender
  report.others = members.count;
  if (report.others) report.others = *report.others > told ? *report.others - told : 0;
  return report;
}

Result<PushReport> Node::push(const PushRequest& request, std::stop_token stop,
                              const OnPush& onChange, const OnHashed& onHashed) {
  const TimePoint begun = Clock::now();
  const auto paths = pushPaths(request.paths, request.names, *index_->snapshot());
  if (!paths) return paths.error();
  auto prepared = transfer::preparePush(*paths, stop, [&](std::uint64_t bytes) {
    if (onHashed) onHashed({"hashing", bytes, 0, command::Unit::bytes});
  });
  if (!prepared) return prepared.error();
  const auto id = desk_.start(std::move(*prepared), request.to);
  if (!id) return id.error();

  PushReport report;
  std::uint64_t seen = 0;
  KnownMembers members;
  TimePoint askMembers{};
  TimePoint changed = begun;  // when a peer's state did last
  while (true) {
    if (Clock::now() >= askMembers && !stop.stop_requested()) {
      members = membersKnown(stop);
      askMembers = Clock::now() + kMembersAge;
    }
    const auto view = desk_.view(*id);
    if (!view) return Error{ErrorCode::interrupted, "this peer is stopping"};
    auto now = reportOf(*view, members);
    now.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    if (now.peers != report.peers) {
      changed = Clock::now();
      if (onChange) onChange(now);
    }
    report = std::move(now);
    if (stop.stop_requested()) break;
    const bool reached = std::none_of(report.peers.begin(), report.peers.end(), [](const auto& p) {
      return p.state == PushedPeer::State::outOfReach;
    });
    if (isComplete(report, request.wait)) {
      // Nobody at all, or somebody lost, may yet turn out differently.
      const bool sure = reached && !report.peers.empty() && report.others == 0u;
      if (sure || Clock::now() - changed >= kSure) break;
    }
    seen = desk_.await(*id, seen, stop, kLook);
  }
  report.interrupted = stop.stop_requested() && !isComplete(report, request.wait);
  const bool another = std::any_of(report.peers.begin(), report.peers.end(), [](const auto& p) {
    return p.state == PushedPeer::State::verified;
  });
  report.goesOn = report.interrupted && another;
  if (!report.goesOn) {
    desk_.finish(*id, report.interrupted ? wire::PushEnd::cancelled : wire::PushEnd::closed);
  }
  report.over = !report.goesOn;
  return report;
}

Result<std::vector<PushReport>> Node::pushes(std::stop_token stop) {
  std::vector<PushReport> reports;
  const auto ids = desk_.ids();
  const auto members = ids.empty() ? KnownMembers() : membersKnown(stop);
  for (const auto& id : ids) {
    if (const auto view = desk_.view(id)) reports.push_back(reportOf(*view, members));
  }
  return reports;
}

}  // namespace espalier::peer::shell
