// The registry as a machine of states: two honest members that are linked, and liars that send
// valid requests over several connections, from several addresses, in any order, with closes,
// probes and the passage of time between them. After each step its invariants hold, its answers are
// valid messages and repeat the numbers of requests, and the honest members are what they were. A
// copy that was updated page by page equals the registry. At last an honest member loses its
// connection, and comes back as it was.
#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/budget.h"
#include "common/base/limits.h"
#include "common/wire/registry_codec.h"
#include "metaserver/core/registry.h"
#include "metaserver/core/registry_copy.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/contact_of.h"
#include "tests/support/lies.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace std::chrono_literals;

namespace {

constexpr int kMostSteps = 200;
constexpr std::uint64_t kLiars = 6;
constexpr std::size_t kMostAnswers = 64;  // to one request: each peer has only a few neighbours
constexpr std::size_t kWhole = 10'000;    // more members than there are
constexpr const char* kHosts[] = {"10.0.0.2", "10.0.0.3", "10.0.0.1", "127.0.0.1"};

// A member that does what it should.
struct Honest {
  ConnectionId connection;
  wire::Contact contact;
  InstanceKey key;
  wire::Links links;
  bool joined = false;
};

InstanceKey keyOf(std::uint8_t number) {
  InstanceKey key;
  key.bytes.fill(number);
  return key;
}

class Machine {
 public:
  explicit Machine(fuzz::Choices& choices)
      : choices_(choices),
        lies_(facts_, [&](std::uint64_t bound) { return choices.below(bound); }) {
    Registry::Options options;
    options.network.bytes[0] = 7;
    options.maxLinks = 2 + static_cast<unsigned>(choices.below(3));
    options.placement = static_cast<topo::Rule>(choices.below(3));
    facts_.network = options.network;
    facts_.self = fuzz::contactOf("liar", 3);
    facts_.members = {fuzz::contactOf("s1", 1), fuzz::contactOf("s2", 2), facts_.self,
                      fuzz::contactOf("s4", 4)};
    honest_[0] = {ConnectionId{1}, facts_.members[0], keyOf(1), {}};
    honest_[1] = {ConnectionId{2}, facts_.members[1], keyOf(2), {}};
    const bool restarted = choices.below(4) == 1;
    if (restarted) {
      options.nextOrder = JoinOrder{5};
      for (const auto& one : honest_) {
        options.before.push_back(
            {one.contact.id, one.key, one.contact.order, one.contact.endpoint});
      }
      options.before.push_back(
          {facts_.members[3].id, keyOf(4), JoinOrder{4}, facts_.members[3].endpoint});
    }
    honest_[0].links = {std::nullopt, {honest_[1].contact.id}};
    honest_[1].links = {honest_[0].contact.id, {honest_[0].contact.id}};
    step([&](Effects& fx) { registry_.emplace(std::move(options), budget_, now_, fx); });
    for (auto& one : honest_) join(one, restarted);
    for (const auto& one : honest_) request(one.connection, one.links);
    checkHonest();
  }

  void run() {
    for (int i = 0; i < kMostSteps && !choices_.empty(); ++i) act();
    pass(30s);
    takeCopy(kWhole);
    comeBack(honest_[choices_.below(2)]);
  }

 private:
  void act() {
    const ConnectionId liar{10 + choices_.below(kLiars)};
    switch (choices_.below(8)) {
      case 0:
        return pass(choices_.oneIn(4) ? Duration(1s * choices_.below(20)) : Duration(50ms));
      case 1:
        step([&](Effects& fx) { registry_->closed(liar, now_, fx); });
        asked_.erase(liar);
        return;
      case 2: {
        const auto id = lies_.contact().id;
        if (isHonest(id)) return;  // whoever probes it finds it
        const bool listens = choices_.oneIn(2);
        return step([&](Effects& fx) { registry_->probed(id, listens, now_, fx); });
      }
      case 3:
        return takeCopy(1 + choices_.below(4));
      default:
        if (!asked_.contains(liar)) {
          asked_[liar];
          const std::string host = kHosts[choices_.below(std::size(kHosts))];
          step([&](Effects&) { registry_->opened(liar, host, now_); });
        }
        return request(liar, lies_.toRegistry());
    }
  }

