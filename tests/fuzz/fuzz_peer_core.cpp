// All of a peer's core as a machine of states: a peer that has joined, an honest child, and liars
// that send valid messages over several connections, some of which the peer has dialled, with
// closes and the passage of time between them. In some runs the metaserver lies, too, or is gone.
// The lies of a run are about the tree, searches, pushes, or all of these.
//
// After each step the tables have their bounds, what the peer sends are valid messages of a bounded
// number, and its label has not become worse while peers hang below. No endpoint is dialled more
// often than the budget allows. Searches of the peer end, find the file of the honest child, and
// attribute nothing else to it. What the child says about its part in a push stays.
#include <algorithm>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/budget.h"
#include "common/base/limits.h"
#include "common/wire/link_codec.h"
#include "common/wire/registry_codec.h"
#include "peer/core/peer.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/contact_of.h"
#include "tests/support/lies.h"

using namespace espalier;
using namespace std::chrono_literals;

namespace {

constexpr int kMostSteps = 200;
constexpr std::size_t kLiars = 4;
constexpr std::size_t kMostSends = 1024;  // caused by one event
constexpr std::size_t kMostDials = 8;     // the same
constexpr std::size_t kMostRedials = 24;  // of one endpoint in a second
constexpr ConnectionId kChild{100};
const Endpoint kMetaserver{"10.0.0.9", 5000};

enum class Family { all, tree, searches, pushes };
enum class Metaserver { honest, lies, gone };

FileRoot rootOf(std::uint8_t number) {
  FileRoot root;
  root.bytes.fill(number);
  return root;
}

class Machine {
 public:
  explicit Machine(fuzz::Choices& choices)
      : choices_(choices),
        lies_(facts_, [&](std::uint64_t bound) { return choices.below(bound); }),
        self_(fuzz::contactOf("s3", 3)),
        child_(fuzz::contactOf("s4", 4)) {
    family_ = static_cast<Family>(choices.below(4));
    metaserver_ = static_cast<Metaserver>(choices.below(3));
    facts_.network.bytes[0] = 7;
    facts_.self = fuzz::contactOf("liar", 2);
    facts_.members = {fuzz::contactOf("s1", 1), facts_.self, self_, child_};
    peer::Membership::Options options;
    options.metaservers = {kMetaserver};
    core_.emplace(options, random_, budget_, now_);
    using From = peer::PushPolicy::From;
    core_->acceptPushes({choices.oneIn(2) ? From::all : From::none, {}, 1'000'000});
    join();
    attach(kChild, {facts_.network, child_, {}, 1, childsSecret()});
    attach(slots_[0], {facts_.network, fuzz::contactOf("x1", 9), {}, 1, {}});
    if (metaserver_ == Metaserver::gone) step([&](auto& fx) { core_->closed(session_, now_, fx); });
  }

  void run() {
    for (int i = 0; i < kMostSteps && !choices_.empty(); ++i) act();
    pass(70s);
    fuzz::require(asked_.empty(), "every search ends");
  }

 private:
  // --- the network around the peer

  void join() {
    InstanceKey key;
    key.bytes.fill(1);
    step([&](auto& fx) { core_->join(self_.id, key, "P2P", now_, fx); });
    const auto session = core_->membership().session().connection();
    fuzz::require(session.has_value(), "it dials the metaserver");
    session_ = *session;
    step([&](auto& fx) { core_->opened(session_, "10.0.0.1", now_, fx); });
    opened_.insert(session_);
    wire::Admitted admitted;
    admitted.network = facts_.network;
    admitted.self = self_;
    admitted.maxLinks = 3 + static_cast<unsigned>(choices_.below(4));
    admitted.referral.kind = wire::Referral::Kind::root;
    const bool below = choices_.oneIn(2);
    if (below) admitted.referral = {wire::Referral::Kind::below, facts_.self};
    reply(admitted);
    step([&](auto& fx) { core_->listening(self_.endpoint, now_, fx); });
    if (!below) return;
    fuzz::require(!dialled_.empty(), "it dials its parent");
    wire::Accepted accepted{facts_.self, {5, 0}, 4, {facts_.self, {}, {}}};
    send(*dialled_.begin(), accepted);
  }

