// The core of private messages between three peers, one of which is also spoken to by strangers who
// say anything in any order. What must hold: the invariants of the book, no message of a stranger
// without a member's id, instance and address, and each message of a peer arrives once.
#include "tests/fuzz/choices.h"
#include "tests/unit/private_world.h"

using namespace espalier;
using namespace espalier::test;

namespace {

class Play {
 public:
  explicit Play(std::string_view input) : choices_(input), world_(1) {
    for (unsigned i = 0; i < 3; ++i) world_.add(i, fmt::format("s{}", i));
  }

  void run() {
    for (int i = 0; i < 300 && !choices_.empty(); ++i) step();
    for (const auto& problem : world_.problems) fuzz::require(false, problem.c_str());
    for (auto& [number, node] : world_.nodes) {
      for (const auto& text : world_.textsOn(node, false)) {
        fuzz::require(text != "a lie", "a stranger was believed");
      }
    }
  }

 private:
  void step() {
    auto& node = world_.nodes[static_cast<unsigned>(choices_.below(3))];
    switch (choices_.below(10)) {
      case 0:
        if (node.core) world_.send(node, fmt::format("s{}", choices_.below(4)), next());
        break;
      case 1:
        node.core ? world_.crash(node) : world_.start(node);
        break;
      case 2:
        world_.cutOne();
        break;
      case 3:
        if (node.core) strangers_.push_back({node.number, node.life, world_.intrude(node, host())});
        break;
      case 4:
      case 5:
      case 6:
        lie();
        break;
      case 7:
        world_.isMetaserverReachable = !choices_.oneIn(8);
        break;
      default:
        world_.run(std::chrono::milliseconds(10 * choices_.below(300)));
    }
  }

  std::string next() { return std::to_string(++sent_); }
  // Never that of a member.
  std::string host() { return fmt::format("10.9.9.{}", choices_.below(4)); }

  void lie() {
    if (strangers_.empty()) return;
    const auto& [number, life, connection] = strangers_[choices_.below(strangers_.size())];
    auto& node = world_.nodes[number];
    if (!node.core || node.life != life || !node.core->owns(connection)) return;
    world_.say(node, connection, frame());
  }

  wire::PrivateFrame frame() {
    const auto instance = [&] { return instanceOf(static_cast<unsigned>(choices_.below(4))); };
    const std::uint64_t number = 1 + choices_.below(40);
    switch (choices_.below(6)) {
      case 0:
      case 1:
        return wire::PrivateIntroduction{*PeerId::parse(fmt::format("s{}", choices_.below(4))),
                                         instance(), instance(), number};
      case 2:
        return wire::PrivateReady{number};
      case 3:
        return wire::PrivateStored{number};
      case 4:
        return wire::PrivateRefusal{wire::PrivateRefusal::Reason::turnedAway, "no"};
      default:
        return wire::PrivateMessage{number, std::chrono::milliseconds(number), "a lie"};
    }
  }

  struct Stranger {
    unsigned number = 0;
    std::uint64_t life = 0;
    ConnectionId connection{};
  };

  fuzz::Choices choices_;
  PrivateWorld world_;
  std::vector<Stranger> strangers_;
  std::uint64_t sent_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Play(fuzz::view(data, size)).run();
  return 0;
}
