#include "peer/shell/push_sender.h"

#include <algorithm>
#include <map>
#include <utility>

#include "peer/shell/push_paths.h"
#include "peer/shell/push_report.h"

namespace espalier::peer::shell {
namespace {

using namespace std::chrono_literals;

constexpr auto kMembersLeast = 1s;          // between two questions for the members
constexpr auto kMembersMost = 5s;           // the metaserver may learn of a death after this peer
constexpr std::size_t kMembersKept = 4096;  // beyond so many only the ledger is reported
// Before a peer counts as out of reach for good: one whose link heals elsewhere says so by then. So
// does one that contradicts what others say about it.
constexpr auto kSure = 2s;
// Before a peer is believed of which only another link tells than the one that leads to it. A claim
// that is false is contradicted by then, also across a large network.
constexpr auto kDoubted = 15s;

// Of the ledger, which may be large. A flood of changes is looked at so often at most.
constexpr double kViewsBurst = 64;
constexpr double kViewsPerSecond = 50;

constexpr EventKinds kMembersMayDiffer = kindsOf<MembersChanged, MetaserverBack, Missed>();

// Whether nothing that is known now may turn out differently.
bool isSure(const PushReport& report) {
  const bool lost = std::any_of(report.peers.begin(), report.peers.end(), [](const auto& peer) {
    return peer.state == PushedPeer::State::outOfReach;
  });
  return !lost && report.doubted.empty() && !report.peers.empty() && report.others == 0u;
}

// Peers that are doubted, and since when.
class Doubts {
 public:
  std::set<PeerId> believed(TimePoint now) const {
    std::set<PeerId> believed;
    for (const auto& [id, begun] : since_) {
      if (now >= begun + kDoubted) believed.insert(id);
    }
    return believed;
  }
  void update(const PushReport& report, const std::set<PeerId>& believed, TimePoint now) {
    const auto before = std::exchange(since_, {});
    const auto keep = [&](const PeerId& id) {
      const auto known = before.find(id);
      since_[id] = known == before.end() ? now : known->second;
    };
    std::for_each(report.doubted.begin(), report.doubted.end(), keep);
    std::for_each(believed.begin(), believed.end(), keep);
  }
  // When another one is believed.
  TimePoint next(TimePoint now) const {
    TimePoint next = kNever;
    for (const auto& [id, begun] : since_) {
      if (begun + kDoubted > now) next = std::min(next, begun + kDoubted);
    }
    return next;
  }