  static wire::LinkSecret childsSecret() {
    wire::LinkSecret secret;
    secret.bytes.fill(9);
    return secret;
  }

  void attach(ConnectionId connection, const wire::Attach& attach) {
    step([&](auto& fx) {
      core_->received(connection, wire::LinkMessage(attach), now_, fx, hostOf(connection));
    });
  }

  static const char* hostOf(ConnectionId connection) {
    if (connection == kChild) return "10.0.0.1";
    return number(connection) % 4 == 0 ? "10.0.0.2" : "10.0.0.3";
  }

  bool hasChild() const { return core_->tree() != nullptr && core_->tree()->owns(kChild); }

  // A new connection in place of one that has ended.
  void replace(ConnectionId ended) {
    dialled_.erase(ended);
    for (auto& slot : slots_) {
      if (slot == ended) slot = ConnectionId{lastSlot_ += 2};
    }
  }

  // --- what happens

  void act() {
    learn();
    const auto liar = liarsConnection();
    switch (choices_.below(16)) {
      case 0:
        return pass(choices_.oneIn(4) ? Duration(1s * choices_.below(20)) : Duration(20ms));
      case 1:
        step([&](auto& fx) { core_->closed(liar, now_, fx); });
        return replace(liar);
      case 2:
        return choices_.oneIn(2) ? find() : push();
      case 3:
        if (metaserver_ != Metaserver::lies) return;
        return choices_.oneIn(2) ? elsewhere() : reply(lies_.fromRegistry());
      case 4:
        return choices_.oneIn(2) ? core_->congested(liar) : core_->drained(liar);
      case 5:
        return report();
      case 6:
        return send(liar, lies_.attach());
      case 7:
        return send(liar, lies_.answerToAttach());
      default:
        return send(liar, lie());
    }
  }

  wire::LinkMessage lie() {
    switch (family_) {
      case Family::all:
        break;
      case Family::tree:
        if (choices_.oneIn(2)) return lies_.heartbeat();
        return lies_.gossip();
      case Family::searches:
        if (choices_.oneIn(4)) return lies_.query();
        return lies_.answer();
      case Family::pushes:
        return lies_.ofPushes();
    }
    return lies_.any();
  }

  // One that a liar has dialled, or one that the peer has: then the other end is a liar.
  ConnectionId liarsConnection() {
    if (!dialled_.empty() && choices_.oneIn(2)) {
      auto at = dialled_.begin();
      std::advance(at, static_cast<std::ptrdiff_t>(choices_.below(dialled_.size())));
      return *at;
    }
    return slots_[choices_.below(kLiars)];
  }

  // What happens at the metaserver that was dialled last: a lie may have sent this peer there.
  void elsewhere() {
    const auto there = lastRegistry_;
    if (!core_->owns(there)) return;
    switch (choices_.below(4)) {
      case 0:
        return step([&](auto& fx) {
          core_->failed(there, {ErrorCode::unavailable, "no"}, now_, fx);
        });
      case 1: {
        // The shell says this once for each connection.
        if (!opened_.insert(there).second) return;
        const auto network = choices_.oneIn(4) ? wire::NetworkId() : facts_.network;
        return step([&](auto& fx) { core_->opened(there, "10.0.0.1", now_, fx, network); });
      }
      case 2: {
        if (!opened_.contains(there)) return;
        wire::Admitted admitted;
        admitted.network = facts_.network;
        admitted.self = self_;
        admitted.maxLinks = 3;
        return step([&](auto& fx) { core_->received(there, admitted, now_, fx); });
      }
      default: {
        if (!opened_.contains(there)) return;
        const auto lie = wire::decodeRegistryReply(wire::encode(lies_.fromRegistry()));
        if (lie) step([&](auto& fx) { core_->received(there, *lie, now_, fx); });
      }
    }
  }

  // A liar that listens for long enough knows all this.
  void learn() {
    const auto* tree = core_->tree();
    if (tree != nullptr) facts_.label = tree->label();
    if (core_->pushes() == nullptr) return;
    facts_.pushes.clear();
    for (const auto& id : core_->pushes()->ids()) {
      facts_.pushes.push_back(core_->pushes()->view(id)->offer);
    }
  }