  bool isHonest(const PeerId& id) const {
    return std::any_of(std::begin(honest_), std::end(honest_),
                       [&](const Honest& one) { return one.contact.id == id; });
  }

  void join(Honest& one, bool comesBack) {
    step([&](Effects&) { registry_->opened(one.connection, "10.0.0.1", now_); });
    asked_[one.connection];
    wire::Join join;
    join.id = one.contact.id;
    join.key = one.key;
    join.word = "P2P";
    join.listen.port = one.contact.endpoint.port;
    if (comesBack) {
      join.network = facts_.network;
      join.order = one.contact.order;
      join.parent = one.links.parent;
      join.neighbours = one.links.neighbours;
    }
    request(one.connection, join);
    fuzz::require(one.joined, "an honest peer is admitted");
  }

  // It has lost its connection, and comes back before its id is free for others.
  void comeBack(Honest& one) {
    one.joined = false;
    asked_.erase(one.connection);
    step([&](Effects& fx) { registry_->closed(one.connection, now_, fx); });
    for (auto count = choices_.below(8); count > 0; --count) {
      request(ConnectionId{10 + choices_.below(kLiars)}, lies_.toRegistry());
    }
    now_ += limits::kReconnectMost;
    one.connection = ConnectionId{number(one.connection) + 2};
    join(one, true);
    request(one.connection, one.links);
    checkHonest();
  }

  void request(ConnectionId connection, const wire::RegistryRequest& message) {
    const auto sent = wire::decodeRegistryRequest(wire::encode(message));
    if (!sent) return;  // no message of this form arrives
    const auto* join = std::get_if<wire::Join>(&*sent);
    if (!isOfHonest(connection) && join != nullptr && isKeyOfHonest(join->key)) return;
    const auto open = asked_.find(connection);
    if (open == asked_.end()) return;
    if (const auto number = numberOf(*sent)) open->second.insert(*number);
    step([&](Effects& fx) { registry_->received(connection, *sent, now_, fx); });
  }

  bool isOfHonest(ConnectionId connection) const { return connection < ConnectionId{10}; }
  bool isKeyOfHonest(const InstanceKey& key) const {
    return key == honest_[0].key || key == honest_[1].key;
  }

  static std::optional<std::uint64_t> numberOf(const wire::RegistryRequest& request) {
    if (const auto* links = std::get_if<wire::Links>(&request)) return links->number;
    if (const auto* page = std::get_if<wire::TopologyRequest>(&request)) return page->number;
    if (const auto* members = std::get_if<wire::MembersRequest>(&request)) return members->number;
    if (const auto* rate = std::get_if<wire::Rate>(&request)) return rate->number;
    return std::nullopt;
  }
  static std::optional<std::uint64_t> numberOf(const wire::RegistryReply& reply) {
    if (const auto* strangers = std::get_if<wire::Strangers>(&reply)) return strangers->number;
    if (const auto* page = std::get_if<wire::Topology>(&reply)) return page->number;
    if (const auto* members = std::get_if<wire::Members>(&reply)) return members->number;
    if (const auto* rated = std::get_if<wire::Rated>(&reply)) return rated->number;
    return std::nullopt;
  }

  // Time passes; the honest members send their heartbeats.
  void pass(Duration duration) {
    constexpr int kMostTicks = 1000;  // at one time
    const TimePoint end = now_ + duration;
    while (now_ < end) {
      now_ = std::min<TimePoint>(end, now_ + 1s);
      for (const auto& one : honest_) request(one.connection, wire::RegistryHeartbeat());
      for (int ticks = 0; registry_->deadline() <= now_; ++ticks) {
        fuzz::require(ticks < kMostTicks, "time goes on");
        step([&](Effects& fx) { registry_->tick(now_, fx); });
      }
    }
  }