 private:
  std::map<PeerId, TimePoint> since_;
};

}  // namespace

PushSender::KnownMembers PushSender::membersKnown(const PeerId& self, const std::stop_token& stop) {
  KnownMembers known;
  const auto members = metaserver_.members(stop);
  if (!members) return known;
  known.count = members->count;
  if (members->count > kMembersKept) return known;
  const auto now = topology_.fetch(stop);
  if (!now) return {};
  known.ids.emplace();
  for (const auto& entry : now->entries) known.ids->push_back(entry.member.id);
  known.ways = pushWays(now->entries, self);
  return known;
}

PushReport PushSender::reportOf(const Pushes::View& view, const KnownMembers& members,
                                const std::set<PeerId>& believed) {
  auto report = pushReport(view, members.ids, view.mine ? members.ways : PushWays(), believed);
  if (!view.offer.to.empty() || members.ids) return report;
  const std::uint64_t told = report.peers.size() + 1;  // and the sender
  report.others = members.count;
  if (report.others) report.others = *report.others > told ? *report.others - told : 0;
  return report;
}

Result<PushId> PushSender::start(const PushRequest& request, const std::stop_token& stop,
                                 const OnHashed& onHashed) {
  const auto paths = pushPaths(request.paths, request.names, *index_.snapshot());
  if (!paths) return paths.error();
  auto prepared = transfer::preparePush(*paths, stop, [&](std::uint64_t bytes) {
    if (onHashed) onHashed({"hashing", bytes, 0, command::Unit::bytes});
  });
  if (!prepared) return prepared.error();
  return desk_.start(std::move(*prepared), request.to);
}

// Returns when every peer is served, or when `stop` asks for the end.
Result<PushReport> PushSender::follow(const PushId& id, bool wait, const std::stop_token& stop,
                                      const OnPush& onChange, TimePoint begun) {
  EventBus::Subscription events(
      events_, kindsOf<PushChanged, MembersChanged, MetaserverLost, MetaserverBack>());
  PushReport report;
  KnownMembers members;
  Doubts doubts;
  TimePoint asked = TimePoint::min();  // for the members
  TimePoint askAt = begun;
  TimePoint changed = begun;  // the state of a peer, last
  double views = 0;
  while (true) {
    if (Clock::now() >= askAt && !stop.stop_requested()) {
      const auto own = desk_.view(id);
      members = membersKnown(own ? own->offer.sender.id : PeerId(), stop);
      asked = Clock::now();
      askAt = asked + kMembersMost;
    }
    ++views;
    const auto view = desk_.view(id);
    if (!view) return Error{ErrorCode::interrupted, "this peer is stopping"};
    const auto believed = doubts.believed(Clock::now());
    auto now = reportOf(*view, members, believed);
    doubts.update(now, believed, Clock::now());
    now.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    if (now.peers != report.peers) {
      changed = Clock::now();
      if (onChange) onChange(now);
    }
    report = std::move(now);
    if (stop.stop_requested()) return report;
    TimePoint until = std::min(askAt, doubts.next(Clock::now()));
    if (isComplete(report, wait)) {
      if (isSure(report) || Clock::now() - changed >= kSure) return report;
      until = std::min(until, changed + kSure);
    }
    const auto awaitEvent = [&](TimePoint end) {
      const auto event = events.next(stop, end);
      const bool membersMayDiffer =
          event && (kMembersMayDiffer & (EventKinds{1} << event->index())) != 0;
      if (membersMayDiffer) askAt = std::min(askAt, asked + kMembersLeast);
    };
    awaitEvent(until);
    const std::chrono::duration<double> earned((views - kViewsBurst) / kViewsPerSecond);
    const TimePoint viewAt = begun + std::chrono::duration_cast<Duration>(earned);
    while (Clock::now() < viewAt && !stop.stop_requested()) awaitEvent(viewAt);
  }
}

Result<PushReport> PushSender::push(const PushRequest& request, std::stop_token stop,
                                    const OnPush& onChange, const OnHashed& onHashed) {
  const TimePoint begun = Clock::now();
  const auto id = start(request, stop, onHashed);
  if (!id) return id.error();
  auto report = follow(*id, request.wait, stop, onChange, begun);
  if (!report) return report;
  report->interrupted = stop.stop_requested() && !isComplete(*report, request.wait);
  const bool another = std::any_of(report->peers.begin(), report->peers.end(), [](const auto& p) {
    return p.state == PushedPeer::State::verified;
  });
  report->goesOn = report->interrupted && another;
  report->over = !report->goesOn;
  if (report->over) {
    desk_.finish(*id, report->interrupted ? wire::PushEnd::cancelled : wire::PushEnd::closed);
  }
  return report;
}

Result<std::vector<PushReport>> PushSender::pushes(std::stop_token stop) {
  std::vector<Pushes::View> views;
  PeerId self;
  for (const auto& id : desk_.ids()) {
    auto view = desk_.view(id);
    if (!view) continue;
    if (view->mine) self = view->offer.sender.id;
    views.push_back(*std::move(view));
  }
  std::vector<PushReport> reports;
  const auto members = views.empty() ? KnownMembers() : membersKnown(self, stop);
  for (const auto& view : views) reports.push_back(reportOf(view, members));
  return reports;
}

}  // namespace espalier::peer::shell