  void send(ConnectionId from, const wire::LinkMessage& message) {
    const auto sent = wire::decodeLink(wire::encode(message));
    if (!sent) return;  // no message of this form arrives
    step([&](auto& fx) { core_->received(from, *sent, now_, fx, hostOf(from)); });
  }

  void reply(const wire::RegistryReply& reply) {
    const auto sent = wire::decodeRegistryReply(wire::encode(reply));
    const auto session = core_->membership().session().connection();
    if (!sent || !session || !core_->membership().greeted()) return;
    step([&](auto& fx) { core_->received(*session, *sent, now_, fx); });
  }

  void find() {
    if (core_->searches() == nullptr) return;
    step([&](auto& fx) {
      const auto id = core_->searches()->ask(PatternKind::substring, "file",
                                             core_->membership().countMembers(), now_, fx);
      if (!id) return;
      asked_[*id] = childsLinks_;
      facts_.queries.push_back(*id);
    });
  }

  void push() {
    if (core_->pushes() == nullptr) return;
    step([&](auto& fx) {
      (void)core_->pushes()->start({{"mine", 1000, rootOf(5)}}, {}, now_, fx);
    });
  }

  // What became of the taking of a push.
  void report() {
    if (jobs_.empty()) return;
    const auto job = jobs_[choices_.below(jobs_.size())];
    auto& pushes = *core_->pushes();
    switch (choices_.below(8)) {
      case 0:
        completed_.insert(job.id);
        return step([&](auto& fx) { pushes.completed(job.id, now_, fx); });
      case 1:
        return step([&](auto& fx) { pushes.failedHere(job.id, "the disk is full", now_, fx); });
      case 2:
      case 3:
        return pushes.progressed(job.id, now_);
      default: {
        const auto trouble = static_cast<peer::PushTrouble>(choices_.below(3));
        return step([&](auto& fx) {
          pushes.sourceFailed(job.id, job.stripe, job.source.id, trouble, now_, fx);
        });
      }
    }
  }

  // Time passes. The honest child sends its heartbeats.
  void pass(Duration duration) {
    constexpr int kMostTicks = 1000;  // at one time
    const TimePoint end = now_ + duration;
    while (now_ < end) {
      now_ = std::min<TimePoint>(end, now_ + 500ms);
      if (hasChild()) send(kChild, wire::Heartbeat{core_->tree()->label(), 1});
      for (int ticks = 0; core_->deadline() <= now_; ++ticks) {
        fuzz::require(ticks < kMostTicks, "time goes on");
        step([&](auto& fx) { core_->tick(now_, fx); });
      }
    }
  }

  // --- a step, and what must hold after it

  void step(const std::function<void(peer::Effects&)>& event) {
    const auto* tree = core_->tree();
    const auto label = tree == nullptr ? wire::Label() : tree->label();
    const auto children = tree == nullptr ? std::set<ConnectionId>() : childrenOf(*tree);
    peer::Effects fx;
    event(fx);
    core_->endStep(now_, fx);
    checkLabel(label, children);
    checkEffects(fx);
    checkTables();
    if (!hasChild()) {
      ++childsLinks_;
      settled_.clear();
    }
    answer(fx);
  }

  static std::set<ConnectionId> childrenOf(const peer::Tree& tree) {
    std::set<ConnectionId> children;
    for (const auto& child : tree.children()) children.insert(child.connection);
    return children;
  }

  void checkLabel(const wire::Label& before, const std::set<ConnectionId>& children) const {
    const auto* tree = core_->tree();
    if (tree == nullptr) return;
    for (const auto& child : tree->children()) {
      fuzz::require(!children.contains(child.connection) || !before.betterThan(tree->label()),
                    "a label never gets worse while peers hang below");
    }
  }

  void checkEffects(const peer::Effects& fx) {
    fuzz::require(fx.sends.size() < kMostSends, "one event causes a bounded number of messages");
    fuzz::require(fx.dials.size() < kMostDials, "and of dials");
    for (const auto& dial : fx.dials) {
      if (dial.purpose == wire::Purpose::registry) lastRegistry_ = dial.connection;
      if (dial.purpose != wire::Purpose::link) continue;
      dialled_.insert(dial.connection);
      checkDial(dial.to);
    }
    for (const auto& send : fx.sends) {
      if (const auto* onLink = std::get_if<wire::LinkMessage>(&send.message)) {
        const auto bytes = wire::encode(*onLink);
        fuzz::require(bytes.size() <= limits::kFrameBytes, "a message fits a frame");
        fuzz::require(wire::decodeLink(bytes).ok(), "a message is valid");
      } else {
        const auto bytes = wire::encode(std::get<wire::RegistryRequest>(send.message));
        fuzz::require(wire::decodeRegistryRequest(bytes).ok(), "a request is valid");
      }
    }
    for (const auto& close : fx.closes) replace(close.connection);
  }