  void step(const std::function<void(Effects&)>& event) {
    Effects fx;
    event(fx);
    const auto sound = registry_->checkInvariants();
    if (!sound) fuzz::require(false, sound.error().message.c_str());
    fuzz::require(fx.sends.size() <= kMostAnswers, "one request has a bounded number of answers");
    for (const auto& send : fx.sends) checkAnswer(send);
    for (const auto& close : fx.closes) {
      fuzz::require(!isOfHonest(close), "an honest member keeps its connection");
      asked_.erase(close);
      step([&](Effects& ended) { registry_->closed(close, now_, ended); });
    }
    fuzz::require(registry_->size() <= kLiars + std::size(honest_), "a member has a connection");
    fuzz::require(budget_.held(limits::Held::members) == registry_->size(), "which is paid for");
    checkHonest();
  }

  void checkAnswer(const Send& send) {
    const auto bytes = wire::encode(send.reply);
    fuzz::require(bytes.size() <= limits::kFrameBytes, "an answer fits a frame");
    fuzz::require(wire::decodeRegistryReply(bytes).ok(), "an answer is a valid message");
    const auto open = asked_.find(send.to);
    fuzz::require(open != asked_.end(), "an answer goes to an open connection");
    const auto number = numberOf(send.reply);
    fuzz::require(!number || open->second.contains(*number), "and repeats a request's number");
    const auto* admitted = std::get_if<wire::Admitted>(&send.reply);
    if (admitted == nullptr) return;
    for (auto& one : honest_) {
      const bool isIt = one.contact.id == admitted->self.id;
      fuzz::require(isIt == (one.connection == send.to), "each is admitted under its own id");
      if (!isIt) continue;
      fuzz::require(admitted->self == one.contact, "an honest member is what it was");
      one.joined = true;
    }
  }

  void checkHonest() const {
    if (!honest_[0].joined || !honest_[1].joined) return;
    for (const auto& one : honest_) {
      const auto node = registry_->tree().find(one.contact.id);
      fuzz::require(node.has_value(), "an honest member stays");
      const auto& member = registry_->tree().member(*node);
      fuzz::require(member.order == one.contact.order && member.endpoint == one.contact.endpoint,
                    "with its order and its endpoint");
    }
  }

  // What the files' writer has equals the registry after the last page. topo.txt has the link of
  // the honest members, and no link to itself of anybody.
  void takeCopy(std::size_t page) {
    bool more = true;
    while (more) {
      auto changes = registry_->takeChanges(page);
      more = changes.more;
      copy_.apply(std::move(changes));
      if (more && page < kWhole) return;
    }
    const auto entries = registry_->entries(kNoOrder, SIZE_MAX, more);
    fuzz::require(!more && entries.size() == copy_.rows().size(), "the copy has all members");
    auto row = copy_.rows().begin();
    for (const auto& entry : entries) {
      fuzz::require(row->second->contact == entry.member, "each as it is");
      fuzz::require(copy_.linksOf(*row->second) == entry.neighbours, "with its links");
      fuzz::require(std::find(entry.neighbours.begin(), entry.neighbours.end(), entry.member.id) ==
                        entry.neighbours.end(),
                    "none of which leads to itself");
      ++row;
    }
  }

  fuzz::Choices& choices_;
  test::Facts facts_;
  test::Lies lies_;
  TimePoint now_{1000s};
  Budget budget_;
  std::optional<Registry> registry_;
  RegistryCopy copy_;
  Honest honest_[2];
  // The open connections, each with the numbers of the requests that came on it.
  std::map<ConnectionId, std::set<std::uint64_t>> asked_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(fuzz::view(data, size));
  Machine(choices).run();
  return 0;
}
