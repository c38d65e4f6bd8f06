// Plays the transcripts of transcripts/*.txt: what a peer's membership is told, and what it does.
//
// A transcript is a list of steps. A step is a command, a line `----`, and the effects in the order
// in which they are carried out, up to an empty line:
//
//   s1 accepts label 7/0
//   ----
//   notice linkUp: s1
//
// Lines that begin with # are comments. The peer of a transcript and all others are called sN: N is
// the order of joining, 127.0.0.1:500N the endpoint. Labels are written sequence/depth. Commands
// are in Player::commands().
//
// After an intended change run this test once with ESPALIER_REWRITE_TRANSCRIPTS=1, and review the
// difference.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "common/base/budget.h"
#include "common/base/fs.h"
#include "common/base/limits.h"
#include "common/base/text.h"
#include "peer/core/membership.h"

using namespace espalier;
using namespace espalier::peer;

namespace {

using namespace std::chrono_literals;

constexpr std::uint16_t kPort = 5000;  // the metaserver's; sN has kPort + N
constexpr TimePoint kStart{Duration(1h)};

wire::Contact contact(const std::string& id) {
  const auto order = std::stoull(id.substr(1));
  return {*PeerId::parse(id),
          JoinOrder{order},
          {"127.0.0.1", static_cast<std::uint16_t>(kPort + order)}};
}

std::string nameAt(const Endpoint& endpoint) {
  return endpoint.port == kPort ? "metaserver" : fmt::format("s{}", endpoint.port - kPort);
}

std::string text(const wire::Label& label) {
  if (label.sequence == 0) return "none";
  return fmt::format("{}/{}", label.sequence, label.depth);
}

template <typename List>
std::string names(const List& list) {
  std::string text;
  for (const auto& each : list) text += " " + each.id.text();
  return text.empty() ? " nobody" : text;
}

std::string names(const std::vector<PeerId>& ids) {
  std::string text;
  for (const auto& id : ids) text += " " + id.text();
  return text.empty() ? " nobody" : text;
}

// --- messages in words

struct InWords {
  std::string operator()(const wire::Join& m) const {
    const auto place =
        m.order == kNoOrder ? "as a newcomer" : fmt::format("as of order {}", number(m.order));
    return fmt::format("Join {}, links to{}", place, names(m.neighbours));
  }
  std::string operator()(const wire::PortTaken& m) const {
    return fmt::format("PortTaken {}", m.port);
  }
  std::string operator()(const wire::Links& m) const {
    return fmt::format("Links parent {}, all{}", m.parent ? m.parent->text() : "none",
                       names(m.neighbours));
  }
  std::string operator()(const wire::Seek& m) const {
    std::string text = "Seek";
    if (m.lost) text += " lost " + m.lost->text();
    if (m.failed) text += " failed " + m.failed->text();
    return text;
  }
  std::string operator()(const wire::RegistryHeartbeat&) const { return "Heartbeat"; }
  std::string operator()(const wire::TopologyRequest&) const { return "TopologyRequest"; }
  std::string operator()(const wire::MembersRequest&) const { return "MembersRequest"; }
  std::string operator()(const wire::Quit&) const { return "Quit"; }
  std::string operator()(const wire::Rate&) const { return "Rate"; }
  std::string operator()(const wire::StatisticsRequest&) const { return "StatisticsRequest"; }
  std::string operator()(const wire::RoomRequest&) const { return "RoomRequest"; }
  std::string operator()(const wire::RoomListRequest&) const { return "RoomListRequest"; }
  std::string operator()(const wire::RoomWhoRequest&) const { return "RoomWhoRequest"; }