  void checkDial(const Endpoint& to) {
    auto& times = dials_[to];
    times.push_back(now_);
    while (times.front() + 1s <= now_) times.pop_front();
    fuzz::require(times.size() <= kMostRedials, "no endpoint is dialled without end");
  }

  void checkTables() {
    const auto* tree = core_->tree();
    if (tree == nullptr) return;
    fuzz::require(tree->links() <= tree->maxLinks(), "no more links than allowed");
    std::set<PeerId> ids;
    for (const auto& neighbour : tree->neighbours()) {
      fuzz::require(ids.insert(neighbour.contact.id).second, "no peer is linked twice");
    }
    fuzz::require(!ids.contains(tree->self().id), "nor to itself");
    fuzz::require(core_->membership().known().size() <= 2 * limits::kKnownContacts,
                  "the known contacts are bounded");
    if (core_->searches() == nullptr) return;
    fuzz::require(core_->searches()->openCount() <= limits::kOpenQueries, "the searches are");
    fuzz::require(core_->pushes()->size() <= limits::kPushes, "and the pushes");
    for (const auto& id : core_->pushes()->ids()) checkPush(id, *core_->pushes()->view(id));
  }

  void checkPush(const PushId& id, const peer::Pushes::View& view) {
    fuzz::require(view.ledger.size() <= limits::kLedgerEntries, "a ledger is bounded");
    const auto own = view.ledger.find(self_.id);
    const bool verified = own && own->state() == wire::PushState::verified;
    const bool isSender = view.mine || view.offer.sender.id == self_.id;
    fuzz::require(!verified || isSender || completed_.contains(id),
                  "nobody else says that this peer has a push");
    // Until the metaserver knows the link, the child may be anybody under that id.
    const auto& children = core_->tree()->children();
    if (std::none_of(children.begin(), children.end(), [&](const auto& each) {
          return each.contact.id == child_.id && each.isConfirmed;
        })) {
      settled_.erase(id);
      return;
    }
    const auto childs = view.ledger.find(child_.id);
    const bool declined = childs && childs->state() == wire::PushState::declined;
    if (declined) settled_.insert(id);
    fuzz::require(declined || !settled_.contains(id), "nobody else says what the child does");
  }

  // --- the share of the peer, its metaserver, and the honest child answer

  void answer(const peer::Effects& fx) {
    for (const auto& update : fx.searchUpdates) {
      if (update.result) judge(*update.result);
    }
    for (const auto& job : fx.pushJobs) {
      if (const auto* take = std::get_if<peer::PushTakeFrom>(&job)) jobs_.push_back(*take);
    }
    while (jobs_.size() > 8) jobs_.pop_front();
    for (const auto& job : fx.jobs) {
      step([&](auto& inner) {
        std::vector<peer::LocalHit> hits{{"file of s3", 1, rootOf(4)}};
        core_->searches()->matched(job.id, std::move(hits), 0, false, now_, inner);
      });
    }
    for (const auto& send : fx.sends) {
      if (const auto* request = std::get_if<wire::RegistryRequest>(&send.message)) {
        answerAsMetaserver(*request);
      } else if (send.to == kChild && hasChild()) {
        answerAsChild(std::get<wire::LinkMessage>(send.message));
      }
    }
  }

  void answerAsMetaserver(const wire::RegistryRequest& request) {
    if (metaserver_ == Metaserver::gone) return;
    if (std::holds_alternative<wire::RegistryHeartbeat>(request)) {
      return reply(wire::RegistryHeartbeatReply());
    }
    if (metaserver_ == Metaserver::lies) return;
    if (const auto* members = std::get_if<wire::MembersRequest>(&request)) {
      reply(wire::Members{4, JoinOrder{4}, members->number});
    } else if (const auto* links = std::get_if<wire::Links>(&request)) {
      if (links->number != 0) reply(wire::Strangers{links->number, {*PeerId::parse("x1")}, {}});
    }
  }