  std::string operator()(const wire::Attach& m) const {
    return fmt::format("Attach floor {}, {} below", text(m.floor), m.below);
  }
  std::string operator()(const wire::Accepted& m) const {
    return fmt::format("Accepted label {}, {} members", text(m.label), m.members);
  }
  std::string operator()(const wire::Referred& m) const {
    return "Referred to" + names(m.candidates);
  }
  std::string operator()(const wire::Held&) const { return "Held"; }
  std::string operator()(const wire::Refused& m) const {
    constexpr std::array kReasons{"", "below", "younger", "unanchored", "otherNetwork", "busy"};
    return fmt::format("Refused {}", kReasons.at(static_cast<std::size_t>(m.reason)));
  }
  std::string operator()(const wire::Heartbeat& m) const {
    return fmt::format("Heartbeat label {}, {} members", text(m.label), m.members);
  }
  std::string operator()(const wire::LineageChanged& m) const {
    return fmt::format("LineageChanged root {}, ancestors{}, its children{}",
                       m.lineage.root.id.text(), names(m.lineage.ancestors),
                       names(m.lineage.rootChildren));
  }
  std::string operator()(const wire::Raise& m) const {
    return fmt::format("Raise floor {} for {} at {}", text(m.floor), m.seeker.id.text(),
                       m.acceptor.text());
  }
  std::string operator()(const wire::PeerExchange& m) const {
    return "PeerExchange" + names(m.contacts);
  }
  std::string operator()(const wire::Farewell&) const { return "Farewell"; }
  std::string operator()(const wire::RegistryRequest& m) const { return std::visit(*this, m); }
  std::string operator()(const wire::LinkMessage& m) const { return std::visit(*this, m); }
  template <typename Other>
  std::string operator()(const Other&) const {
    return "something else";
  }
};

std::string inWords(const Notice& notice) {
  constexpr std::array kKinds{"joined",         "wordRefused",    "refused",     "renamed",
                              "failed",         "mismatch",       "waiting",     "metaserverLost",
                              "nextMetaserver", "metaserverBack", "linkUp",      "linkDown",
                              "root",           "seenFrom",       "unreachable", "warning"};
  const std::string kind = kKinds.at(static_cast<std::size_t>(notice.kind));
  return "notice " + kind + (notice.text.empty() ? "" : ": " + notice.text);
}

// --- commands

// The words of a command, taken one after the other.
class Words {
 public:
  explicit Words(const std::string& line) : words_(line) {}
  std::string next() {
    std::string word;
    words_ >> word;
    return word;
  }
  std::uint64_t number() { return std::stoull(next()); }
  wire::Label label() {
    const auto word = next();
    const auto slash = word.find('/');
    if (slash == std::string::npos) return {};
    return {std::stoull(word.substr(0, slash)),
            static_cast<std::uint32_t>(std::stoul(word.substr(slash + 1)))};
  }
  std::vector<wire::Contact> contacts() {
    std::vector<wire::Contact> all;
    for (auto word = next(); !word.empty(); word = next()) all.push_back(contact(word));
    return all;
  }

 private:
  std::istringstream words_;
};

class Player {
 public:
  // What the command leads to, a line an effect.
  std::string play(const std::string& command) {
    out_.clear();
    Words words(command);
    const auto who = words.next();
    if (who == "start") {
      start(words.next());
    } else if (who == "wait") {
      wait(std::chrono::milliseconds(words.number()));
    } else if (who == "state") {
      tellState();
    } else if (who == "listening") {
      step([&](Effects& fx) { membership_->listening(self_.endpoint, now_, fx); });
    } else if (who == "leave") {
      step([&](Effects& fx) { membership_->leave(now_, fx); });
    } else if (who == "metaserver") {
      metaserver(words.next(), words);
    } else {
      other(who, words.next(), words);
    }
    return out_.empty() ? "nothing\n" : out_;
  }

 private:
  // start sN: a fresh peer, which joins.
  void start(const std::string& id) {
    self_ = contact(id);
    now_ = kStart;
    membership_.emplace(Membership::Options{{{"127.0.0.1", kPort}}, {}, {}}, random_, budget_,
                        now_);
    step([&](Effects& fx) { membership_->join(self_.id, {}, "P2P", now_, fx); });
  }