  void answerAsChild(const wire::LinkMessage& message) {
    if (const auto* query = std::get_if<wire::Query>(&message)) {
      wire::Answer answer;
      answer.id = query->id;
      answer.hits = {{"file of s4", 1, rootOf(8), child_.id, child_.endpoint, false}};
      answer.coverage = {{number(child_.order), number(child_.order)}};
      answer.done = true;
      told_.insert(query->id);
      return send(kChild, answer);
    }
    std::optional<PushId> id;
    std::uint32_t version = 1;
    if (const auto* offer = std::get_if<wire::PushOffer>(&message)) {
      id = offer->id;
    } else if (const auto* ledger = std::get_if<wire::PushLedger>(&message)) {
      // Somebody lies about it: it contradicts.
      for (const auto& entry : ledger->entries) {
        if (entry.peer.id != child_.id || entry == childsEntry(entry.version)) continue;
        if (entry.version >= limits::kLedgerVersion) continue;
        id = ledger->id;
        version = entry.version + 1;
      }
    }
    if (id) send(kChild, wire::PushLedger{*id, wire::PushEnd::open, {childsEntry(version)}});
  }

  wire::PushEntry childsEntry(std::uint32_t version) const {
    wire::PushEntry entry;
    entry.version = version;
    entry.state = wire::PushState::declined;
    entry.peer = child_;
    entry.via = self_.id;
    entry.reason = "it wants none";
    return entry;
  }

  void judge(const peer::SearchResult& result) {
    const auto asked = asked_.find(result.id);
    fuzz::require(asked != asked_.end(), "a result is of a search that was asked");
    const bool wasLinked = hasChild() && asked->second == childsLinks_;
    asked_.erase(asked);
    fuzz::require(result.searched <= result.members, "nobody is counted twice");
    bool found = false;
    for (const auto& file : result.files) {
      for (const auto& holder : file.holders) {
        if (holder.id == self_.id) {
          fuzz::require(file.name == "file of s3" && file.root == rootOf(4),
                        "a peer believes nobody about its own share");
        }
        if (holder.id != child_.id) continue;
        const bool isIts = file.name == "file of s4" && file.root == rootOf(8) &&
                           file.sizeBytes == 1 && holder.endpoint == child_.endpoint;
        found = found || isIts;
        // A neighbour alone answers for its id once the metaserver has confirmed the link.
        const bool mayLie = !wasLinked || metaserver_ != Metaserver::honest;
        fuzz::require(isIts || mayLie, "nor about that of a neighbour");
      }
    }
    const bool counted = result.moreOf.contains(child_.id);
    fuzz::require(found || counted || !told_.contains(result.id), "the child's file is found");
  }

  fuzz::Choices& choices_;
  test::Facts facts_;
  test::Lies lies_;
  const wire::Contact self_;
  const wire::Contact child_;
  Family family_{};
  Metaserver metaserver_{};
  Random random_{1};
  Budget budget_;
  TimePoint now_{1000s};
  std::optional<peer::Peer> core_;
  ConnectionId session_{};
  ConnectionId lastRegistry_{};
  std::set<ConnectionId> opened_;  // of metaservers
  ConnectionId slots_[kLiars]{ConnectionId{2}, ConnectionId{4}, ConnectionId{6}, ConnectionId{8}};
  std::uint64_t lastSlot_ = 1000;
  std::set<ConnectionId> dialled_;                   // links on the way; the other ends are liars
  std::map<Endpoint, std::deque<TimePoint>> dials_;  // in the last second
  std::deque<peer::PushTakeFrom> jobs_;
  std::set<PushId> completed_;
  std::uint64_t childsLinks_ = 0;           // how often the child was found without a link
  std::map<QueryId, std::uint64_t> asked_;  // with childsLinks_ then
  std::set<QueryId> told_;                  // the searches that the child has answered
  std::set<PushId> settled_;                // pushes that the child is known to decline
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(fuzz::view(data, size));
  Machine(choices).run();
  return 0;
}