  // wait MILLISECONDS: time passes; each line begins with how much has passed since the start.
  void wait(Duration length) {
    const TimePoint until = now_ + length;
    while (membership_->deadline() <= until) {
      now_ = std::max(now_, membership_->deadline());
      const auto before = std::exchange(out_, {});
      step([&](Effects& fx) { membership_->tick(now_, fx); });
      std::istringstream lines(std::exchange(out_, before));
      const auto passed = std::chrono::duration<double>(now_ - kStart).count();
      for (std::string line; std::getline(lines, line);)
        out_ += fmt::format("{:.3f} s: {}\n", passed, line);
    }
    now_ = until;
  }

  void tellState() {
    constexpr std::array kSession{"offline", "connecting", "greeted", "joining", "joined"};
    constexpr std::array kSearch{"idle", "pausing", "attempting", "held"};
    const auto& session = membership_->session();
    out_ += fmt::format("metaserver {}\n", kSession.at(static_cast<std::size_t>(session.state())));
    const auto* tree = membership_->tree();
    if (tree == nullptr) return;
    out_ += fmt::format("search {}\n",
                        kSearch.at(static_cast<std::size_t>(membership_->search()->state())));
    std::vector<PeerId> children;
    for (const auto& child : tree->children()) children.push_back(child.contact.id);
    out_ += fmt::format("parent {}, children{}, label {}{}\n",
                        tree->parent() ? tree->parent()->contact.id.text() : "none",
                        names(children), text(tree->label()), tree->isRoot() ? ", root" : "");
  }

  // metaserver opens | fails | closes | answers | waits | refuses | refers REFERRAL |
  //            admits MEMBERS REFERRAL, where REFERRAL is keep, root or below sN
  void metaserver(const std::string& does, Words& words) {
    const ConnectionId from = connections_.at("metaserver");
    if (does == "opens")
      return step([&](Effects& fx) { membership_->opened(from, "127.0.0.1", now_, fx); });
    if (does == "fails" || does == "closes") return end(from, does);
    wire::RegistryReply reply;
    if (does == "admits") {
      wire::Admitted admitted;
      admitted.self = self_;
      admitted.members = words.number();
      admitted.referral = referral(words);
      reply = admitted;
    } else if (does == "refers") {
      reply = referral(words);
    } else if (does == "answers") {
      reply = wire::RegistryHeartbeatReply();
    } else if (does == "waits") {
      reply = wire::Wait{"the peers of before"};
    } else {
      REQUIRE(does == "refuses");
      reply = wire::Failure{ErrorCode::refused, "the id is in use"};
    }
    step([&](Effects& fx) { membership_->received(from, reply, now_, fx); });
  }

  static wire::Referral referral(Words& words) {
    const auto kind = words.next();
    if (kind == "keep") return {wire::Referral::Kind::keep, {}};
    if (kind == "root") return {wire::Referral::Kind::root, {}};
    REQUIRE(kind == "below");
    return {wire::Referral::Kind::below, contact(words.next())};
  }

  // sN fails | closes | accepts label L [root sN] | refers sN… | holds | refuses REASON |
  //    heartbeat L MEMBERS | raises L for sN at sN | attaches floor L | exchanges sN… | farewell
  void other(const std::string& who, const std::string& does, Words& words) {
    if (does == "attaches") connections_[who] = ConnectionId{++accepted_ * 2};
    const ConnectionId from = connections_.at(who);
    if (does == "fails" || does == "closes") return end(from, does);
    const auto message = messageOf(who, does, words);
    step([&](Effects& fx) { membership_->received(from, message, now_, fx); });
  }

  wire::LinkMessage messageOf(const std::string& who, const std::string& does, Words& words) const {
    if (does == "accepts") return acceptance(who, words);
    if (does == "refers") return wire::Referred{words.contacts()};
    if (does == "holds") return wire::Held();
    if (does == "refuses") return wire::Refused{reasonOf(words.next())};
    if (does == "exchanges") return wire::PeerExchange{words.contacts()};
    if (does == "farewell") return wire::Farewell();
    if (does == "heartbeat") {
      const auto label = words.label();
      return wire::Heartbeat{label, words.number()};
    }
    if (does == "raises") {
      wire::Raise raise;
      raise.floor = words.label();
      CHECK(words.next() == "for");
      raise.seeker = contact(words.next());
      CHECK(words.next() == "at");
      raise.acceptor = *PeerId::parse(words.next());
      return raise;
    }
    REQUIRE(does == "attaches");
    CHECK(words.next() == "floor");
    return wire::Attach{{}, contact(who), words.label(), 1, {}};
  }

  // label L [below sN…]: the acceptor's ancestors, nearest first, the root last.
  static wire::Accepted acceptance(const std::string& who, Words& words) {
    CHECK(words.next() == "label");
    wire::Accepted accepted;
    accepted.self = contact(who);
    accepted.label = words.label();
    accepted.members = 9;
    accepted.lineage.root = accepted.self;
    if (words.next() == "below") {
      accepted.lineage.ancestors = words.contacts();
      accepted.lineage.root = accepted.lineage.ancestors.back();
    }
    return accepted;
  }

  static wire::RefusalReason reasonOf(const std::string& word) {
    static const std::map<std::string, wire::RefusalReason> kReasons{
        {"below", wire::RefusalReason::below},
        {"younger", wire::RefusalReason::younger},
        {"unanchored", wire::RefusalReason::unanchored},
        {"otherNetwork", wire::RefusalReason::otherNetwork},
        {"busy", wire::RefusalReason::busy}};
    return kReasons.at(word);
  }

  void end(ConnectionId connection, const std::string& how) {
    step([&](Effects& fx) {
      if (how == "closes") return membership_->closed(connection, now_, fx);
      membership_->failed(connection, {ErrorCode::unavailable, "refused"}, now_, fx);
    });
  }

  void step(const std::function<void(Effects&)>& event) {
    Effects fx;
    event(fx);
    const auto nameOf = [&](ConnectionId connection) {
      for (const auto& [name, known] : connections_) {
        if (known == connection) return name;
      }
      return std::string("an older connection");
    };
    for (const auto& listen : fx.listens) out_ += "listens on " + listen.at.text() + "\n";
    for (const auto& dial : fx.dials) {
      connections_[nameAt(dial.to)] = dial.connection;
      out_ += "dials " + nameAt(dial.to) + "\n";
    }
    for (const auto& send : fx.sends) {
      out_ += "to " + nameOf(send.to) + ": " + std::visit(InWords(), send.message) + "\n";
    }
    for (const auto& close : fx.closes) out_ += "closes " + nameOf(close.connection) + "\n";
    for (const auto& notice : fx.notices) out_ += inWords(notice) + "\n";
  }

  Random random_{1};
  Budget budget_;
  TimePoint now_ = kStart;
  wire::Contact self_;
  std::optional<Membership> membership_;
  std::map<std::string, ConnectionId> connections_;  // the last one with each
  std::uint64_t accepted_ = 0;
  std::string out_;
};

// Plays the transcript; what it should read like.
std::string replay(std::istream& transcript) {
  Player player;
  std::string result;
  std::string line;
  while (std::getline(transcript, line)) {
    result += line + "\n";
    if (line.empty() || line.starts_with('#')) continue;
    const auto effects = player.play(line);
    result += "----\n" + effects;
    // What it says now.
    while (std::getline(transcript, line) && !line.empty()) {
    }
    result += "\n";
  }
  while (result.ends_with("\n\n")) result.pop_back();
  return result;
}

}  // namespace

TEST_CASE("a peer's membership reads as its transcripts say") {
  std::size_t played = 0;
  for (const auto& entry : fs::directory_iterator(TRANSCRIPTS)) {
    const auto path = entry.path();
    if (path.extension() != ".txt") continue;
    CAPTURE(path.filename().string());
    ++played;
    std::stringstream before;
    before << std::ifstream(path).rdbuf();
    const auto after = replay(before);
    if (std::getenv("ESPALIER_REWRITE_TRANSCRIPTS") != nullptr) {
      std::ofstream(path) << after;
    } else {
      CHECK(after == before.str());
    }
  }
  CHECK(played >= 8);
}
